# SPDX-License-Identifier: Apache-2.0
"""`TrainerState`: everything about how far a run got, apart from model and moments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..freezing.digests import FrozenReport
from ..quoting import quoted

__all__ = ["TrainerState"]

Check = Callable[[object], bool]


def _is_count(value: object) -> bool:
    return type(value) is int and -1 <= value < 2**63


def _is_number(value: object) -> bool:
    return type(value) in (int, float)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_any(value: object) -> bool:
    return True


def _or_none(one: Check) -> Check:
    return lambda value: value is None or one(value)


def _mapping(of: Check) -> Check:
    return lambda value: isinstance(value, dict) and all(of(one) for one in value.values())


def _rows(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _history(value: object) -> bool:
    return _rows(value) and all(_is_count(one.get("step")) for one in cast(Any, value))


def _reports(value: object) -> bool:
    if not _rows(value):
        return False
    try:
        for one in cast(Any, value):
            FrozenReport.from_dict(one)
    except (KeyError, TypeError, ValueError):
        return False
    return True


_KINDS: dict[str, Check] = {
    **dict.fromkeys(("n_steps", "n_sequences", "n_tokens", "phase"), _is_count),
    **dict.fromkeys(("evaluated_at", "best_step"), _is_count),
    **dict.fromkeys(("smooth", "metrics", "best_metrics"), _mapping(_is_number)),
    **dict.fromkeys(("before", "phase_before"), _mapping(_is_text)),
    "seconds": _is_number,
    "pending": lambda value: isinstance(value, bool),
    "history": _history,
    "reports": _reports,
    "stop_reason": _or_none(_is_text),
    "weighting": _mapping(_is_any),
    "callbacks": _rows,
    "best_value": _or_none(_is_number),
}
"""What each part of a state looks like in a file, which may be damaged or a stranger's."""


@dataclass
class TrainerState:
    """How far a run got. JSON values, `best_params` apart.

    Attributes
    ----------
    n_steps, n_sequences, n_tokens : int
        Done.
    seconds : float
        Spent in steps, evaluations between them not counted.
    phase : int
        Number of the phase that was begun last; 0 before the first.
    pending : bool
        Whether what follows the last step (an evaluation that is due) is still to come.
    history : list of dict
        See `Run.history`.
    smooth : dict of str to float
        Smoothed loss of each task, for the progress bar.
    metrics : dict of str to float
        Of the last evaluation, which was after `evaluated_at` steps (-1: none yet).
    evaluated_at : int
    before, phase_before : dict of str to str
        Digests of every tensor at the begin of the run, and of the phase.
    reports : list of dict
        The verdict on what was frozen, of each phase that ended.
    stop_reason : str or None
        Why a callback ended the run.
    weighting : dict
        State of learned loss weights.
    callbacks : list of dict
        State of each callback, in the order given to `fit`.
    best_value, best_step, best_metrics
        The best evaluation so far, where the best model is kept (step -1: none yet).
    best_params : dict of str to float32 array
        What trains, as it was then.
    """

    n_steps: int = 0
    n_sequences: int = 0
    n_tokens: int = 0
    seconds: float = 0.0
    phase: int = 0
    pending: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    smooth: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    evaluated_at: int = -1
    before: dict[str, str] = field(default_factory=dict)
    phase_before: dict[str, str] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)
    stop_reason: str | None = None
    weighting: dict[str, Any] = field(default_factory=dict)
    callbacks: list[dict[str, Any]] = field(default_factory=list)
    best_value: float | None = None
    best_step: int = -1
    best_metrics: dict[str, float] = field(default_factory=dict)
    best_params: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the arrays, `best_params`, as JSON values."""
        return {
            one.name: getattr(self, one.name) for one in fields(self) if one.name != "best_params"
        }

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], best_params: Mapping[str, NDArray[np.float32]] | None = None
    ) -> TrainerState:
        """Return the state that `to_dict` gave, every part of it looked at.

        Raises
        ------
        KeyError, ValueError
            If a part of it is missing, or is not what a run puts down.
        """
        names = [one.name for one in fields(cls) if one.name != "best_params"]
        for name in names:
            if not _KINDS[name](values[name]):
                raise ValueError(f"{name} = {quoted(values[name], 60)}")
        arrays = {key: value.copy() for key, value in (best_params or {}).items()}
        return cls(**{name: values[name] for name in names}, best_params=arrays)
