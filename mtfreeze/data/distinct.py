# SPDX-License-Identifier: Apache-2.0
"""Batches without repeats: rows that have a text in common stand in different batches.

A loss that takes the other rows of a batch for negatives learns nothing from a row that shares a
text with this one. Batches keep their sizes and every row stays: a row that repeats a text of its
batch changes places with one of another batch, the nearest that follows, if both fit there. Where
none is found it stays: data of few different texts has such batches.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["without_repeats"]

_TRIES = 64
"""Batches that are looked at for one row."""

Rows = NDArray[np.int64]


def without_repeats(batches: Sequence[Rows], texts: Sequence[Sequence[Hashable]]) -> list[Rows]:
    """Return batches of the same rows and sizes, in which texts repeat as little as can be had.

    Parameters
    ----------
    batches : sequence of (b,) int64 arrays
        Row numbers, each once.
    texts : sequence of sequences
        Of every row, or what stands for them: equal values for equal texts.

    Examples
    --------
    >>> texts = [("a", "b"), ("a", "c"), ("d", "e"), ("f", "g")]
    >>> without_repeats([np.array([0, 1]), np.array([2, 3])], texts)
    [array([0, 2]), array([1, 3])]
    """
    found = _Batches([batch.tolist() for batch in batches], texts)
    for at in range(len(batches)):
        for place in range(len(batches[at])):
            if found.repeats(at, place):
                found.move(at, place)
    return [np.array(batch, np.int64) for batch in found.rows]


class _Batches:
    """Batches while rows change places, and how often each text stands in each."""

    def __init__(self, rows: list[list[int]], texts: Sequence[Sequence[Hashable]]) -> None:
        self.rows = rows
        self._texts = texts
        self._counts = [Counter(t for row in batch for t in set(texts[row])) for batch in rows]

    def repeats(self, at: int, place: int) -> bool:
        """Say whether a row of a batch has a text that an earlier row of it has too."""
        row = self.rows[at][place]
        mine = {text for text in self._texts[row] if self._counts[at][text] > 1}
        if not mine:
            return False
        return any(not mine.isdisjoint(self._texts[other]) for other in self.rows[at][:place])

    def move(self, at: int, place: int) -> None:
        """Change places with a row of another batch, if both then fit."""
        row = self.rows[at][place]
        n = len(self.rows)
        for other in ((at + step) % n for step in range(1, min(n, _TRIES + 1))):
            for there, candidate in enumerate(self.rows[other]):
                if self._fits(row, other, candidate) and self._fits(candidate, at, row):
                    self._put(at, place, candidate)
                    self._put(other, there, row)
                    return

    def _fits(self, row: int, at: int, instead_of: int) -> bool:
        """Say whether a batch has none of a row's texts once another row has left it."""
        leaving, counts = set(self._texts[instead_of]), self._counts[at]
        return all(counts[text] <= (text in leaving) for text in self._texts[row])

    def _put(self, at: int, place: int, row: int) -> None:
        self._counts[at].subtract(set(self._texts[self.rows[at][place]]))
        self._counts[at].update(set(self._texts[row]))
        self.rows[at][place] = row
