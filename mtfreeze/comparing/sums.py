# SPDX-License-Identifier: Apache-2.0
"""Metrics from sums over evaluation rows, for many weightings of the rows at once.

Every metric of `metrics.scores` but the loss follows from sums: a text adds one to a cell of the
confusion matrix, a sentence adds its entities and words. So the metric of a redrawn evaluation set
needs one product, weights (draws x rows) times what each row adds (rows x sums), and no text. The
definitions are those of `metrics.scores`, division by zero included; a test holds the two together.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..closest import unknown
from ..errors import ConfigError
from ..metrics.scores import SEQUENCE_METRICS, TOKEN_METRICS
from .results import TaskScore

__all__ = ["RowSums"]

Floats = NDArray[np.float64]

_KNOWN = {"sequence": SEQUENCE_METRICS, "token": TOKEN_METRICS, "word": ("accuracy",)}


class RowSums:
    """What each evaluation row of one score adds, and the metric that follows from the sums.

    Parameters
    ----------
    score : TaskScore
        Of one model on one task.
    metric : str, optional
        A short name; by default the one that the task is judged by.

    Attributes
    ----------
    columns : (n, k) float64
        What each row adds to k sums. Sums of whole numbers are exact in any order.

    Raises
    ------
    ConfigError
        If the metric does not follow from counts of this kind.
    """

    def __init__(self, score: TaskScore, metric: str | None = None) -> None:
        self._kind = score.kind
        self._metric = score.primary if metric is None else metric
        known = _KNOWN[score.kind]
        if self._metric not in known:
            what = f"counts of the kind {score.kind}"
            raise ConfigError(unknown("metric", self._metric, known, of=what))
        if score.kind != "sequence":
            self.columns: Floats = score.counts.astype(np.float64)
        elif self._metric == "accuracy":
            right = score.counts[:, 0] == score.counts[:, 1]
            self.columns = np.stack([right, np.ones_like(right)], axis=1).astype(np.float64)
        else:
            self._take_cells(score.counts)

    def _take_cells(self, counts: NDArray[np.int64]) -> None:
        """Make a column of every cell of the confusion matrix that any row falls into."""
        cells, column = np.unique(counts, axis=0, return_inverse=True)
        classes = np.arange(1 + int(cells.max(initial=0)))
        self.columns = np.zeros((len(counts), len(cells)))
        self.columns[np.arange(len(counts)), column.ravel()] = 1.0
        gold, predicted = (cells[:, i, None] == classes for i in (0, 1))
        self._gold, self._predicted = gold.astype(np.float64), predicted.astype(np.float64)

    def values(self, sums: Floats) -> Floats:
        """Return the metric of each row of sums.

        Parameters
        ----------
        sums : (b, k) float64
            Weights of rows times `columns`.

        Returns
        -------
        (b,) float64
        """
        if self._kind == "word":
            return _ratio(sums[:, 1], sums[:, 0])
        if self._kind == "token":
            return self._of_entities(sums)
        if self._metric == "accuracy":
            return _ratio(sums[:, 0], sums[:, 1])
        gold, predicted = sums @ self._gold, sums @ self._predicted
        hits = sums @ (self._gold * self._predicted)
        return (
            _f1_macro(gold, predicted, hits)
            if self._metric == "f1_macro"
            else _mcc(gold, predicted, hits)
        )

    def _of_entities(self, sums: Floats) -> Floats:
        gold, predicted, right, words, right_words = sums.T
        if self._metric == "accuracy":
            return _ratio(right_words, words)
        precision, recall = _ratio(right, predicted), _ratio(right, gold)
        if self._metric == "precision":
            return precision
        return (
            recall
            if self._metric == "recall"
            else _ratio(2 * precision * recall, precision + recall)
        )

    def whole(self) -> float:
        """Return the metric of the rows as they are, each once."""
        return float(self.values(self.columns.sum(axis=0, keepdims=True))[0])


def _ratio(above: Floats, below: Floats) -> Floats:
    """Divide; 0.0 where there is nothing to divide by."""
    found = np.zeros_like(above)
    np.divide(above, below, out=found, where=below > 0)
    return found


def _f1_macro(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    """Return the mean F1 of the classes that occur; all (b, classes)."""
    total = gold + predicted
    return _ratio(_ratio(2.0 * hits, total).sum(axis=1), (total > 0).sum(axis=1).astype(np.float64))


def _mcc(gold: Floats, predicted: Floats, hits: Floats) -> Floats:
    """Return the Matthews correlation for any number of classes (Gorodkin 2004)."""
    n = gold.sum(axis=1)
    covariance = hits.sum(axis=1) * n - (gold * predicted).sum(axis=1)
    spread = (n * n - (predicted**2).sum(axis=1)) * (n * n - (gold**2).sum(axis=1))
    return _ratio(covariance, np.sqrt(np.maximum(spread, 0.0)))
