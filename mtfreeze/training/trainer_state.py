# SPDX-License-Identifier: Apache-2.0
"""`TrainerState`: everything about how far a run got, apart from model and moments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TrainerState"]


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
        """Return the state that `to_dict` gave; KeyError if a part of it is missing."""
        names = [one.name for one in fields(cls) if one.name != "best_params"]
        arrays = {key: value.copy() for key, value in (best_params or {}).items()}
        return cls(**{name: values[name] for name in names}, best_params=arrays)
