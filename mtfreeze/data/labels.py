# SPDX-License-Identifier: Apache-2.0
"""Labels of rows: maps from the labels of a file to those of a head, and what no label is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..checks import as_integer, typed
from ..closest import name_list, unknown
from ..errors import DataError
from .example import IGNORE, Example, Label
from .examples import Examples

__all__ = ["IGNORE", "LabelMap", "map_labels"]

LabelMap = Mapping[str, str | int | Mapping[str, str | int]]
"""Label in the data -> label name or index; or, by task name, such a mapping each."""


def _check_map(label_map: object) -> LabelMap:
    """Return a map; a list of names stands for the map from 0, 1, .. to them."""
    if isinstance(label_map, Mapping):
        return label_map
    if isinstance(label_map, list | tuple) and all(isinstance(one, str) for one in label_map):
        return {str(number): name for number, name in enumerate(label_map)}
    raise TypeError(
        f"label_map must map labels of the data to label names; found {typed(label_map)}; write "
        'e.g. {"0": "negative", "1": "positive"}, or the names in order as a list'
    )


def map_labels(examples: Examples, label_map: LabelMap) -> Examples:
    """Return the rows with every label (for words: every tag) looked up in `label_map`.

    Parameters
    ----------
    examples : Examples
        Labels may be str or int; an int is looked up by its decimal text.
    label_map : mapping, or list of str
        A list holds the names of the labels 0, 1, ... For rows with several labels
        either one map for all, or a map of maps by task name; a task
        that the latter leaves out keeps its labels.

    Raises
    ------
    TypeError
        If `label_map` is neither, or holds something else than names and indices.
    DataError
        If a label is not in the map, naming the row and the closest.
    """
    label_map = _check_map(label_map)
    by_task = any(isinstance(value, Mapping) for value in label_map.values())
    flat = None if by_task else {str(key): value for key, value in label_map.items()}

    def one(label: str | int | float, table: Mapping[str, object], where: str) -> str | int:
        if str(label) not in table:
            raise DataError(f"{where}: {unknown('label', str(label), table)}; add it to label_map")
        value = table[str(label)]
        name = value if isinstance(value, str) else as_integer(value)
        if name is None:
            raise TypeError(
                f"label_map: expected label names (str) or indices (int); found {typed(value)}"
            )
        return name

    def whole(label: Label, table: Mapping[str, object], where: str) -> Label:
        if isinstance(label, tuple):
            tags = (None if tag is None else one(tag, table, where) for tag in label)
            return tuple(tags)  # type: ignore[return-value]
        return one(label, table, where)

    def table_of(task: str) -> Mapping[str, object] | None:
        table = label_map.get(task)
        return {str(k): v for k, v in table.items()} if isinstance(table, Mapping) else None

    def mapped(row: Example) -> Example:
        if row.labels is not None:
            labels = {}
            for task, label in row.labels.items():
                table = flat if flat is not None else table_of(task)
                labels[task] = label if table is None else whole(label, table, row.source)
            return replace(row, labels=labels)
        if flat is None:
            raise DataError(
                f"{row.source}: expected a label_map from labels to names, since rows carry one "
                f"label; found maps by task {name_list(label_map)}; pass one of them"
            )
        return row if row.label is None else replace(row, label=whole(row.label, flat, row.source))

    return Examples((mapped(row) for row in examples), examples.name)
