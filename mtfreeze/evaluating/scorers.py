# SPDX-License-Identifier: Apache-2.0
"""What the rows of one task add, pass by pass, and the figures that become of it."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..heads.kind import HeadSpec
from ..heads.measure import LOSS, RowCounts
from ..heads.row_spaces import Targets
from ..inputs.packing import Encoded
from ..steps.task_losses import LossSum

__all__ = ["Outcome", "RowScorer", "Scorer"]


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
    """

    kind: str
    counts: RowCounts
    metrics: dict[str, float]


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
    """Of a head whose loss adds up over rows."""

    def __init__(
        self, spec: HeadSpec, targets: Targets, encoded: Encoded, loss_sum: LossSum
    ) -> None:
        self._spec, self._loss_sum = spec, loss_sum
        self._targets, self._encoded = targets, encoded
        self._loss, self._divisor = 0.0, 0.0
        self._rows: list[RowCounts] = []

    def add(self, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
        loss, divisor = self._loss_sum(self._targets, self._encoded, rows, outputs)
        self._loss, self._divisor = self._loss + loss, self._divisor + divisor
        self._rows.append(self._spec.scored(self._targets, self._encoded, rows, outputs))

    def results(self) -> tuple[float, RowCounts]:
        loss = self._loss / self._divisor if self._divisor else math.nan
        return loss, np.concatenate(self._rows)
