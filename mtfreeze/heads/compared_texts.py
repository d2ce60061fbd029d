# SPDX-License-Identifier: Apache-2.0
"""Rows of texts that are compared: their targets, and the answer for a pair, its cosine."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..inputs.packing import Encoded, PackedBatch
from ..losses.batch_rows import N_TARGETS
from ..losses.vectors import unit
from .row_spaces import ArrayRows, Float32, Int64, Targets, Values

__all__ = ["COMPARED", "ComparedTargets", "pair_cosines"]

PLACE, N_TEXTS, SCORE, TEXT = range(N_TARGETS)
"""Columns of targets; see ``losses/batch_rows.py``."""


@dataclass
class ComparedTargets(Targets):
    """Targets of rows of several texts, one a text.

    Attributes
    ----------
    values : (N, 4) float32 array
        Of all texts, row after row; NaN first in rows without a target.
    n_texts : int
        Texts of every row.
    """

    values: Float32
    n_texts: int

    @classmethod
    def of(cls, texts: Sequence[Sequence[Hashable]], scores: Sequence[Any]) -> ComparedTargets:
        """Return targets of rows of equally many texts.

        Parameters
        ----------
        texts : sequence of sequences
            Texts, or what stands for them: equal values for equal texts.
        scores : sequence of number, sequence of numbers or None
            One a row, or one a negative; None: the row has no target.
        """
        k = len(texts[0])
        numbers: dict[Hashable, int] = {}
        values = np.zeros((len(texts), k, N_TARGETS), np.float32)
        values[:, :, PLACE] = np.arange(k)
        values[:, :, N_TEXTS] = k
        for row, (own, score) in enumerate(zip(texts, scores, strict=True)):
            values[row, :, TEXT] = [numbers.setdefault(one, len(numbers)) for one in own]
            if score is None:
                values[row, :, PLACE] = np.nan
            elif isinstance(score, tuple):
                values[row, k - len(score) :, SCORE] = score
            else:
                values[row, :, SCORE] = score
        return cls(values.reshape(-1, N_TARGETS), k)

    def rows(self) -> Float32:
        """Return the targets by row, (n, k, 4)."""
        return self.values.reshape(-1, self.n_texts, N_TARGETS)

    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the targets of the texts of these rows."""
        return self.rows()[rows].reshape(-1, N_TARGETS)

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for every text of the batch."""
        return np.full((batch.n_sequences, N_TARGETS), np.nan, np.float32)

    def flat(self) -> Values:
        """Return the targets of all texts."""
        return self.values

    def labelled_rows(self) -> Int64:
        """Return the numbers of the rows with a target."""
        return np.flatnonzero(~np.isnan(self.rows()[:, 0, PLACE])).astype(np.int64)

    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return every text of the batch."""
        n = len(rows) * self.n_texts
        owner = np.repeat(np.arange(len(rows), dtype=np.int64), self.n_texts)
        return np.arange(n, dtype=np.int64), self.for_rows(encoded, rows), owner


def pair_cosines(outputs: NDArray[np.floating[Any]], n_texts: int) -> NDArray[np.float64]:
    """Return the cosines of the first two of every `n_texts` vectors, (n,) float64."""
    vectors = outputs.astype(np.float64).reshape(-1, n_texts, outputs.shape[-1])
    u, _ = unit(vectors[:, :2])
    return np.asarray((u[:, 0] * u[:, 1]).sum(axis=1))


class _Compared(ArrayRows):
    """A row of texts has one answer: the cosine of its two texts."""

    def empty(self, n: int, width: int) -> Any:
        return np.zeros((n, 1), dtype=np.float32)

    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        offsets = encoded.row_offsets
        if offsets is None or (np.diff(offsets) != 2).any():
            counts = np.ones(1) if offsets is None else np.diff(offsets)
            bad = int(np.flatnonzero(counts != 2)[0])
            raise DataError(
                f"row {bad}: expected a pair of texts to compare; found "
                f"{int(counts[bad])} of them; give (text, text)"
            )
        found[rows, 0] = pair_cosines(outputs, 2)


COMPARED = _Compared(
    name="sequences",
    item="row",
    items="rows",
    example="row",
    data="rows of texts",
    labelled="rows",
    classes="scores",
    splits=False,
)
