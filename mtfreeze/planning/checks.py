# SPDX-License-Identifier: Apache-2.0
"""Rates of runs and of phases, checked without a model; messages begin with the argument's name."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ..checks import check_each, check_number, typed
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["Rate", "check_betas", "check_layer_decay", "check_rate"]

Rate = float | Mapping[str, float]
"""One number for everything that trains, or numbers by selector, later entries winning."""

_LARGEST = float(np.finfo(np.float32).max)


def check_rate(name: str, rate: object) -> dict[str, float]:
    """Return numbers by selector; a single number stands under ``"all"``.

    Raises
    ------
    TypeError
        If it is neither a number nor numbers by selector.
    ConfigError
        If a number is negative, not finite or too large for float32, or the mapping is empty.
    """
    if not isinstance(rate, Mapping):
        return {"all": _check_one(name, rate)}
    if not rate:
        raise ConfigError(
            f"{name} is an empty mapping; give a number, or numbers by selector such as "
            '{"backbone": 2e-5, "heads": 1e-3}'
        )
    for selector in rate:
        if not isinstance(selector, str):
            raise TypeError(f"{name} must have selectors (str) as keys; found {typed(selector)}")
    return {
        selector: _check_one(f"{name}[{quoted(selector)}]", one) for selector, one in rate.items()
    }


def _check_one(name: str, rate: object) -> float:
    number = check_number(name, rate)
    if number > _LARGEST:
        raise ConfigError(
            f"{name} must be at most {_LARGEST:.3g}, the largest float32, or the first step would "
            f"make weights infinite; found {quoted(number)}; use e.g. 1e-4"
        )
    return number


def check_layer_decay(name: str, value: object) -> float | None:
    """Return by what each layer's rate is divided to get that of the layer below; None: 1.

    Raises
    ------
    TypeError, ConfigError
        If it is no finite number of at least 1.
    """
    if value is None:
        return None
    number = check_number(name, value, above=True)
    if number < 1.0:
        raise ConfigError(
            f"{name} must be at least 1: the rate of each layer is that of the one above "
            f"divided by it (ULMFiT: 2.6); found {number:g}; where other libraries multiply by "
            f"{number:g}, write {name}=1/{number:g}"
        )
    return number


def check_betas(name: str, value: object) -> tuple[float, float]:
    """Return AdamW's two shares, each from 0 to below 1; TypeError or ConfigError otherwise."""
    pair = check_each(name, value, _share, of="two numbers", example="(0.9, 0.999)")
    if len(pair) != 2:
        raise ConfigError(
            f"{name} must be two numbers, such as (0.9, 0.999); found {len(pair)} of them"
        )
    if 1.0 in pair:
        raise ConfigError(
            f"{name} must be below 1, or nothing is ever forgotten; found {quoted(value)}"
        )
    return pair[0], pair[1]


def _share(name: str, value: object) -> float:
    return check_number(name, value, 0.0, 1.0)
