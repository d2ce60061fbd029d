# SPDX-License-Identifier: Apache-2.0
"""Operations on images: ``pixel_values`` (B, 3, H, W), cut into patches or convolved.

Rows of patches and tokens are (B, T, C), as those of texts are. Values of a grid are (B, C, H, W),
which is how ONNX convolves, and `Pixels.grids` says which ones those are. Batch norms by their
stored statistics become part of the weights before them. A table of positions is drawn over by the
core, for the one size that the graph takes, and stands in it as a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..errors import ConfigError
from ..inputs.row_layout import RowLayout, starts
from ..quoting import quoted
from .graph import Graph
from .rows import activated
from .texts import Texts
from .walk import At

__all__ = ["OF_IMAGES", "PIXELS", "Pixels"]

PIXELS = "pixel_values"
"""The input."""

_FIRST_STATES = "hidden_states.0"

# Of csrc/ops/ops.h.
_LAST = 4

Window = tuple[int, int, int]
"""Kernel, stride and padding."""


class Pixels(Texts):
    """Values of a batch of images that have one size.

    Parameters
    ----------
    graph : Graph
        Gets the nodes.
    core : _core.Model
        The model.
    size : (int, int), optional
        Height and width of every image; None: any, of networks that have no positions.
    window_of : callable, optional
        Returns the window of a convolution or a pooling over a grid, by its label.

    Attributes
    ----------
    grids : set of str
        Names of values that are (B, C, H, W).
    """

    def __init__(
        self,
        graph: Graph,
        core: _core.Model,
        size: tuple[int, int] | None,
        window_of: Callable[[str], Window] | None,
    ) -> None:
        super().__init__(graph, 0)
        self._core, self._size, self._window_of = core, size, window_of
        self.grids: set[str] = set()

    def seen(self, left: int, right: int) -> str:
        """Return nothing: every row of an image sees every other."""
        return ""

    def given(self) -> str:
        """Return what the core's input is: the pixels, or a row a patch."""
        (given,) = self._core.inputs()
        if given.width == 3:
            self.grids.add(PIXELS)
            return PIXELS
        graph, side = self._graph, isqrt(given.width // 3)
        height, width = self._sides(side)
        cut = graph.columns(graph.columns(PIXELS, 0, height * side, 2), 0, width * side, 3)
        tiles = graph.shaped(cut, 0, 3, height, side, width, side)
        turned = graph.add("Transpose", tiles, perm=[0, 2, 4, 1, 3, 5])
        return graph.shaped(turned, 0, height * width, given.width)

    def window(self, label: str) -> Window:
        """Return kernel, stride and padding of an operation over a grid."""
        assert self._window_of is not None  # by the folder's check
        return self._window_of(label)

    def first_states(self) -> NDArray[np.float32]:
        """Return what the layers read of an image of zeros, (T, C): the parts that are no image."""
        (given,) = self._core.inputs()
        sides = [np.array([one]) for one in self._sides(isqrt(given.width // 3))]
        grids = RowLayout.of(self._core).grids(*sides)
        n_rows = int(grids[given.space][0][0])
        batch: dict[str, Any] = {
            "inputs": {given.name: np.zeros((n_rows, given.width), np.float32)},
            "offsets": {name: starts(count) for name, (count, _) in grids.items()},
            "widths": {name: width for name, (_, width) in grids.items() if width is not None},
        }
        (states,) = self._core.forward(batch, [_FIRST_STATES])
        return np.asarray(states)

    def bias_of(self, tensor: int) -> NDArray[np.float32]:
        """Return the bias of the linear layer that makes a tensor; zeros: it has none."""
        made = next(node for node in self._core.nodes() if tensor in node.outputs)
        bias = made.params[1]
        none = np.zeros(made.widths[0], np.float32)
        return none if bias < 0 else np.asarray(self._core.view(bias))

    def _sides(self, side: int) -> tuple[int, int]:
        assert self._size is not None  # by the folder's check
        return self._size[0] // side, self._size[1] // side


def _pixels(at: At) -> Pixels:
    assert isinstance(at.texts, Pixels)
    return at.texts


def image_tokens(at: At) -> list[str]:
    """Class tokens and registers before the patches, positions added to both."""
    graph, pixels = at.graph, _pixels(at)
    states = pixels.first_states()
    lead = len(states) - _n_rows(pixels, states)
    places = graph.constant(states[lead:] - pixels.bias_of(at.node.inputs[0]))
    patches = graph.add("Add", at.value(0), places)
    batch = graph.add("Shape", patches, end=1)
    shape = graph.add("Concat", batch, graph.constant([lead, states.shape[1]], np.int64), axis=0)
    before = graph.add("Expand", graph.constant(states[:lead]), shape)
    return [graph.add("Concat", before, patches, axis=1)]


def _n_rows(pixels: Pixels, states: NDArray[np.float32]) -> int:
    """Return how many of an image's rows are patches."""
    tokens = next(one for one in pixels._core.spaces() if one.name == "tokens")
    return len(states) - tokens.extra


def convolution(at: At) -> list[str]:
    """act(norm(conv x) + residual), the norm a part of weight and bias."""
    graph, pixels = at.graph, _pixels(at)
    values = [None if (i := at.param(k)) is None else at.weights.values(i) for k in range(6)]
    weight, bias, norm_weight, norm_bias, mean, variance = values
    assert weight is not None
    kernel, stride, padding = pixels.window(at.node.label)
    assert weight.shape[2:] == (kernel, kernel), at.node.label
    scale, shift = np.ones(len(weight)), np.zeros(len(weight))
    if norm_weight is not None:
        assert norm_bias is not None and mean is not None and variance is not None
        scale = norm_weight / np.sqrt(variance.astype(np.float64) + at.number("eps"))
        shift = norm_bias - mean * scale
    if bias is not None:
        shift = shift + bias * scale
    folded = f"{at.node.label}.folded"
    graph.constants[folded] = (weight * scale[:, None, None, None]).astype(np.float32)
    moved, sides = graph.constant(shift), {"strides": [stride] * 2, "pads": [padding] * 4}
    y = graph.add("Conv", at.value(0), folded, moved, **sides)
    if at.has(1):
        y = graph.add("Add", y, at.value(1))
    y = activated(graph, y, at.count("activation"))
    pixels.grids.add(y)
    return [y]


def grid_max_pool(at: At) -> list[str]:
    """The largest value of each window."""
    kernel, stride, padding = _pixels(at).window(at.node.label)
    y = at.graph.add(
        "MaxPool",
        at.value(0),
        kernel_shape=[kernel] * 2,
        strides=[stride] * 2,
        pads=[padding] * 4,
    )
    _pixels(at).grids.add(y)
    return [y]


def _rows(at: At) -> tuple[str, Sequence[int]]:
    """Return what is pooled, and over which axes."""
    x = at.value(0)
    if x in _pixels(at).grids:
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
    "convolution": convolution,
    "grid_max_pool": grid_max_pool,
    "image_tokens": image_tokens,
    "max_pool": max_pool,
    "mean_pool": mean_pool,
    "row_pool": row_pool,
}
"""What is another operation of images than of texts, or of images alone, by the core's name."""
