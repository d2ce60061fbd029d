# SPDX-License-Identifier: Apache-2.0
"""What heads of words are measured by: whole entities where labels are IOB2 tags, else words."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from ..metrics.scores import token_sums
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio

__all__ = ["ENTITIES", "PLAIN_TAGS"]

_ACCURACY = Metric("accuracy", "accuracy")


class _Entities(Measure):
    """Of IOB2 tags: entities in gold, predicted, right; words, right words."""

    name: ClassVar[str] = "token"
    of: ClassVar[str] = "a token head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("f1", "F1"),
        Metric("precision", "precision"),
        Metric("recall", "recall"),
        _ACCURACY,
    )

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return F1, precision and recall of entities, and the accuracy over words."""
        return token_sums(rows.sum(axis=0))

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return entities in gold, and words."""
        return rows[:, [0, 3]]

    def n_items(self, rows: RowCounts) -> int:
        """Return words."""
        return int(rows[:, 3].sum())

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return the rows as they are."""
        return Sums(rows.astype(np.float64), lambda sums: _of_entities(metric, sums))


def _of_entities(metric: str, sums: Floats) -> Floats:
    gold, predicted, right, words, right_words = sums.T
    if metric == "accuracy":
        return ratio(right_words, words)
    precision, recall = ratio(right, predicted), ratio(right, gold)
    if metric == "precision":
        return precision
    return recall if metric == "recall" else ratio(2 * precision * recall, precision + recall)


class _Words(Measure):
    """Of tags that are no entities: words, right words."""

    name: ClassVar[str] = "word"
    of: ClassVar[str] = "a head of tags without entities"
    metrics: ClassVar[tuple[Metric, ...]] = (_ACCURACY,)

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return the accuracy over words."""
        n_words, n_right = rows.sum(axis=0)
        return {"accuracy": int(n_right) / max(1, int(n_words))}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return words."""
        return rows[:, :1]

    def n_items(self, rows: RowCounts) -> int:
        """Return words."""
        return int(rows[:, 0].sum())

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return the rows as they are."""
        return Sums(rows.astype(np.float64), lambda sums: ratio(sums[:, 1], sums[:, 0]))


ENTITIES, PLAIN_TAGS = _Entities(), _Words()
