# SPDX-License-Identifier: Apache-2.0
"""Precision, recall and F1 label by label, and their averages.

Of a label with t items rightly given it, p given it and g that have it: precision t / p, recall
t / g, F1 2 t / (p + g), each 0.0 where there is nothing to divide by. Averages over labels:

    micro      of t, p and g summed over the labels
    macro      the mean
    weighted   the mean by g

They are those of ``sklearn.metrics.precision_recall_fscore_support`` with ``zero_division=0``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

__all__ = ["FIGURES", "LabelCounts"]

FIGURES = ("precision", "recall", "f1")
"""What is told of each label."""

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class LabelCounts:
    """How often each label was right, given, and there; all (n_labels,) int64 arrays.

    Attributes
    ----------
    right : array
        Items that have the label and were given it.
    predicted : array
        Items that were given it.
    gold : array
        Items that have it: the support.
    """

    right: Int64
    predicted: Int64
    gold: Int64

    @classmethod
    def of(cls, gold: ArrayLike, predicted: ArrayLike) -> LabelCounts:
        """Count matrices, (n, n_labels) of bool: which item has which label.

        Raises
        ------
        DataError
            If they are no matrices of the same shape.

        Examples
        --------
        >>> counts = LabelCounts.of([[1, 0], [0, 1], [0, 1]], [[1, 0], [1, 0], [0, 1]])
        >>> counts.figures()["precision"]
        array([0.5, 1. ])
        """
        true, guess = np.asarray(gold, bool), np.asarray(predicted, bool)
        if true.ndim != 2 or true.shape != guess.shape:
            raise DataError(
                f"expected two matrices (items, labels) of the same shape; found {true.shape} and "
                f"{guess.shape}"
            )
        return cls(*(one.sum(axis=0, dtype=np.int64) for one in (true & guess, guess, true)))

    @property
    def occurs(self) -> NDArray[np.bool_]:
        """Which labels some item has or was given, (n_labels,) bool."""
        return np.asarray((self.gold > 0) | (self.predicted > 0))

    def figures(self) -> dict[str, Floats]:
        """Return the `FIGURES` of each label, (n_labels,) float64."""
        found = (
            _ratio(self.right, self.predicted),
            _ratio(self.right, self.gold),
            _ratio(2 * self.right, self.predicted + self.gold),
        )
        return dict(zip(FIGURES, found, strict=True))

    def micro(self) -> dict[str, float]:
        """Return the figures of all labels together."""
        whole = LabelCounts(*(np.array([one.sum()]) for one in self._all()))
        return {name: float(values[0]) for name, values in whole.figures().items()}

    def macro(self, of: NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Return the mean over the labels, or over those `of` a mask; 0.0 of none."""
        chosen = np.ones(len(self.gold), bool) if of is None else of
        return _means(self.figures(), chosen.astype(np.float64))

    def weighted(self) -> dict[str, float]:
        """Return the mean by how many items have each label; 0.0 of none."""
        return _means(self.figures(), self.gold.astype(np.float64))

    def _all(self) -> tuple[Int64, Int64, Int64]:
        return self.right, self.predicted, self.gold


def _means(figures: Mapping[str, Floats], weights: Floats) -> dict[str, float]:
    total = weights.sum()
    return {
        name: float((values * weights).sum() / total) if total else 0.0
        for name, values in figures.items()
    }


def _ratio(above: Int64, below: Int64) -> Floats:
    found = np.zeros(len(above), np.float64)
    np.divide(above, below, out=found, where=below > 0)
    return found
