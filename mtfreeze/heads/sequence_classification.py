# SPDX-License-Identifier: Apache-2.0
"""Classification of sequences: one label for each text.

A row adds a pair to the measure: the class in gold and the one predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..data.examples import Examples
from ..data.labels import IGNORE, encode_labels
from ..inputs.packing import Encoded
from ..metrics.scores import majority_label, sequence_metrics
from .classes import Classification, Int64
from .kind import Float32, PooledHead
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import Targets, TextTargets

__all__ = ["SequenceClassification"]


class _Pairs(Measure):
    """Of texts with one label: (gold, predicted) by row."""

    name: ClassVar[str] = "sequence"
    of: ClassVar[str] = "a sequence head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("accuracy", "accuracy"),
        Metric("f1_macro", "macro F1"),
        Metric("mcc", "MCC"),
    )

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return accuracy, macro F1 and Matthews correlation."""
        return sequence_metrics(rows[:, 0], rows[:, 1])

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the classes in gold."""
        return rows[:, :1]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return right rows and all rows for the accuracy, else a column a cell of the matrix."""
        if metric == "accuracy":
            right = rows[:, 0] == rows[:, 1]
            columns = np.stack([right, np.ones_like(right)], axis=1).astype(np.float64)
            return Sums(columns, lambda sums: ratio(sums[:, 0], sums[:, 1]))
        cells, column = np.unique(rows, axis=0, return_inverse=True)
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
        """Return the pairs of classes."""
        return np.stack([gold, predicted], axis=1).astype(np.int64)

    def scored(
        self, targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32
    ) -> RowCounts:
        """Return the pairs of the labelled texts."""
        gold = targets.for_rows(encoded, rows)
        known = gold != IGNORE
        return self.counted(gold[known], outputs.argmax(axis=1)[known], rows[known])

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict the most frequent label of the training data for every text."""
        rows = gold.labelled_rows()
        codes = gold.flat()[rows].astype(np.int64)
        return self.counted(codes, np.full_like(codes, majority_label(train.flat())), rows)
