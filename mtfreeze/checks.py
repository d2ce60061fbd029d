# SPDX-License-Identifier: Apache-2.0
"""Arguments checked one by one: whole numbers, numbers, choices, True or False.

What counts as a number is decided here for the whole package: a bool is none, though Python would
count with it, and NumPy's scalars are. Messages begin with the argument's name.
"""

from __future__ import annotations

import math
import operator
from typing import Any, cast

from .closest import unknown
from .errors import ConfigError
from .quoting import quoted

__all__ = [
    "as_integer",
    "as_number",
    "check_choice",
    "check_count",
    "check_flag",
    "check_integer",
    "check_number",
    "check_optional_flag",
]


def as_integer(value: object) -> int | None:
    """Return `value` as an int, None if it is no whole number (a bool is none, 3.0 is none).

    Examples
    --------
    >>> as_integer(3), as_integer(True), as_integer(3.0), as_integer("3")
    (3, None, None, None)
    """
    if isinstance(value, bool):
        return None
    try:
        return operator.index(cast(Any, value))
    except TypeError:
        return None


def as_number(value: object) -> float | None:
    """Return `value` as a float, None if it is no number (neither a bool nor a text is one).

    Examples
    --------
    >>> as_number(3), as_number(0.5), as_number(True), as_number("0.5")
    (3.0, 0.5, None, None)
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        return None
    try:
        return float(value)
    except OverflowError:  # an int beyond the range of floats
        return math.inf if cast(Any, value) > 0 else -math.inf


def check_integer(name: str, value: object, lowest: int) -> int:
    """Return `value` as an int that is at least `lowest`.

    Raises
    ------
    TypeError
        If it is no whole number; see `as_integer`.
    ConfigError
        If it is too small.
    """
    number = as_integer(value)
    if number is None:
        raise TypeError(
            f"{name} must be a whole number; found {type(value).__name__} {quoted(value)}; "
            f"give an int of at least {lowest}"
        )
    if number < lowest:
        raise ConfigError(f"{name} must be at least {lowest}; found {number}; give a larger number")
    return number


def check_count(name: str, value: object, usual: int) -> int:
    """Return `value` as an int of at least 1; messages propose the `usual` one.

    Raises
    ------
    TypeError, ConfigError
        If it is no whole number, or too small.
    """
    number = as_integer(value)
    if number is None:
        raise TypeError(
            f"{name} must be an int; found {type(value).__name__} {quoted(value)}; "
            f"{usual} is the usual choice"
        )
    if number < 1:
        raise ConfigError(f"{name} must be at least 1; found {number}; {usual} is the usual choice")
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
        If it is no number; see `as_number`.
    ConfigError
        If it is NaN, infinite or out of range.
    """
    number = as_number(value)
    if number is None:
        raise TypeError(
            f"{name} must be a number; found {type(value).__name__} {quoted(value)}; give a float"
        )
    too_low = number <= lowest if above else number < lowest
    if not math.isfinite(number) or too_low or number > highest:
        bounds = f"{'above' if above else 'at least'} {lowest:g}"
        if math.isfinite(highest):
            bounds += f" and at most {highest:g}"
        raise ConfigError(f"{name} must be a finite number, {bounds}; found {quoted(number)}")
    return number


def check_choice(name: str, value: object, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of `known`; TypeError or ConfigError (names the closest)."""
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be one of {', '.join(map(repr, known))}; "
            f"found {type(value).__name__} {quoted(value)}"
        )
    if value not in known:
        raise ConfigError(unknown(name, value, known))
    return value


def check_flag(name: str, value: object) -> bool:
    """Return `value` if it is True or False; TypeError otherwise."""
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False; found {quoted(value)}")
    return value


def check_optional_flag(name: str, value: object) -> bool | None:
    """Return `value` if it is True, False or None; TypeError otherwise."""
    if value is not None and not isinstance(value, bool):
        raise TypeError(f"{name} must be True, False or None; found {quoted(value)}")
    return value
