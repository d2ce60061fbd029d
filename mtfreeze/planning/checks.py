# SPDX-License-Identifier: Apache-2.0
"""Arguments of runs, phases and callbacks, checked one by one; messages begin with the name."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping

from ..closest import unknown
from ..errors import ConfigError

__all__ = [
    "Rate",
    "check_choice",
    "check_integer",
    "check_layer_decay",
    "check_number",
    "check_rate",
]


Rate = float | Mapping[str, float]
"""One number for everything that trains, or numbers by selector, later entries winning."""


def check_integer(name: str, value: object, lowest: int) -> int:
    """Return `value` as an int that is at least `lowest`.

    Raises
    ------
    TypeError
        If it is no integer (a bool is none, 3.0 is none).
    ConfigError
        If it is too small.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{name} must be a whole number; found {type(value).__name__} {value!r}; "
            f"give an int of at least {lowest}"
        )
    number = operator.index(value)
    if number < lowest:
        raise ConfigError(f"{name} must be at least {lowest}; found {number}; give a larger number")
    return number


def check_number(
    name: str,
    value: object,
    lowest: float = 0.0,
    highest: float = math.inf,
    *,
    above: bool = False,
) -> float:
    """Return `value` as a finite float in [lowest, highest] (`above`: larger than `lowest`).

    Raises
    ------
    TypeError
        If it is no number.
    ConfigError
        If it is NaN, infinite or out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(
            f"{name} must be a number; found {type(value).__name__} {value!r}; give a float"
        )
    number = float(value)
    too_low = number <= lowest if above else number < lowest
    if not math.isfinite(number) or too_low or number > highest:
        bounds = f"{'above' if above else 'at least'} {lowest:g}"
        if math.isfinite(highest):
            bounds += f" and at most {highest:g}"
        raise ConfigError(f"{name} must be a finite number, {bounds}; found {number!r}")
    return number


def check_choice(name: str, value: object, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of `known`; TypeError or ConfigError (names the closest)."""
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be one of {', '.join(map(repr, known))}; "
            f"found {type(value).__name__} {value!r}"
        )
    if value not in known:
        raise ConfigError(unknown(name, value, known))
    return value


def check_rate(name: str, rate: object) -> dict[str, float]:
    """Return numbers by selector; a single number stands under ``"all"``.

    Raises
    ------
    TypeError
        If it is neither a number nor numbers by selector.
    ConfigError
        If a number is negative or not finite, or the mapping is empty.
    """
    if not isinstance(rate, Mapping):
        return {"all": check_number(name, rate)}
    if not rate:
        raise ConfigError(
            f"{name} is an empty mapping; give a number, or numbers by selector such as "
            '{"backbone": 2e-5, "heads": 1e-3}'
        )
    for selector in rate:
        if not isinstance(selector, str):
            raise TypeError(
                f"{name} must have selectors (str) as keys; found {type(selector).__name__} "
                f"{selector!r}"
            )
    return {selector: check_number(f"{name}[{selector!r}]", one) for selector, one in rate.items()}


def check_layer_decay(value: object) -> float | None:
    """Return by what each layer's rate is divided to get that of the layer below; None: 1.

    Raises
    ------
    TypeError, ConfigError
        If it is no finite number of at least 1.
    """
    if value is None:
        return None
    number = check_number("layer_decay", value, 0.0, above=True)
    if number < 1.0:
        raise ConfigError(
            f"layer_decay must be at least 1: the rate of each layer is that of the one above "
            f"divided by it (ULMFiT: 2.6); found {number:g}; where other libraries multiply by "
            f"{number:g}, write layer_decay=1/{number:g}"
        )
    return number
