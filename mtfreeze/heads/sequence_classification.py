# SPDX-License-Identifier: Apache-2.0
"""Classification of sequences: one label for each text.

A row adds to the measure the class in gold, the one predicted, and how probable that is, in
millionths, so that it is a whole number as all that rows add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data.examples import Examples
from ..data.labels import IGNORE, encode_labels
from ..inputs.packing import Encoded
from ..metrics.calibration import calibration_error
from ..metrics.scores import majority_label, sequence_metrics
from .classes import Classification, Int64
from .kind import Float32, PooledHead
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import Targets, TextTargets

__all__ = ["SequenceClassification"]

_MILLION = 1_000_000


class _Pairs(Measure):
    """Of texts with one label: (gold, predicted, millionths of its probability or -1) by row.

    Rows of results that were saved earlier are pairs without a probability.
    """

    name: ClassVar[str] = "sequence"
    of: ClassVar[str] = "a sequence head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "accuracy"),
        Metric("f1_macro", "macro F1"),
        Metric("mcc", "MCC"),
        Metric("ece", "calibration error", greater=False, chosen=False),
    )

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return accuracy, macro F1, Matthews correlation and, if it is known, calibration."""
        found = sequence_metrics(rows[:, 0], rows[:, 1])
        if rows.shape[1] > 2 and (rows[:, 2] >= 0).all():
            found["ece"] = calibration_error(rows[:, 0] == rows[:, 1], rows[:, 2] / _MILLION)
        return found

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the classes in gold."""
        return rows[:, :1]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return right rows and all rows for the accuracy, else a column a cell of the matrix."""
        if metric == "accuracy":
            right = rows[:, 0] == rows[:, 1]
            columns = np.stack([right, np.ones_like(right)], axis=1).astype(np.float64)
            return Sums(columns, lambda sums: ratio(sums[:, 0], sums[:, 1]))
        cells, column = np.unique(rows[:, :2], axis=0, return_inverse=True)
        classes = np.arange(1 + int(cells.max(initial=0)))
        columns = np.zeros((len(rows), len(cells)))
        columns[np.arange(len(rows)), column.ravel()] = 1.0
        in_gold, in_predicted = ((cells[:, i, None] == classes).astype(np.float64) for i in (0, 1))
        value = {"f1_macro": _f1_macro, "mcc": _mcc}[metric]

        def values(sums: Floats) -> Floats:
            hits = sums @ (in_gold * in_predicted)
            return value(sums @ in_gold, sums @ in_predicted, hits)

        return Sums(columns, values)


def _f1_macro(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    """Return the mean F1 of the classes that occur; all (b, classes)."""
    total = gold + predicted
    return ratio(ratio(2.0 * hits, total).sum(axis=1), (total > 0).sum(axis=1).astype(np.float64))


def _mcc(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    """Return the Matthews correlation for any number of classes (Gorodkin 2004)."""
    n = gold.sum(axis=1)
    covariance = hits.sum(axis=1) * n - (gold * predicted).sum(axis=1)
    spread = (n * n - (predicted**2).sum(axis=1)) * (n * n - (gold**2).sum(axis=1))
    return ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))


@dataclass(frozen=True)
class SequenceClassification(Classification, PooledHead):
    """One label for each text.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`.
    features, pooling
        See `PooledHead`.

    Examples
    --------
    >>> SequenceClassification(["negative", "positive"], hidden=(64,)).labels
    ('negative', 'positive')
    """

    kind: ClassVar[str] = "sequence_classification"
    written: ClassVar[str] = "mtf.SequenceClassification(labels=[...])"
    measures: ClassVar[tuple[Measure, ...]] = (_Pairs(),)

    def targets(self, examples: Examples, label: str, head: str) -> TextTargets:
        """Turn the label of each text into its class."""
        return TextTargets(encode_labels(examples, label, self.labels, head))

    def counted(self, gold: Int64, predicted: Int64, owner: Int64) -> RowCounts:
        """Return the pairs of classes, of unknown probability."""
        return self._rows(gold, predicted, np.full(len(gold), np.nan))

    def scored(
        self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32
    ) -> RowCounts:
        """Return classes and probabilities of the labelled texts."""
        gold = targets.for_rows(encoded, rows)
        known = gold != IGNORE
        shares = self.decoded(outputs[known])
        return self._rows(gold[known], outputs[known].argmax(axis=1), shares.max(axis=1))

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict the most frequent label of the training data, as probable as it is there."""
        codes = gold.flat()[gold.labelled_rows()].astype(np.int64)
        often = majority_label(train.flat())
        share = float((train.flat()[train.labelled_rows()] == often).mean())
        return self._rows(codes, np.full_like(codes, often), np.full(len(codes), share))

    @staticmethod
    def _rows(gold: Int64, predicted: Int64, share: NDArray[np.floating]) -> RowCounts:
        known = np.where(np.isnan(share), -1.0, np.rint(share * np.float64(_MILLION)))
        return np.stack([gold, predicted, known], axis=1).astype(np.int64)
