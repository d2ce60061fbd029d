# SPDX-License-Identifier: Apache-2.0
"""What a graph knows of a batch of images: ``pixel_values`` (B, 3, H, W), and its grids.

Rows of patches and tokens are (B, T, C), as those of texts are. Values of a grid are (B, C, H, W),
which is how ONNX convolves, and `Pixels.grids` says which ones those are; what reads rows gets
(B, H W, C) of them.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..inputs.row_layout import RowLayout, starts
from .graph import Graph
from .texts import Texts

__all__ = ["PIXELS", "Pixels"]

PIXELS = "pixel_values"
"""The input."""

_FIRST_STATES = "hidden_states.0"


class Pixels(Texts):
    """Values of a batch of images that have one size.

    Parameters
    ----------
    graph : Graph
        Gets the nodes.
    core : _core.Model
        The model.
    size : (int, int), optional
        Height and width of every image; None: any, of models without a table of positions.

    Attributes
    ----------
    grids : dict of str to int
        Names of values that are (B, C, H, W), and the core's numbers of their row spaces.
    """

    def __init__(self, graph: Graph, core: _core.Model, size: tuple[int, int] | None) -> None:
        super().__init__(graph, 0)
        self._core, self._size = core, size
        self._spaces = core.spaces()
        self.grids: dict[str, int] = {}

    def seen(self, left: int, right: int) -> str:
        """Return nothing: every row of an image sees every other."""
        return ""

    def given(self) -> str:
        """Return what the core's input is: the pixels, or a row a patch."""
        (given,) = self._core.inputs()
        if given.width == 3:
            names = [one.name for one in self._spaces]
            self.grids[PIXELS] = names.index(given.space)
            return PIXELS
        graph, side = self._graph, isqrt(given.width // 3)
        height, width = self._sides(side)
        cut = graph.columns(graph.columns(PIXELS, 0, height * side, 2), 0, width * side, 3)
        tiles = graph.shaped(cut, 0, 3, height, side, width, side)
        turned = graph.add("Transpose", tiles, perm=[0, 2, 4, 1, 3, 5])
        return graph.shaped(turned, 0, height * width, given.width)

    def by_rows(self, value: str) -> str:
        """Return a value as rows: of a grid (B, H W, C)."""
        graph = self._graph
        if value not in self.grids:
            return value

        def make() -> str:
            flat = graph.shaped(value, 0, 0, -1)
            return graph.add("Transpose", flat, perm=[0, 2, 1])

        return graph.once(("rows", value), make)

    def grid_of(self, space: int) -> str:
        """Return a value whose rows are those of a row space."""
        return next(name for name, one in self.grids.items() if one == space)

    def sides(self, grid: str) -> list[str]:
        """Return height and width of a grid, (1,) int64 each."""
        graph = self._graph

        def side(axis: int) -> str:
            return graph.once(
                ("side", grid, axis),
                lambda: graph.add("Shape", grid, start=axis, end=axis + 1),
            )

        return [side(2), side(3)]

    def n_rows(self, space: int) -> int:
        """Return how many rows of a row space every image has."""
        return self._spaces[space].fixed

    def n_extra(self) -> int:
        """Return how many of an image's tokens are no patches."""
        return next(one for one in self._spaces if one.name == "tokens").extra

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
