# SPDX-License-Identifier: Apache-2.0
"""What a row of the table of run settings is made of: a default, a kind of value and its check.

The table is `FitSettings` in ``settings.py``. Each field of it is a `setting`; whatever needs a
setting's name, default, kind or check reads it there.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from ..checks import check_choice, check_flag, check_integer, check_number
from ..runtime.precision import TRAINING_PRECISIONS, check_precision

__all__ = [
    "Kind",
    "RunSetting",
    "ValueCheck",
    "choice",
    "flag",
    "number",
    "optional",
    "setting",
    "step_precision",
    "unchecked",
    "whole",
]

Kind = Literal["number", "text", "flag", "rate", "precision", "schedule", "other"]
"""What a value looks like before it is checked, for those who read it from a file."""


@dataclass(frozen=True)
class ValueCheck:
    """What a setting may be.

    Attributes
    ----------
    kind : str
        See `Kind`.
    check : callable
        (name, value) -> the value as it is kept; TypeError or ConfigError, with the name, if it
        does not hold.
    """

    kind: Kind
    check: Callable[[str, object], Any]


@dataclass(frozen=True)
class RunSetting:
    """A row of the table, to be read.

    Attributes
    ----------
    name : str
        The argument of `fit`.
    default : object
        Of `fit`. It leaves runs as they were before there was this setting, `start` apart.
    kind, check
        See `ValueCheck`.
    """

    name: str
    default: Any
    kind: Kind
    check: Callable[[str, object], Any]


def setting(default: object, value: ValueCheck) -> Any:
    """Return the dataclass field of a setting."""
    return field(default=default, metadata={"kind": value.kind, "check": value.check})


def whole(lowest: int) -> ValueCheck:
    """Whole numbers of at least `lowest`."""

    def check(name: str, value: object) -> int:
        return check_integer(name, value, lowest)

    return ValueCheck("number", check)


def number(lowest: float = 0.0, highest: float = math.inf, *, above: bool = False) -> ValueCheck:
    """Finite numbers in [lowest, highest]; `above`: larger than `lowest`."""

    def check(name: str, value: object) -> float:
        return check_number(name, value, lowest, highest, above=above)

    return ValueCheck("number", check)


def choice(known: Iterable[str]) -> ValueCheck:
    """One of several names."""
    names = tuple(known)

    def check(name: str, value: object) -> str:
        return check_choice(name, value, names)

    return ValueCheck("text", check)


def flag() -> ValueCheck:
    """True or False."""
    return ValueCheck("flag", check_flag)


def step_precision() -> ValueCheck:
    """What a step can be computed in."""

    def check(name: str, value: object) -> str:
        return check_precision(value, TRAINING_PRECISIONS, name=name)

    return ValueCheck("precision", check)


def optional(value: ValueCheck) -> ValueCheck:
    """None, or what `value` allows."""

    def check(name: str, given: object) -> Any:
        return None if given is None else value.check(name, given)

    return ValueCheck(value.kind, check)


def unchecked(kind: Kind) -> ValueCheck:
    """Anything: whoever uses the value checks it."""

    def check(name: str, value: object) -> Any:
        return value

    return ValueCheck(kind, check)
