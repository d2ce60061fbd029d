# SPDX-License-Identifier: Apache-2.0
"""A loss of one's own: a function from outputs and targets to a value and its gradient.

``Task(loss=f)`` calls ``f(outputs, targets)`` with the rows that have a target. What it returns is
checked here, before anything of the model changes; an exception of its own passes through.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .. import _core
from ..errors import TrainingError

__all__ = ["LossFunction", "labelled_rows", "loss_name", "loss_sum", "value_and_gradient"]

Float32 = NDArray[np.float32]
Targets = NDArray[np.int32] | Float32

LossFunction = Callable[[Float32, Any], tuple[float, ArrayLike]]
"""(outputs (N, width), targets) -> (mean over the rows, its derivative by outputs (N, width))."""


def loss_name(loss: LossFunction) -> str:
    """Return what messages and checkpoints call a loss: its module and its qualified name."""
    named: Any = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{named.__module__}.{named.__qualname__}"


def labelled_rows(targets: Targets) -> NDArray[np.bool_]:
    """Say of each row, (N,) bool, whether it has a target: a class, or values that are not NaN."""
    if targets.ndim == 1:
        return np.asarray(targets != _core.IGNORE_LABEL)
    return ~np.isnan(targets[:, 0])


def loss_sum(
    loss: LossFunction, outputs: Float32, targets: Targets, where: str
) -> tuple[float, int]:
    """Return the loss, finite or not, summed over the rows with a target, and their number.

    Raises
    ------
    TrainingError
        If the loss returns no pair with a number first; the message begins with `where`.
    """
    labelled = labelled_rows(targets)
    n = int(labelled.sum())
    if not n:
        return 0.0, 0
    mean, _ = _call(loss, outputs[labelled], targets[labelled], where)
    return mean * n, n


def value_and_gradient(
    loss: LossFunction, outputs: Float32, targets: Targets, where: str
) -> tuple[float, Float32]:
    """Return the mean loss of labelled rows and its gradient, (N, width) float32.

    Raises
    ------
    TrainingError
        If one of them is not finite or not of its shape; the message begins with `where`.
    """
    value, given = _call(loss, outputs, targets, where)
    start = f"{where}: expected the loss {loss_name(loss)} to return"
    if not math.isfinite(value):
        n_bad = int((~np.isfinite(outputs)).any(axis=1).sum())
        raise TrainingError(
            f"{start} a finite value; found {value}, with {n_bad} of {len(outputs)} rows of "
            "outputs that are not finite; the weights are as before the step"
        )
    gradient = _as_float32(given)
    if gradient is None:
        found = f"{type(given).__name__}, which is no array of real numbers"
    elif gradient.shape != outputs.shape:
        found = f"the shape {gradient.shape}"
    elif not np.isfinite(gradient).all():
        found = f"{int((~np.isfinite(gradient)).sum())} values that are not finite"
    else:
        return value, gradient
    raise TrainingError(
        f"{start} a finite gradient of the shape of outputs, {outputs.shape}; found {found}; "
        "the weights are as before the step"
    )


def _call(
    loss: LossFunction, outputs: Float32, targets: Targets, where: str
) -> tuple[float, object]:
    found: Any = loss(outputs, targets)
    if isinstance(found, tuple) and len(found) == 2:
        try:
            return float(found[0]), found[1]
        except (TypeError, ValueError):
            pass  # said below
    raise TrainingError(
        f"{where}: expected the loss {loss_name(loss)} to return (value, gradient), the value a "
        f"number; found {_in_words(found)}; the weights are as before the step"
    )


def _in_words(found: object) -> str:
    if isinstance(found, tuple):
        return f"({', '.join(type(one).__name__ for one in found)})"
    return type(found).__name__


def _as_float32(given: object) -> Float32 | None:
    """Return numbers as a float32 array, None where they are none."""
    try:
        array = np.asarray(given)
    except ValueError:  # rows of different lengths
        return None
    if array.dtype.kind not in "fiu":
        return None
    with np.errstate(over="ignore"):  # found as not finite
        return array.astype(np.float32)
