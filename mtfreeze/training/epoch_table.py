# SPDX-License-Identifier: Apache-2.0
"""The table that grows while a run trains: a row an epoch, and one an evaluation within it.

A row is the state of the run in words, so a run that was resumed goes on with the next row. Figures
of evaluations are the last ones; they are left out where there was none since the row before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from ..evaluating.scoring import Scoring
from ..heads.measure import LOSS
from ..heads.registry import metric_words
from ..printable import printable
from ..quoting import cut
from .trainer_state import TrainerState

__all__ = ["EpochTable"]

_LEAST = 5
"""Characters of a column."""

_LONGEST = 24
"""Characters of a task's name."""

_MOST_LOSSES = 3
"""Evaluated tasks up to which each has a column for its loss beside that of its metric."""


class EpochTable:
    """Puts rows together and says them; columns are as wide as their names.

    Parameters
    ----------
    scoring : Scoring
        The tasks that are evaluated, and what they are judged by.
    say : callable
        Takes each line.
    """

    def __init__(self, scoring: Scoring, say: Callable[[str], None]) -> None:
        self._say = say
        self._began = time.perf_counter()
        self._headed = False
        self._said_at = -1
        shown = [
            (name, short)
            for name, judged_by in scoring.short.items()
            for short in ([LOSS.name] if len(scoring.short) <= _MOST_LOSSES else []) + [judged_by]
            if short in scoring.metric_names[name]
        ]
        self._keys = [scoring.metric_names[name][short] for name, short in dict.fromkeys(shown)]
        self._names = ["epoch", "step", "train loss"]
        self._names += [
            f"{cut(printable(name), _LONGEST)} {metric_words(short)}"
            for name, short in dict.fromkeys(shown)
        ]
        self._names.append("seconds")

    def interrupt(self) -> None:
        """Begin with the names again, since other lines follow."""
        self._headed = False

    def add(self, state: TrainerState, epoch: int) -> None:
        """Say the row of the step that the run has come to, once.

        Parameters
        ----------
        state : TrainerState
            Of the run.
        epoch : int
            The number of its epoch, 0 for what comes before the first.
        """
        if state.n_steps == self._said_at or not state.n_steps:
            return
        self._said_at = state.n_steps
        evaluated = state.evaluated_at == state.n_steps
        figures = [state.metrics.get(key) if evaluated else None for key in self._keys]
        if not self._headed:
            self._say("  ".join(name.rjust(_LEAST) for name in self._names))
            self._headed = True
        cells = [str(epoch), str(state.n_steps), _figure(_mean_loss(state, epoch))]
        cells += [_figure(value) for value in figures]
        cells.append(f"{time.perf_counter() - self._began:.1f}")
        self._say(_row(cells, self._names))


def _row(cells: Sequence[str], names: Sequence[str]) -> str:
    return "  ".join(
        cell.rjust(max(_LEAST, len(name))) for cell, name in zip(cells, names, strict=True)
    )


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _mean_loss(state: TrainerState, epoch: int) -> float | None:
    """Return the mean of the losses of an epoch's steps so far, as they were weighted."""
    losses = []
    for row in reversed(state.history):
        if row.get("epoch") != epoch:
            break
        if "loss" in row:
            losses.append(row["loss"])
    return math.fsum(losses) / len(losses) if losses else None
