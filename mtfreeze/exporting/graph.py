# SPDX-License-Identifier: Apache-2.0
"""An ONNX graph while it is built: nodes and constants, each value with a name; knows no model."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LOWEST", "Graph", "Node"]

LOWEST = float(np.finfo(np.float32).min)
"""What a score that is not to count is: the softmax of a row of these is no NaN, of -inf it is."""


class Node:
    """One node.

    Attributes
    ----------
    op : str
        Of ONNX, such as ``"MatMul"``.
    inputs, outputs : sequence of str
        Names of values; ``""`` for an input that is absent.
    attributes : dict
        By ONNX's names.
    """

    __slots__ = ("attributes", "inputs", "op", "outputs")

    def __init__(
        self, op: str, inputs: Sequence[str], outputs: Sequence[str], attributes: dict[str, Any]
    ) -> None:
        self.op, self.inputs, self.outputs, self.attributes = op, inputs, outputs, attributes


class Graph:
    """Nodes in order, and constants by name.

    Attributes
    ----------
    nodes : list of Node
        In an order in which every value is made before it is read.
    constants : dict of str to array
        By name.
    label : str
        Begins the names of the values that are made now.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, NDArray[Any]] = {}
        self.label = "texts"
        self._known: dict[Hashable, str] = {}

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """Add a node with one output and return that value's name."""
        return self.parts(op, 1, *inputs, **attributes)[0]

    def parts(self, op: str, n: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with `n` outputs and return their names."""
        stem = f"{self.label}/{op}_{len(self.nodes)}"
        names = [stem] if n == 1 else [f"{stem}.{i}" for i in range(n)]
        self.nodes.append(Node(op, inputs, names, attributes))
        return names

    def named(self, name: str, value: str) -> None:
        """Give a value another name, that of an output."""
        self.nodes.append(Node("Identity", [value], [name], {}))

    def constant(self, values: ArrayLike, dtype: Any = np.float32) -> str:
        """Return the name of a constant; equal ones are one."""
        array = np.ascontiguousarray(values, dtype=dtype).reshape(np.shape(values))
        key = ("constant", array.dtype.str, array.shape, array.tobytes())

        def make() -> str:
            name = f"constant_{len(self.constants)}"
            self.constants[name] = array
            return name

        return self.once(key, make)

    def once(self, key: Hashable, make: Callable[[], str]) -> str:
        """Return what `make` named when this key was first asked for."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]

    # ---- what several translations need ----------------------------------------------------------

    def cast(self, value: str, to: type[np.generic]) -> str:
        """Convert a value."""
        from onnx.helper import np_dtype_to_tensor_dtype

        return self.add("Cast", value, to=np_dtype_to_tensor_dtype(np.dtype(to)))

    def shaped(self, value: str, *shape: int) -> str:
        """Reshape; 0: as it is, -1: what is left."""
        return self.add("Reshape", value, self.constant(shape, np.int64))

    def axes_added(self, value: str, *axes: int) -> str:
        """Add axes of size one."""
        return self.add("Unsqueeze", value, self.constant(axes, np.int64))

    def columns(self, value: str, first: int, end: int, axis: int = -1) -> str:
        """Cut columns first .. end - 1 out."""
        bounds = [self.constant([one], np.int64) for one in (first, end, axis)]
        return self.add("Slice", value, *bounds)
