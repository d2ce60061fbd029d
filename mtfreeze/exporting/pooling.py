# SPDX-License-Identifier: Apache-2.0
"""Poolings: from (B, T, C) of tokens to (B, C), of the cells that hold tokens."""

from __future__ import annotations

import numpy as np

from .graph import LOWEST
from .walk import At

__all__ = ["max_pool", "mean_pool", "row_pool"]

# Of csrc/ops/ops.h.
_MEAN, _MEAN_SQRT_LEN, _WEIGHTED_MEAN, _FIRST, _LAST, _MAX = range(6)
_TOKENS = 1
"""The axis of tokens."""


def _read(at: At) -> str:
    """Return the cells that are pooled, (B, T) bool."""
    return at.texts.pooled(at.value(1) if at.has(1) else None)


def mean_pool(at: At) -> list[str]:
    """Return sums by the number of tokens, its root, or the sum of their places."""
    graph, kind = at.graph, at.count("pooling")
    weights = graph.cast(_read(at), np.float32)
    if kind == _WEIGHTED_MEAN:
        places = graph.add("Add", at.texts.places(), graph.constant(1, np.int64))
        weights = graph.add("Mul", weights, graph.cast(places, np.float32))
    column = graph.axes_added(weights, 2)
    axis = graph.constant([_TOKENS], np.int64)
    sums = graph.add("ReduceSum", graph.add("Mul", at.value(0), column), axis, keepdims=0)
    below = graph.add("ReduceSum", column, axis, keepdims=0)
    if kind == _MEAN_SQRT_LEN:
        below = graph.add("Sqrt", below)
    # A text of padding alone has a vector of zeros, not of NaN.
    return [graph.add("Div", sums, graph.add("Max", below, graph.constant(1e-9)))]


def row_pool(at: At) -> list[str]:
    """Return the first row of each text, or the last."""
    graph = at.graph
    # Of equal values the first, or the last, is taken.
    cell = graph.add(
        "ArgMax",
        graph.cast(_read(at), np.float32),
        axis=_TOKENS,
        keepdims=1,
        select_last_index=int(at.count("pooling") == _LAST),
    )
    return [graph.add("GatherND", at.value(0), cell, batch_dims=1)]


def max_pool(at: At) -> list[str]:
    """Return the largest value of each column."""
    graph = at.graph
    cells = graph.axes_added(_read(at), 2)
    values = graph.add("Where", cells, at.value(0), graph.constant(LOWEST))
    return [graph.add("ReduceMax", values, axes=[_TOKENS], keepdims=0)]
