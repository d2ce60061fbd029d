# SPDX-License-Identifier: Apache-2.0
"""What the translation of an operation reads: its node, values by name, parameters, the texts."""

from __future__ import annotations

from dataclasses import dataclass, field

from .._core import NodeInfo
from .graph import Graph
from .texts import Texts
from .weights import Weights

__all__ = ["ABSENT", "At"]

ABSENT = -1
"""A tensor or a parameter that a node has not."""


@dataclass
class At:
    """One node of the core's program, about to be translated.

    Attributes
    ----------
    graph : Graph
        Gets what the node becomes.
    weights : Weights
        The parameters.
    texts : Texts
        The padded batch.
    names : dict of int to str
        Of the values that there are, by the core's tensor.
    node : NodeInfo
        The operation.
    columns : dict of int to int
        Widths of tensors.
    read : set of int
        Tensors whose values were asked for, of all nodes so far.
    """

    graph: Graph
    weights: Weights
    texts: Texts
    node: NodeInfo
    names: dict[int, str] = field(default_factory=dict)
    columns: dict[int, int] = field(default_factory=dict)
    read: set[int] = field(default_factory=set)

    def has(self, i: int) -> bool:
        """Say whether the node has an input `i`."""
        return self.node.inputs[i] != ABSENT

    def value(self, i: int) -> str:
        """Return the name of input `i`, by rows."""
        return self.texts.by_rows(self.grid(i))

    def grid(self, i: int) -> str:
        """Return the name of input `i` as it is: of a grid (B, C, H, W)."""
        self.read.add(self.node.inputs[i])
        return self.names[self.node.inputs[i]]

    def width(self, i: int) -> int:
        """Return the columns of input `i`."""
        return self.columns[self.node.inputs[i]]

    def param(self, i: int) -> int | None:
        """Return the index of parameter `i`; None: absent."""
        index = self.node.params[i]
        return None if index == ABSENT else index

    def number(self, name: str) -> float:
        """Return an attribute."""
        return self.node.attributes[name]

    def count(self, name: str) -> int:
        """Return an attribute that is a whole number."""
        return int(self.node.attributes[name])
