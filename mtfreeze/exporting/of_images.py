# SPDX-License-Identifier: Apache-2.0
"""Operations on images: what is another one of images than of texts, or of images alone.

A table of positions is drawn over by the core, for the one size that the graph takes, and stands in
it as a constant. Rows that all images have alike, queries, are (1, Q, C).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..errors import ConfigError
from ..quoting import quoted
from . import grids
from .grids import pixels_of
from .walk import At

__all__ = ["OF_IMAGES"]

# Of csrc/ops/ops.h.
_LAST = 4


def image_tokens(at: At) -> list[str]:
    """Class tokens and registers before the patches, positions added to both."""
    graph, pixels = at.graph, pixels_of(at)
    states, lead = pixels.first_states(), pixels.n_extra()
    places = graph.constant(states[lead:] - pixels.bias_of(at.node.inputs[0]))
    patches = graph.add("Add", at.value(0), places)
    batch = graph.add("Shape", patches, end=1)
    shape = graph.add("Concat", batch, graph.constant([lead, states.shape[1]], np.int64), axis=0)
    before = graph.add("Expand", graph.constant(states[:lead]), shape)
    return [graph.add("Concat", before, patches, axis=1)]


def repeat_rows(at: At) -> list[str]:
    """Return the rows of a table, or zeros, the same of every image."""
    graph, table = at.graph, at.param(0)
    if table is None:
        n_rows = pixels_of(at).n_rows(at.node.spaces[0])
        return [graph.constant(np.zeros((1, n_rows, at.node.widths[0])))]
    return [graph.axes_added(at.weights.vector(table), 0)]


def _rows(at: At) -> tuple[str, Sequence[int]]:
    """Return what is pooled, and over which axes."""
    x = at.grid(0)
    if x in pixels_of(at).grids:
        return x, [2, 3]
    skipped = at.count("skip_rows")
    if skipped:
        x = at.graph.columns(x, skipped, np.iinfo(np.int64).max, axis=1)
    return x, [1]


def mean_pool(at: At) -> list[str]:
    """Return the mean over the rows; the other weights are of texts."""
    x, axes = _rows(at)
    return [_of_kind(at, at.graph.add("ReduceMean", x, axes=axes, keepdims=0))]


def _of_kind(at: At, mean: str) -> str:
    if at.count("pooling"):
        raise ConfigError(
            f"expected images to be pooled by 'mean', 'max', 'cls' or 'lasttoken'; found another "
            f"mean in {quoted(at.node.label)}, which is of texts; load the model with one of these"
        )
    return mean


def max_pool(at: At) -> list[str]:
    """Return the largest value of each column."""
    x, axes = _rows(at)
    return [at.graph.add("ReduceMax", x, axes=axes, keepdims=0)]


def row_pool(at: At) -> list[str]:
    """Return the first row, or the last."""
    x, _ = _rows(at)
    row = at.graph.constant(-1 if at.count("pooling") == _LAST else 0, np.int64)
    return [at.graph.add("Gather", x, row, axis=1)]


OF_IMAGES: Mapping[str, Callable[[At], list[str]]] = {
    "adaptive_mean": grids.adaptive_mean,
    "convolution": grids.convolution,
    "depthwise": grids.depthwise,
    "grid_max_pool": grids.grid_max_pool,
    "image_tokens": image_tokens,
    "max_pool": max_pool,
    "mean_pool": mean_pool,
    "repeat_rows": repeat_rows,
    "row_pool": row_pool,
    "sine_positions": grids.sine_positions,
}
"""By the core's name of an operation."""
