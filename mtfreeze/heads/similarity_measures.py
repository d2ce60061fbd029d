# SPDX-License-Identifier: Apache-2.0
"""What similarity is judged by: correlations with scores, or how documents are found.

Scored pairs: Pearson's and Spearman's correlation of cosines and scores. Rows of a query, its
document and maybe negatives: every different query of the data looks for its documents among all
different documents, negatives too; a query that several rows have has the documents of all of them.
Labelled texts: every text looks for the other texts of its label among all other texts; a text
alone with its label is not asked.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..losses.vectors import unit
from ..metrics.retrieval import RETRIEVAL, retrieval_figures
from .compared_texts import SCORE, TEXT, pair_cosines
from .measure import Measure, Metric, RowCounts, Sums, ratio
from .regression import NUMBERS

__all__ = ["RETRIEVED", "SCORED", "retrieved", "scored_pairs"]

Float32 = NDArray[np.float32]


class _Scored(Measure):
    """Of pairs with scores: the score, then the cosine, by row."""

    name: ClassVar[str] = "scored_pairs"
    of: ClassVar[str] = "a similarity head with scored pairs"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("pearson_cosine", "Pearson r of cosines"),
        Metric("spearman_cosine", "Spearman rho of cosines", chosen=False),
    )
    dtype: ClassVar[type] = np.float64

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return both correlations; 0.0 for no rows, or where nothing varies."""
        found = NUMBERS.figures(rows)
        return {name: found[name.removesuffix("_cosine")] for name in self.names}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the scores."""
        return NUMBERS.gold(rows)

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return counts, sums and squares."""
        return NUMBERS.sums(rows, metric.removesuffix("_cosine"))


class _Retrieved(Measure):
    """Of queries: whether one is asked at this row, then its figures."""

    name: ClassVar[str] = "retrieved"
    of: ClassVar[str] = "a similarity head without scores"
    metrics: ClassVar[tuple[Metric, ...]] = tuple(Metric(one, one.upper()) for one in RETRIEVAL)
    dtype: ClassVar[type] = np.float64

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return the means over the queries; 0.0 for none."""
        columns = np.asarray(rows, np.float64).reshape(-1, 1 + len(RETRIEVAL)).sum(axis=0)
        return {name: float(ratio(columns[i], columns[0])) for i, name in enumerate(RETRIEVAL, 1)}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return where a query is asked."""
        return rows[:, :1]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return the figure of each query, and how many there are."""
        own = 1 + RETRIEVAL.index(metric)
        return Sums(
            np.asarray(rows[:, [own, 0]], np.float64), lambda sums: ratio(sums[:, 0], sums[:, 1])
        )

    def n_items(self, rows: RowCounts) -> int:
        """Return how many queries were asked."""
        return int(np.asarray(rows)[:, 0].sum())


SCORED = _Scored()
RETRIEVED = _Retrieved()


def scored_pairs(vectors: NDArray[Any], values: Float32) -> RowCounts:
    """Return score and cosine of each row, from vectors (n, 2, C) and targets (n, 2, 4)."""
    cosines = pair_cosines(vectors.reshape(-1, vectors.shape[-1]), vectors.shape[1])
    return np.stack([values[:, 0, SCORE].astype(np.float64), cosines], axis=1)


def retrieved(vectors: NDArray[Any], values: Float32, nothing: bool = False) -> RowCounts:
    """Return whether a query is asked at each row, and its figures, (n, 6) float64.

    Parameters
    ----------
    vectors : (n, k, C) array
        Of all rows of the data.
    values : (n, k, 4) array
        Their targets.
    nothing : bool
        Whether nothing is to be found, for the figures of who knows nothing.
    """
    rows = np.zeros((len(values), 1 + len(RETRIEVAL)))
    texts = values[:, :, TEXT].astype(np.int64)
    units, _ = unit(vectors.astype(np.float64))
    if texts.shape[1] == 1:
        asked, relevant = _of_labels(values[:, 0, SCORE])
        queries = documents = units[:, 0]
        left_out = asked
    else:
        asked, relevant, first = _of_queries(texts)
        queries, documents, left_out = units[:, 0], units[:, 1:].reshape(-1, units.shape[2]), None
        documents = documents[first]
    rows[asked, 0] = 1
    if not nothing and len(asked):
        rows[asked, 1:] = retrieval_figures(queries[asked], documents, relevant, left_out)
    return rows


def _of_queries(
    texts: NDArray[np.int64],
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]], NDArray[np.int64]]:
    """Return where each different query stands first, its documents, and where those stand first.

    Documents are numbered as they first stand in the rows, of positives and negatives together.
    """
    wanted: dict[int, list[int]] = {}
    asked: dict[int, int] = {}
    numbers: dict[int, int] = {}
    first: list[int] = []
    for row, (query, *documents) in enumerate(texts.tolist()):
        asked.setdefault(query, row)
        for place, one in enumerate(documents):
            if one not in numbers:
                numbers[one] = len(first)
                first.append(row * len(documents) + place)
        wanted.setdefault(query, []).append(numbers[documents[0]])
    relevant = [np.unique(np.array(wanted[query], np.int64)) for query in asked]
    return np.array(list(asked.values()), np.int64), relevant, np.array(first, np.int64)


def _of_labels(labels: Float32) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the texts that have another of their label, and those others."""
    _, codes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    asked = np.flatnonzero(counts[codes] > 1).astype(np.int64)
    members = [np.flatnonzero(codes == code).astype(np.int64) for code in range(len(counts))]
    return asked, [members[codes[i]][members[codes[i]] != i] for i in asked.tolist()]
