# SPDX-License-Identifier: Apache-2.0
"""What a graph knows of a padded batch: places, distances, and who sees whom.

The core runs packed rows with offsets; a graph runs (B, T) ids with a mask, T the longest text.
Here are the values that take the place of the offsets, each made when it is first asked for.
Padding may stand on either side of a text: places are counted over what the mask lets through.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .graph import Graph

__all__ = ["IDS", "INPUTS", "MASK", "PROMPT", "Texts"]

MASK = "attention_mask"
IDS = "input_ids"
PROMPT = "prompt_length"
"""Input of models that leave a prompt's tokens out of pooling: how many those are, of all texts."""

INPUTS: Mapping[str, str] = {"ids": IDS, "token_types": "token_type_ids", "skip": PROMPT}
"""By the names that the core has inputs by."""


class Texts:
    """Values of one graph's batch.

    Parameters
    ----------
    graph : Graph
        Gets the nodes.
    max_length : int
        Most tokens of a text.
    """

    def __init__(self, graph: Graph, max_length: int) -> None:
        self._graph, self.max_length = graph, max_length

    def by_rows(self, value: str) -> str:
        """Return a value as rows, which all are."""
        return value

    def real(self) -> str:
        """Return which cells hold tokens, (B, T) bool."""
        return self._graph.once("real", lambda: self._graph.cast(MASK, np.bool_))

    def places(self) -> str:
        """Return each token's place in its text, (B, T) int64; 0 before a text's beginning."""
        graph = self._graph

        def make() -> str:
            axis = graph.constant(1, np.int64)
            counted = graph.add("CumSum", graph.cast(self.real(), np.int64), axis)
            before = graph.add("Sub", counted, graph.constant(1, np.int64))
            return graph.add("Max", before, graph.constant(0, np.int64))

        return graph.once("places", make)

    def cells(self) -> str:
        """Return the numbers 0 .. T - 1, (T,) int64."""
        graph = self._graph

        def make() -> str:
            shape = graph.add("Shape", IDS)
            length = graph.add("Gather", shape, graph.constant(1, np.int64), axis=0)
            zero, one = graph.constant(0, np.int64), graph.constant(1, np.int64)
            return graph.add("Range", zero, length, one)

        return graph.once("cells", make)

    def distances(self) -> str:
        """Return i - j of cells i and j, (T, T) int64: as between places, wherever padding is."""
        graph = self._graph

        def make() -> str:
            cells = self.cells()
            return graph.add("Sub", graph.axes_added(cells, 1), graph.axes_added(cells, 0))

        return graph.once("distances", make)

    def nearness(self) -> str:
        """Return |i - j|, (T, T) int64."""
        graph = self._graph
        return graph.once("nearness", lambda: graph.add("Abs", self.distances()))

    def looks_back(self) -> str:
        """Return where i >= j, (T, T) bool."""
        graph, zero = self._graph, self._graph.constant(0, np.int64)
        return graph.once("looks back", lambda: graph.add("GreaterOrEqual", self.distances(), zero))

    def seen(self, left: int, right: int) -> str:
        """Return which tokens each one sees, (B, 1, T, T) or (B, 1, 1, T) bool.

        Parameters
        ----------
        left, right : int
            How far before and after its own place; -1: to the end.
        """
        graph = self._graph

        def make() -> str:
            keys = graph.axes_added(self.real(), 1, 2)
            for far, sign in ((left, 1), (right, -1)):
                if far >= 0:
                    away = self.distances()
                    signed = away if sign > 0 else graph.add("Neg", away)
                    near = graph.add("LessOrEqual", signed, graph.constant(far, np.int64))
                    keys = graph.add("And", keys, near)
            return keys

        return graph.once(("seen", left, right), make)

    def pooled(self, skip: str | None) -> str:
        """Return which cells a pooling reads, (B, T) bool; at least a text's last token.

        Parameters
        ----------
        skip : str, optional
            How many first tokens are left out, (1,) or (B,) int64.
        """
        graph = self._graph
        if skip is None:
            return self.real()

        def make() -> str:
            length = graph.add(
                "ReduceSum",
                graph.cast(self.real(), np.int64),
                graph.constant([1], np.int64),
                keepdims=1,
            )
            last = graph.add("Sub", length, graph.constant(1, np.int64))
            first = graph.add("Min", graph.axes_added(skip, 1), last)
            behind = graph.add("GreaterOrEqual", self.places(), first)
            return graph.add("And", self.real(), behind)

        return graph.once(("pooled", skip), make)
