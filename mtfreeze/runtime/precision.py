# SPDX-License-Identifier: Apache-2.0
"""Names of what linear products are computed in: ``"fp32"``, ``"bf16"``, ``"int8"``.

bf16 products take both sides rounded to bfloat16 and add up in float32. int8 products take weights
with one scale an output channel and activations with one scale and one offset a row, and add up
exact integers. The float32 weights stay as they are in either case. Only products of at least
65,536 weights with no side below 32 are computed so, and in bf16 convolutions of fewer; smaller
ones (heads), attention, norms, softmax, pooling and embeddings stay float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ..closest import name_list, unknown
from ..errors import ConfigError
from ..quoting import quoted

__all__ = [
    "FP32",
    "LEAST_SIDE",
    "LEAST_WEIGHTS",
    "PRECISIONS",
    "TRAINING_PRECISIONS",
    "check_precision",
    "core_code",
    "forward_options",
    "is_reduced",
]

FP32 = "fp32"

PRECISIONS = (FP32, "bf16", "int8")
"""Their positions are the numbers by which the core knows them."""

TRAINING_PRECISIONS = (FP32, "bf16")
"""What a step can be computed in: gradients do not fit into eight bits."""

LEAST_WEIGHTS, LEAST_SIDE = 65_536, 32
"""Smaller products stay float32: rounding their inputs would take as long as it saves. Convolutions
have so many rows that in bf16 the first limit is not theirs."""


def check_precision(
    value: object, known: Sequence[str] = PRECISIONS, *, name: str = "precision"
) -> str:
    """Return `value` if it is one of `known`.

    Raises
    ------
    TypeError
        If it is no str.
    ConfigError
        If it is another name; the message has the closest.

    Examples
    --------
    >>> check_precision("bf16")
    'bf16'
    """
    if not isinstance(value, str):
        from ..checks import typed  # brings NumPy, which names of precisions do without

        raise TypeError(f"{name} must be one of {name_list(known)}; found {typed(value)}")
    if value in known:
        return value
    if value in PRECISIONS:
        raise ConfigError(
            f"{name} must be one of {name_list(known)}; found {quoted(value)}, which is for "
            "inference "
            f"and frozen parts alone, as in model.freeze('backbone', precision={quoted(value)})"
        )
    raise ConfigError(unknown(name, value, known))


def core_code(value: object) -> int:
    """Return the core's number of a precision.

    Examples
    --------
    >>> core_code("fp32"), core_code("int8")
    (0, 2)
    """
    return PRECISIONS.index(check_precision(value))


def forward_options(value: object) -> dict[str, int]:
    """Return the core's argument for what a forward pass is computed in.

    None gives none: each frozen weight as freezing says, all else in float32.

    Examples
    --------
    >>> forward_options(None), forward_options("bf16")
    ({}, {'precision': 1})
    """
    return {} if value is None else {"precision": core_code(value)}


def is_reduced(shape: Sequence[int], precision: str = "bf16", *, convolves: bool = False) -> bool:
    """Say whether products with a weight of this shape can be computed in a lower precision.

    Examples
    --------
    >>> is_reduced((384, 384)), is_reduced((64, 128, 3, 3)), is_reduced((2, 384))
    (True, True, False)
    >>> is_reduced((64, 64, 1, 1)), is_reduced((64, 64, 1, 1), convolves=True)
    (False, True)
    >>> is_reduced((64, 64, 1, 1), "int8", convolves=True)
    False
    """
    outputs, inputs = shape[0], prod(shape[1:])  # of a convolution: of a whole window
    least = 0 if convolves and precision == "bf16" else LEAST_WEIGHTS
    return len(shape) > 1 and outputs * inputs >= least and min(outputs, inputs) >= LEAST_SIDE
