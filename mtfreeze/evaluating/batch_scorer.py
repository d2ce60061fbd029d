# SPDX-License-Identifier: Apache-2.0
"""Scoring heads whose loss compares the rows of a batch.

Their outputs of all rows are kept until the last pass: the loss is the mean over batches of rows in
their order, however the passes were cut, and the measure may compare any rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..heads.kind import HeadSpec
from ..heads.measure import RowCounts
from ..heads.row_spaces import Targets
from ..inputs.packing import Encoded
from ..losses.own import LossFunction, loss_sum
from ..quoting import quoted
from .scorers import Scorer

__all__ = ["BatchScorer"]


class BatchScorer(Scorer):
    """What the rows of one task give, collected.

    Parameters
    ----------
    name : str
        The task, for messages.
    spec : HeadSpec
        Of its head.
    targets, encoded
        Of the data.
    loss : callable
        Over a batch.
    rows : (n,) int64 array
        All rows that will come.
    batch_size : int
        Rows of a batch of the loss.
    """

    def __init__(
        self,
        name: str,
        spec: HeadSpec,
        targets: Targets,
        encoded: Encoded,
        loss: LossFunction,
        rows: NDArray[np.int64],
        batch_size: int,
    ) -> None:
        self._name, self._spec, self._loss = name, spec, loss
        self._targets, self._encoded = targets, encoded
        self._rows, self._batch_size = rows, batch_size
        self._outputs: NDArray[np.float32] | None = None

    def add(self, rows: NDArray[np.int64], outputs: NDArray[np.float32]) -> None:
        """Take the head's outputs, (N, width), of a pass over these rows."""
        if self._outputs is None:
            shape = (len(self._encoded), outputs.shape[1])
            self._outputs = np.zeros(shape, np.float32)
        self._outputs[self._encoded.sequences_of(rows)] = outputs

    def results(self) -> tuple[float, RowCounts]:
        """Return the mean loss, NaN for none, and what each row adds to the measure."""
        assert self._outputs is not None
        losses = [
            loss_sum(self._loss, outputs, targets, f"evaluation, task {quoted(self._name)}")
            for outputs, targets in self._batches(self._outputs)
        ]
        means = [total / n for total, n in losses if n]
        outputs = self._outputs[self._encoded.sequences_of(self._rows)]
        counts = self._spec.scored(self._targets, self._encoded, self._rows, outputs)
        return math.fsum(means) / len(means) if means else math.nan, counts

    def _batches(
        self, outputs: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        """Yield outputs and targets of `batch_size` labelled rows each; the last may have fewer."""
        labelled = self._rows[np.isin(self._rows, self._targets.labelled_rows())]
        for first in range(0, len(labelled), self._batch_size):
            some = labelled[first : first + self._batch_size]
            targets = np.asarray(self._targets.for_rows(self._encoded, some), np.float32)
            yield outputs[self._encoded.sequences_of(some)], targets
