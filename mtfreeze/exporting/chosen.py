# SPDX-License-Identifier: Apache-2.0
"""Operations of heads on which rows they read: in a graph heads answer for all of them."""

from __future__ import annotations

import numpy as np

from .walk import At

__all__ = ["pair_features", "pick", "transitions"]


def pick(at: At) -> list[str]:
    """Return every token: whoever runs the graph picks."""
    return [at.value(0)]


def pair_features(at: At) -> list[str]:
    """Return [u, v, |u - v|] of texts 0 and 1, 2 and 3 and so on, (B / 2, 3C)."""
    graph = at.graph

    def every_second(first: int) -> str:
        bounds = [graph.constant([one], np.int64) for one in (first, np.iinfo(np.int64).max, 0, 2)]
        return graph.add("Slice", at.value(0), *bounds)

    u, v = every_second(0), every_second(1)
    return [graph.add("Concat", u, v, graph.add("Abs", graph.add("Sub", u, v)), axis=-1)]


def transitions(at: At) -> list[str]:
    """Return the scores of each token's labels; the tables are outputs of their own."""
    return [at.value(0)]
