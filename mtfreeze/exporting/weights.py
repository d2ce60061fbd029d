# SPDX-License-Identifier: Apache-2.0
"""Parameters in a graph: as they are, or those of products and tables in int8.

int8: a row of x from its least value l to its largest in whole numbers xq, 0 .. 255, a column w of
the weight by its largest value in wq, -63 .. 63,

    x = s xq + l    w = u wq    y = x w = u (s (xq wq) + l sum(wq))      xq wq in int32, exact

A row is scaled by itself, so that a text's vector does not depend on the texts beside it, which a
scale of a whole batch (ONNX's DynamicQuantizeLinear) makes it do. Two products of such numbers stay
within 16 bits, which processors without VNNI add them in; with the whole range of int8 those would
saturate. Tables of embeddings have a scale a row.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from .graph import Graph

__all__ = ["Weights", "quantised"]

_LARGEST = 63
_TINY = 1e-30
"""Least scale, of a row of equal values."""


def quantised(
    values: NDArray[np.float32], axis: int
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix in whole numbers, and their scales along `axis` with that axis of size 1."""
    most = np.abs(values).max(axis=axis, keepdims=True)
    scale = np.where(most > 0, most / _LARGEST, 1).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale


class Weights:
    """What a graph knows of a model's parameters.

    Parameters
    ----------
    graph : Graph
        Gets them as constants, each one once, when they are first read.
    core : _core.Model
        Has them.
    int8 : bool
        Whether those of the backbone's products, and its tables, are in int8.

    Attributes
    ----------
    any_int8 : bool
        Whether anything is by now.
    """

    def __init__(self, graph: Graph, core: _core.Model, *, int8: bool) -> None:
        self._graph, self._core, self._int8 = graph, core, int8
        self.any_int8 = False
        self._keys = [info.key for info in core.params()]

    def values(self, index: int) -> NDArray[np.float32]:
        """Return the values of a parameter."""
        return self._core.view(index)

    def vector(self, index: int) -> str:
        """Return the name of a parameter as it is."""
        return self._held(self._keys[index], lambda: self.values(index))

    def product(self, x: str, index: int, *, in_out: bool) -> str:
        """Multiply rows by a weight; `in_out`: it is (K, N), else (N, K)."""

        def matrix() -> NDArray[np.float32]:
            values = self.values(index)
            if values.ndim > 2:  # of patches, whose rows hold channels, then rows of pixels
                values = values.reshape(len(values), -1)
            return values if in_out else np.ascontiguousarray(values.T)

        key = f"{self._keys[index]}{'' if in_out else '.transposed'}"
        if not self._is_int8(index):
            return self._graph.add("MatMul", x, self._held(key, matrix))
        graph = self._graph
        rows, scale, least = self._rows_in_int8(x)
        weight, factors = self._held_in_int8(key, matrix, axis=0)
        sums = graph.cast(graph.add("MatMulInteger", rows, weight), np.float32)
        column_sums = graph.constants[weight].sum(axis=0, dtype=np.float32)
        offset = graph.add("Mul", least, graph.constant(column_sums))
        whole = graph.add("Add", graph.add("Mul", sums, scale), offset)
        return graph.add("Mul", whole, factors)

    def rows(self, index: int, ids: str) -> str:
        """Look rows of a table up."""
        graph, key = self._graph, self._keys[index]
        if not self._is_int8(index):
            return graph.add("Gather", self.vector(index), ids, axis=0)
        table, scales = self._held_in_int8(key, lambda: self.values(index), axis=1)
        rows = graph.cast(graph.add("Gather", table, ids, axis=0), np.float32)
        return graph.add("Mul", rows, graph.add("Gather", scales, ids, axis=0))

    def _is_int8(self, index: int) -> bool:
        return self._int8 and self._keys[index].startswith("backbone.")

    def _rows_in_int8(self, x: str) -> tuple[str, str, str]:
        """Return rows in whole numbers, the scale and the least value of each."""
        graph = self._graph

        def made(op: str) -> str:
            return graph.once((op, x), lambda: graph.add(op, x, axes=[-1], keepdims=1))

        least = made("ReduceMin")

        def step() -> str:
            range_ = graph.add("Sub", made("ReduceMax"), least)
            share = graph.add("Div", range_, graph.constant(255.0))
            return graph.add("Max", share, graph.constant(_TINY))

        def whole(scale: str) -> str:
            moved = graph.add("Div", graph.add("Sub", x, least), scale)
            return graph.cast(graph.add("Round", moved), np.uint8)

        scale = graph.once(("scale", x), step)
        return graph.once(("whole", x), lambda: whole(scale)), scale, least

    def _held(self, name: str, make: Any) -> str:
        def hold() -> str:
            self._graph.constants[name] = make()
            return name

        return self._graph.once(("parameter", name), hold)

    def _held_in_int8(self, name: str, make: Any, axis: int) -> tuple[str, str]:
        whole, scale = f"{name}.int8", f"{name}.scale"

        def hold() -> str:
            self._graph.constants[whole], self._graph.constants[scale] = quantised(make(), axis)
            self.any_int8 = True
            return name

        self._graph.once(("parameter in int8", name), hold)
        return whole, scale
