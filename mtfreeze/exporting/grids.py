# SPDX-License-Identifier: Apache-2.0
"""Operations over grids, (B, C, H, W) of any size: windows, parts, places.

Batch norms by their stored statistics become part of the weights before them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .graph import Graph
from .pixels import Pixels
from .rows import activated
from .walk import At

__all__ = [
    "adaptive_mean",
    "convolution",
    "depthwise",
    "grid_max_pool",
    "pixels_of",
    "sine_positions",
]

# Of csrc/ops/sine_positions.c.
_SIDE_EPS = 1e-6


def pixels_of(at: At) -> Pixels:
    """Return what the graph knows of its images."""
    assert isinstance(at.texts, Pixels)
    return at.texts


def _grid(at: At, value: str) -> list[str]:
    """Return a node's only output, which is a grid."""
    pixels_of(at).grids[value] = at.node.spaces[0]
    return [value]


def _windows(at: At) -> dict[str, Any]:
    """Return how windows go over a grid, by ONNX's names."""
    kernel, stride, padding = (at.count(name) for name in ("kernel", "stride", "padding"))
    how: dict[str, Any] = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2}
    if at.count("same") and stride > 1:  # else these borders are the same on all sides
        return {**how, "auto_pad": "SAME_UPPER"}
    return {**how, "pads": [padding] * 4}


def convolution(at: At) -> list[str]:
    """act(norm(conv x) + residual)."""
    y = _convolved(at, 1)
    if at.has(1):
        y = at.graph.add("Add", y, at.grid(1))
    return _grid(at, activated(at.graph, y, at.count("activation")))


def depthwise(at: At) -> list[str]:
    """act(norm(conv x)), each column by itself."""
    y = _convolved(at, at.width(0))
    return _grid(at, activated(at.graph, y, at.count("activation")))


def _convolved(at: At, groups: int) -> str:
    """norm(conv x), the norm a part of weight and bias."""
    values = [None if (i := at.param(k)) is None else at.weights.values(i) for k in range(6)]
    weight, bias, norm_weight, norm_bias, mean, variance = values
    assert weight is not None
    scale, shift = np.ones(len(weight)), np.zeros(len(weight))
    if norm_weight is not None:
        assert norm_bias is not None and mean is not None and variance is not None
        scale = norm_weight / np.sqrt(variance.astype(np.float64) + at.number("eps"))
        shift = norm_bias - mean * scale
    if bias is not None:
        shift = shift + bias * scale
    folded = f"{at.node.label}.folded"
    at.graph.constants[folded] = (weight * scale[:, None, None, None]).astype(np.float32)
    moved = at.graph.constant(shift)
    return at.graph.add("Conv", at.grid(0), folded, moved, group=groups, **_windows(at))


def grid_max_pool(at: At) -> list[str]:
    """The largest value of each window."""
    return _grid(at, at.graph.add("MaxPool", at.grid(0), **_windows(at)))


def adaptive_mean(at: At) -> list[str]:
    """Means of bins x bins parts of a grid, a column's side by side, (B, C bins bins).

    A mean down and one across, each a product with shares: those of a part are 1 / its length on
    its rows, which are i side / bins rounded down to (i + 1) side / bins rounded up, and else 0.
    """
    graph, bins = at.graph, at.count("bins")
    height, width = pixels_of(at).sides(at.grid(0))
    down = graph.add("MatMul", _shares(graph, height, bins), at.grid(0))
    across = graph.add("Transpose", _shares(graph, width, bins), perm=[1, 0])
    return [graph.shaped(graph.add("MatMul", down, across), 0, at.width(0) * bins * bins)]


def _shares(graph: Graph, side: str, bins: int) -> str:
    """Return each part's shares of a side's rows, (bins, side)."""

    def whole(values: Any) -> str:
        return graph.constant(values, np.int64)

    def make() -> str:
        firsts = np.arange(bins)[:, None]
        rows = graph.add("Range", whole(0), graph.add("Squeeze", side), whole(1))
        first = graph.add("Div", graph.add("Mul", whole(firsts), side), whole(bins))
        up = graph.add("Add", graph.add("Mul", whole(firsts + 1), side), whole(bins - 1))
        end = graph.add("Div", up, whole(bins))
        within = graph.add(
            "And", graph.add("GreaterOrEqual", rows, first), graph.add("Less", rows, end)
        )
        length = graph.cast(graph.add("Sub", end, first), np.float32)
        return graph.add("Div", graph.cast(within, np.float32), length)

    return graph.once(("shares", side, bins), make)


def sine_positions(at: At) -> list[str]:
    """Return sines and cosines of where a row stands in its grid, (1, H W, C).

    sin and cos(2 pi (row + 1) / (rows + eps) / f(j)) side by side, f(j) = theta^(2j / (C/2)), in
    the first half of the columns, the same of a row's column in the other.
    """
    graph, pixels, width = at.graph, pixels_of(at), at.node.widths[0]
    half, sides = width // 2, pixels.sides(pixels.grid_of(at.node.spaces[0]))
    frequencies = 2 * np.pi / at.number("theta") ** (np.arange(0, half, 2) / half)

    def lanes(side: str) -> str:
        """Return the columns of each place of a side, (side, C / 2)."""
        one = graph.constant(1, np.int64)
        last = graph.add("Add", graph.add("Squeeze", side), one)
        places = graph.cast(graph.axes_added(graph.add("Range", one, last, one), 1), np.float32)
        length = graph.add("Add", graph.cast(side, np.float32), graph.constant(_SIDE_EPS))
        angle = graph.add("Mul", graph.add("Div", places, length), graph.constant(frequencies))
        both = [graph.axes_added(graph.add(name, angle), 2) for name in ("Sin", "Cos")]
        return graph.shaped(graph.add("Concat", *both, axis=2), 0, half)

    shape = graph.add("Concat", *sides, graph.constant([half], np.int64), axis=0)
    down, across = (graph.axes_added(lanes(side), 1 - i) for i, side in enumerate(sides))
    parts = [graph.add("Expand", one, shape) for one in (down, across)]
    return [graph.shaped(graph.add("Concat", *parts, axis=2), 1, -1, width)]
