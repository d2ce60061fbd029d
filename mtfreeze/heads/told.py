# SPDX-License-Identifier: Apache-2.0
"""What heads answered, item by item, beside what is right: what reports and metrics are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["LABEL", "LABELS", "NUMBERS", "Told"]

LABEL, LABELS, NUMBERS = "label", "labels", "numbers"
"""What a head tells of an item: one of its labels, any number of them, or numbers."""


@dataclass(frozen=True)
class Told:
    """Items with a target (texts, words) and their answers, in the order of the rows.

    Attributes
    ----------
    rows : (n,) int64 array
        The row of data that each item belongs to.
    gold : (n,) int64, (n, n_labels) bool or (n, width) float64 array
        What is right: a class; which labels; numbers.
    predicted : array like `gold`
        What was answered; -1 for a word that truncation cut off, of a head without ``O``.
    scores : (n, n_labels) float32 array or None
        Probabilities of the labels; None of numbers.
    """

    rows: NDArray[np.int64]
    gold: NDArray[Any]
    predicted: NDArray[Any]
    scores: NDArray[np.float32] | None = None

    @classmethod
    def joined(cls, parts: Sequence[Told]) -> Told:
        """Return parts as one, in the order of the rows; there is at least one."""
        first = parts[0]
        order = np.argsort(np.concatenate([one.rows for one in parts]), kind="stable")
        names = ("rows", "gold", "predicted", *(() if first.scores is None else ("scores",)))
        return cls(
            *(np.concatenate([getattr(one, name) for one in parts])[order] for name in names)
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def n_labels(self) -> int:
        """How many labels there are."""
        return 0 if self.scores is None else self.scores.shape[1]

    def sets(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return gold and predicted as matrices, (n, n_labels) bool: a column a label."""
        if self.gold.ndim == 2:
            return self.gold, self.predicted
        each = np.arange(self.n_labels)
        return self.gold[:, None] == each, self.predicted[:, None] == each

    def plain(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return copies of both as other libraries take them.

        Returns
        -------
        gold, predicted : (n,) int64; (n, n_labels) int64 of 0 and 1; (n,) or (n, width) float64
        """
        found = []
        for one in (self.gold, self.predicted):
            if one.dtype == np.bool_:
                one = one.astype(np.int64)
            elif one.ndim == 2 and one.shape[1] == 1:
                one = one[:, 0]
            found.append(one.copy())
        return found[0], found[1]
