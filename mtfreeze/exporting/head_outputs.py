# SPDX-License-Identifier: Apache-2.0
"""What heads are called in a graph, and with which axes: ``logits``, unless the table says else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..heads.detection import Detection
from .translations import Translation

if TYPE_CHECKING:
    from .._core import OutputInfo
    from ..heads.head import Head

__all__ = ["axes_of", "name_head"]

Axes = Sequence[str | int]

_AXES: Mapping[str, Sequence[str]] = {
    "sequences": ["batch"],
    "pairs": ["pairs"],
    "queries": ["batch", "queries"],
}
"""By row space; all others have rows of tokens."""

_COLUMNS: Mapping[str, Sequence[str]] = {
    "question_answering": ("start_logits", "end_logits"),
}
"""Kinds whose columns are outputs of their own, (batch, sequence), as transformers has them."""

_BOX = 4
"""Last columns of an answer of a head that finds boxes."""

_NAMES: Mapping[str, str] = {"similarity": "embedding"}
"""Kinds whose output is called otherwise."""

_TABLES = ("transitions", "start_transitions", "end_transitions")
"""Parameters of heads that score chains of labels: outputs, for whoever searches for the best."""


def axes_of(info: OutputInfo, width: int | None = None, *, grid: bool = False) -> Axes:
    """Return the axes of an output of the core, of its width or another; of a grid its columns."""
    if grid:
        return ["batch", info.width, "grid_height", "grid_width"]
    rows = _AXES.get(info.space, ["batch", "sequence"])
    return [*rows, info.width if width is None else width]


def name_head(
    translation: Translation, head: Head, info: OutputInfo, params: Sequence[str], *, alone: bool
) -> Iterator[tuple[str, Axes]]:
    """Give a head's value its names in the graph.

    Parameters
    ----------
    translation : Translation
        Of the model.
    head : Head
        The head.
    info : OutputInfo
        Of its output.
    params : sequence of str
        Keys of the core's parameters.
    alone : bool
        Whether it is the only head; else names begin with its own.

    Yields
    ------
    (str, sequence)
        Name and axes of each output.
    """
    graph, value = translation.graph, translation.values[head.name]
    begin = "" if alone else f"{head.name}_"
    columns = _COLUMNS.get(head.kind)
    if columns is not None:
        for i, name in enumerate(columns):
            one = graph.add("Gather", value, graph.constant(i, np.int64), axis=-1)
            graph.named(begin + name, one)
            yield begin + name, axes_of(info)[:-1]
        return
    if isinstance(head.spec, Detection):  # of several layers' answers the last one's
        n = head.spec.n_outputs
        ends = {"logits": (-n, -_BOX), "pred_boxes": (-_BOX, np.iinfo(np.int64).max)}
        for name, (first, end) in ends.items():
            graph.named(begin + name, graph.columns(value, first, end))
            yield begin + name, axes_of(info, _BOX if first == -_BOX else n - _BOX)
        return
    tables = [f"{head.name}.{name}" for name in _TABLES]
    chained = tables[0] in params
    name = begin + _NAMES.get(head.kind, "logits")
    graph.named(name, value)
    yield name, axes_of(info, len(head.labels) if chained else None)
    for key, table in zip(tables, _TABLES, strict=True) if chained else ():
        index = params.index(key)
        graph.named(begin + table, translation.weights.vector(index))
        yield begin + table, translation.weights.values(index).shape
