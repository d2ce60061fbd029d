# SPDX-License-Identifier: Apache-2.0
"""How well vectors of queries find their documents among all documents of a data set.

All documents are ranked by their cosine to a query. With the ranks r_1 < r_2 < ... (from 1) of its
relevant documents, R of them:

    mrr@k     1 / r_1 if r_1 <= k, else 0
    ndcg@k    sum over r_i <= k of 1 / log2(r_i + 1), divided by that of ranks 1 .. min(R, k)
    recall@k  how many r_i <= k, divided by R

as `InformationRetrievalEvaluator` of sentence-transformers has them; a figure is the mean over
queries. Equal cosines are ranked in the order of the documents.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

__all__ = ["DEPTH", "RECALLS", "RETRIEVAL", "retrieval_figures"]

DEPTH = 10
"""k of mrr and ndcg."""

RECALLS = (1, 5, 10)
"""k of recall."""

RETRIEVAL = (f"mrr@{DEPTH}", f"ndcg@{DEPTH}", *(f"recall@{k}" for k in RECALLS))
"""Names of the figures, in the order of the columns."""

_CHUNK = 1 << 22
"""Cosines held at a time."""

Floats = NDArray[np.float64]


def retrieval_figures(
    queries: Floats,
    documents: Floats,
    relevant: NDArray[np.bool_] | list[NDArray[np.int64]],
    left_out: NDArray[np.int64] | None = None,
) -> Floats:
    """Return the figures of each query, (n, 5) float64, in the order of `RETRIEVAL`.

    Parameters
    ----------
    queries : (n, C) array
        Of length one, or zeros.
    documents : (m, C) array
        Likewise.
    relevant : list of n int64 arrays
        Numbers of each query's documents, each once; at least one a query.
    left_out : (n,) int64 array, optional
        A document that is not among those ranked for a query: the query itself.
    """
    found = np.zeros((len(queries), len(RETRIEVAL)))
    discounts = 1 / np.log2(np.arange(2, DEPTH + 2))
    for first, cosines in _chunks(queries, documents):
        if left_out is not None:
            cosines[np.arange(len(cosines)), left_out[first : first + len(cosines)]] = -np.inf
        for i, row in enumerate(cosines, start=first):
            own = np.asarray(relevant[i], dtype=np.int64)
            top = _top(row)
            hits = np.isin(top, own)
            best = discounts[: min(len(own), DEPTH)].sum()
            reached = np.flatnonzero(hits)
            found[i, 0] = 1 / (reached[0] + 1) if len(reached) else 0.0
            found[i, 1] = discounts[: len(hits)][hits].sum() / best
            found[i, 2:] = [hits[:k].sum() / len(own) for k in RECALLS]
    return found


def _top(cosines: Floats) -> NDArray[np.int64]:
    """Return the numbers of the `DEPTH` nearest documents, the nearest first."""
    k = min(DEPTH, len(cosines))
    least = np.partition(cosines, len(cosines) - k)[len(cosines) - k]
    near = np.flatnonzero(cosines >= least)  # more than k where some are equal
    return near[np.argsort(-cosines[near], kind="stable")][:k]


def _chunks(queries: Floats, documents: Floats) -> Iterator[tuple[int, Floats]]:
    """Yield cosines of some queries with all documents, and the first query's number."""
    step = max(1, _CHUNK // max(1, len(documents)))
    for first in range(0, len(queries), step):
        yield first, queries[first : first + step] @ documents.T
