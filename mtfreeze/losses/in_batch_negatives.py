# SPDX-License-Identifier: Apache-2.0
"""Multiple negatives ranking: of all documents of a batch, a query shall find its own.

A row is a query q_i, its document d_i and maybe hard negatives. With all cosines times a scale

    L = mean over i of  log sum_{c in C_i} exp(scale cos c)  -  scale cos(q_i, d_i)

C_i holds, by `directions`:

    query_to_doc    q_i with every document of the batch, hard negatives too
    query_to_query  q_i with every other query
    doc_to_query    d_i with every query
    doc_to_doc      d_i with every document but those of its own row

"joint": one sum over all directions; "per_direction": the mean of one logarithm each, for those
directions that hold the positive pair. (Henderson et al. 2017; van den Oord et al. 2018; the
directions: GTE, Li et al. 2023. As in sentence-transformers 6.2.)

Unlike there, a text that is equal to the row's query or document is never its negative, nor are
query and document of a row that shares one of these texts: they are left out of C_i.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .batch_rows import BatchRows, Floats
from .vectors import unit, unit_backward

__all__ = ["DIRECTIONS", "PARTITIONS", "multiple_negatives"]

DIRECTIONS = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")
PARTITIONS = ("joint", "per_direction")

Mask = NDArray[np.bool_]
Kind = TypeVar("Kind", np.float64, np.int64)


def multiple_negatives(
    rows: BatchRows, scale: float, directions: Sequence[str], partition: str
) -> tuple[float, Floats]:
    """Return the loss of ranking each row's document first, and its gradient.

    Parameters
    ----------
    rows : BatchRows
        Rows of two or more texts: query, document, hard negatives.
    scale : float
        Of the cosines; the inverse of a temperature.
    directions : sequence of str
        Of `DIRECTIONS`; "query_to_doc" among them.
    partition : {"joint", "per_direction"}
    """
    units, lengths = unit(rows.vectors)
    n, k, width = units.shape
    # Documents of all rows, positives first, then each column of hard negatives.
    sides = {"query": units[:, 0], "doc": units[:, 1], "docs": _by_column(units[:, 1:])}
    pairs = {
        "query_to_doc": ("query", "docs"),
        "query_to_query": ("query", "query"),
        "doc_to_query": ("doc", "query"),
        "doc_to_doc": ("doc", "docs"),
    }
    out = _left_out(rows.texts)
    logits = {}
    for name in directions:
        mine, others = pairs[name]
        logits[name] = np.where(out[name], -np.inf, scale * (sides[mine] @ sides[others].T))
    positive = np.diagonal(logits["query_to_doc"])
    log_sums, shares = _softmax(logits, joint=partition == "joint")
    value = float((log_sums - positive).mean())
    shares["query_to_doc"][np.arange(n), np.arange(n)] -= 1
    by_side = {name: np.zeros_like(values) for name, values in sides.items()}
    for name, share in shares.items():
        mine, others = pairs[name]
        share *= scale / n
        by_side[mine] += share @ sides[others]
        by_side[others] += share.T @ sides[mine]
    gradient = np.empty_like(units)
    gradient[:, 0] = by_side["query"]
    gradient[:, 1:] = by_side["docs"].reshape(k - 1, n, width).swapaxes(0, 1)
    gradient[:, 1] += by_side["doc"]
    return value, unit_backward(gradient, units, lengths)


def _by_column(values: NDArray[Kind]) -> NDArray[Kind]:
    """Return (n, k, ...) as (k n, ...), a column after another."""
    return np.concatenate(list(values.swapaxes(0, 1)))


def _softmax(logits: Mapping[str, Floats], joint: bool) -> tuple[Floats, dict[str, Floats]]:
    """Return the logarithms of the sums, (n,), and their derivatives by each direction's logits."""
    sums = {name: _log_sum(values) for name, values in logits.items()}
    if joint:
        whole = np.logaddexp.reduce(list(sums.values()))
        return whole, {name: np.exp(v - whole[:, None]) for name, v in logits.items()}
    share = 1 / len(logits)
    mean = share * np.sum(list(sums.values()), axis=0)
    return mean, {name: share * np.exp(v - sums[name][:, None]) for name, v in logits.items()}


def _log_sum(values: Floats) -> Floats:
    """Return log sum exp of each row; -inf of a row that is left out as a whole."""
    top = values.max(axis=1)
    top = np.where(np.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):
        return np.asarray(np.log(np.exp(values - top[:, None]).sum(axis=1)) + top)


def _left_out(texts: NDArray[np.int64]) -> dict[str, Mask]:
    """Say what is no negative of each row, by direction: its own, and what equals its own."""
    n, k = texts.shape
    own = np.eye(n, dtype=bool)
    query, doc = texts[:, 0, None], texts[:, 1, None]
    # Rows that share a query or document; each shares its own.
    related = (query == query.T) | (doc == doc.T) | (query == doc.T) | (doc == query.T)
    negatives = _by_column(texts[:, 2:])[None] if k > 2 else np.zeros((1, 0), np.int64)
    equal = (query == negatives) | (doc == negatives)
    others_positives = np.concatenate([related & ~own, equal], axis=1)
    return {
        "query_to_doc": others_positives,
        "query_to_query": related,
        "doc_to_query": related & ~own,
        "doc_to_doc": np.concatenate([related, equal | np.tile(own, (1, k - 2))], axis=1),
    }
