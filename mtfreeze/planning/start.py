# SPDX-License-Identifier: Apache-2.0
"""How a run begins: new heads trained for a moment on the frozen backbone, or everything at once.

A mode says what freezes; ``start`` says how it begins. Heads as they are drawn pull a backbone that
moves into directions that mean nothing (Kumar et al. 2022), so by default (``"heads"``) a run whose
backbone trains begins with a phase in which it does not (``start_phase.py``): the heads that no
step ever trained fit its features, which are computed once. Where the whole backbone is frozen
there is no such phase, since the run itself is that; nor where no head is new. ``"cold"``: none.

Its steps come before the first epoch and are counted as epoch 0, so the epochs, the batches and the
rates of the run are those that it has without.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from ..checks import check_choice, check_integer, check_number, typed
from ..errors import ConfigError
from .checks import check_rate
from .defaults import LEAST_START_STEPS, MOST_START_EPOCHS, MOST_START_STEPS
from .rate_clock import SCHEDULES
from .spellings import unknown_setting

__all__ = [
    "Start",
    "StartSettings",
    "check_start",
    "count_start_steps",
    "start_settings",
]

Start = str | Mapping[str, Any]
"""``"heads"``, ``"cold"``, or settings of the heads' phase, which imply ``"heads"``."""


@dataclass(frozen=True)
class StartSettings:
    """Settings of the heads' phase; what is not given is usual, or as in the run.

    Attributes
    ----------
    epochs, steps : int or None
        How long it is; both None: `count_start_steps`.
    batch_size : int or None
        None: that of the run.
    learning_rate, weight_decay : float or {selector: float}, optional
        Of the heads; None: `FROZEN_BACKBONE_RATES`, and what is usual.
    warmup_ratio, warmup_steps, lr_schedule
        Over the phase's own steps.
    """

    epochs: int | None = None
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: Any = None
    weight_decay: Any = None
    warmup_ratio: float | None = None
    warmup_steps: int | None = None
    lr_schedule: str | None = None


_KEYS = tuple(one.name for one in fields(StartSettings))


def check_start(name: str, value: object) -> Start:
    """Return ``start`` as it is kept: a word, or the settings that were given, checked.

    Raises
    ------
    TypeError, ConfigError
        If it is neither, a key is unknown (the closest is named), or a value does not hold.

    Examples
    --------
    >>> check_start("start", "heads"), check_start("start", {"epochs": 1})
    ('heads', {'epochs': 1})
    """
    if isinstance(value, str):
        return check_choice(name, value, ("heads", "cold"))
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{name} must be 'heads', 'cold', or settings of the heads' phase such as "
            f"{{'epochs': 1}}; found {typed(value)}"
        )
    found: dict[str, Any] = {}
    for key, one in value.items():
        if key not in _KEYS:
            raise TypeError(unknown_setting("argument", str(key), _KEYS, of=name))
        found[key] = None if one is None else _CHECKS[key](f"{name}[{key!r}]", one)
    if found.get("epochs") is not None and found.get("steps") is not None:
        raise ConfigError(
            f"{name} must have one length; found epochs={found['epochs']} and "
            f"steps={found['steps']}; leave one of them out"
        )
    return found


def _check_rate(name: str, value: object) -> Any:
    checked = check_rate(name, value)
    return checked if isinstance(value, Mapping) else checked["all"]


_CHECKS: Mapping[str, Any] = {
    **{key: lambda name, one: check_integer(name, one, 1) for key in _KEYS[:3]},
    "learning_rate": _check_rate,
    "weight_decay": _check_rate,
    "warmup_ratio": lambda name, one: check_number(name, one, 0.0, 1.0),
    "warmup_steps": lambda name, one: check_integer(name, one, 0),
    "lr_schedule": lambda name, one: check_choice(name, one, tuple(SCHEDULES)),
}


def start_settings(start: Start) -> StartSettings | None:
    """Return the settings of the heads' phase; None with ``"cold"``."""
    if isinstance(start, str):
        return None if start == "cold" else StartSettings()
    return StartSettings(**start)


def count_start_steps(per_epoch: int) -> int:
    """Return how many steps the heads' phase has, of the steps of an epoch of it.

    An epoch, but at least 60 steps and at most 120, and never more than ten epochs.

    Examples
    --------
    >>> [count_start_steps(per_epoch) for per_epoch in (2, 13, 80, 5000)]
    [20, 60, 80, 120]
    """
    usual = min(max(LEAST_START_STEPS, per_epoch), MOST_START_STEPS)
    return min(usual, MOST_START_EPOCHS * per_epoch)
