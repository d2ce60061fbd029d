# SPDX-License-Identifier: Apache-2.0
"""What the rows of one task add, pass by pass, and the figures that become of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..heads.extra_metrics import ExtraMetric
from ..heads.kind import HeadSpec
from ..heads.measure import LOSS, RowCounts
from ..heads.row_spaces import Targets
from ..heads.told import Told
from ..inputs.packing import TOKENS, Encoded
from ..quoting import quoted
from ..steps.task_losses import LossSum

__all__ = ["Outcome", "RowLosses", "RowScorer", "Scorer"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class RowLosses:
    """The loss of each row by itself.

    Attributes
    ----------
    rows : (n,) int64 array
        Rows of data with a target.
    losses : (n,) float64 array
        What ``eval_<task>_loss`` would be of each alone.
    """

    rows: NDArray[np.int64]
    losses: Floats


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found for one task.

    Attributes
    ----------
    kind : str
        Name of the head's measure.
    counts : (n, k) array
        What every row with labels adds to it.
    metrics : dict of str to float
        Loss and metrics by short name.
    told : Told or None
        What was answered, item by item, where that is kept.
    row_losses : RowLosses or None
        The same of losses.
    """

    kind: str
    counts: RowCounts
    metrics: dict[str, float]
    told: Told | None = None
    row_losses: RowLosses | None = None


class Scorer(ABC):
    """Collects what the rows of one task add, then turns it into figures."""

    _spec: HeadSpec

    @abstractmethod
    def add(self, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
        """Take the head's outputs, (N, width), of a pass over these rows."""

    @abstractmethod
    def results(self) -> tuple[float, RowCounts]:
        """Return the mean loss, NaN for none, and what each row adds to the measure."""

    def outcome(self) -> Outcome:
        """Return loss and metrics, and what each row adds to them."""
        loss, counts = self.results()
        measure = self._spec.measure
        figures = measure.figures(counts)
        if not measure.n_items(counts):  # 0.0 would be a figure like any other
            figures = dict.fromkeys(figures, math.nan)
        return Outcome(measure.name, counts, {LOSS.name: loss} | figures)


class RowScorer(Scorer):
    """Of a head whose loss adds up over rows.

    Parameters
    ----------
    name : str
        The task, for messages.
    spec : HeadSpec
        Of its head.
    targets, encoded
        Of the data.
    loss_sum : callable
    metrics : sequence of ExtraMetric
        Computed beside those of the head, of all answers.
    told : bool
        Keep the answers.
    row_losses : bool
        Compute the loss of each row by itself, too.
    """

    def __init__(
        self,
        name: str,
        spec: HeadSpec,
        targets: Targets,
        encoded: Encoded,
        loss_sum: LossSum,
        *,
        metrics: Sequence[ExtraMetric] = (),
        told: bool = False,
        row_losses: bool = False,
    ) -> None:
        self._name, self._spec, self._loss_sum = name, spec, loss_sum
        self._targets, self._encoded = targets, encoded
        self._loss, self._divisor = 0.0, 0.0
        self._rows: list[RowCounts] = []
        self._metrics, self._keeps, self._by_row = metrics, told, row_losses
        self._told: list[Told] = []
        self._losses: list[RowLosses] = []

    def add(self, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
        loss, divisor = self._loss_sum(self._targets, self._encoded, rows, outputs)
        self._loss, self._divisor = self._loss + loss, self._divisor + divisor
        self._rows.append(self._spec.scored(self._targets, self._encoded, rows, outputs))
        if self._keeps or self._metrics:
            self._told.append(self._spec.told(self._targets, self._encoded, rows, outputs))
        if self._by_row:
            self._losses.append(self._each(rows, outputs))

    def results(self) -> tuple[float, RowCounts]:
        loss = self._loss / self._divisor if self._divisor else math.nan
        return loss, np.concatenate(self._rows)

    def outcome(self) -> Outcome:
        """Return loss and metrics, and what each row adds to them."""
        found = super().outcome()
        told = Told.joined(self._told) if self._told else None
        if told is not None:
            where = f"evaluation, task {quoted(self._name)}"
            extra = {
                one.name: one.value(told, where) if len(told) else math.nan for one in self._metrics
            }
            found = replace(found, metrics=found.metrics | extra)
        if self._losses:
            names = ("rows", "losses")
            parts = (np.concatenate([getattr(one, name) for one in self._losses]) for name in names)
            found = replace(found, row_losses=RowLosses(*parts))
        return replace(found, told=told if self._keeps else None)

    def _each(self, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> RowLosses:
        """Return the loss of each of these rows that has a target."""
        lengths = np.ones(len(rows), np.int64)
        if self._spec.space == TOKENS:
            lengths = self._encoded.row_lengths[rows]
        ends = np.cumsum(lengths)
        kept, losses = [], []
        for at, (end, length) in enumerate(zip(ends.tolist(), lengths.tolist(), strict=True)):
            one = outputs[end - length : end]
            loss, divisor = self._loss_sum(self._targets, self._encoded, rows[at : at + 1], one)
            if divisor:
                kept.append(at)
                losses.append(loss / divisor)
        return RowLosses(rows[np.array(kept, np.int64)], np.array(losses, np.float64))
