# SPDX-License-Identifier: Apache-2.0
"""Maps from the labels of data to those of a head.

A map goes from what the data have to names. Configurations also hold its inverse, ``{name: id}``,
and data may have the names already, where the map is ``{id: name}``: which of them it is shows in
the labels of the whole data set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from ..checks import as_integer, typed
from ..closest import name_list, unknown
from ..errors import ConfigError, DataError
from ..quoting import quoted
from .example import Example, Label
from .examples import Examples, read_anew
from .label_names import is_decimal

__all__ = ["LabelMap", "map_labels"]

LabelMap = Mapping[str, str | int | Mapping[str, str | int]]
"""Label in the data -> label name or index; or, by task name, such a mapping each."""

Table = dict[str, str | int]


def map_labels(examples: Examples, label_map: LabelMap) -> Examples:
    """Return the rows with every label (for words: every tag) looked up in `label_map`.

    Parameters
    ----------
    examples : Examples
        Labels may be str or int; an int is looked up by its decimal text.
    label_map : mapping, or list of str
        A list holds the names of the labels 0, 1, ... So does ``{name: id}`` where the data have
        the ids. Data that have the names of ``{id: name}`` already stay as they are. For rows with
        several labels either one map for all, or a map of maps by task name; a task that the latter
        leaves out keeps its labels.

    Raises
    ------
    TypeError
        If `label_map` is neither, or holds something else than names and indices.
    ConfigError
        If it says two things of one label.
    DataError
        If a label is not in the map, naming the row and the closest.
    """
    checked = _check_map(label_map)
    by_task = any(isinstance(value, Mapping | list | tuple) for value in checked.values())
    flat = None if by_task else _table(checked)
    if flat is not None:
        flat = _as_meant(flat, {label for row in examples for label in _labels_of(row)})
    tables = {
        str(task): _as_meant(
            _table(_check_map(table)),
            {one for row in examples for one in _labels_of(row, str(task))},
        )
        for task, table in checked.items()
        if by_task
    }

    def mapped(row: Example) -> Example:
        if row.labels is not None:
            labels = {}
            for task, label in row.labels.items():
                table = flat if flat is not None else tables.get(task)
                labels[task] = label if table is None else _whole(label, table, row.source)
            return replace(row, labels=labels)
        if flat is None:
            raise DataError(
                f"{row.source}: expected a label_map from labels to names, since rows carry one "
                f"label; found maps by task {name_list(checked)}; pass one of them"
            )
        return row if row.label is None else replace(row, label=_whole(row.label, flat, row.source))

    return read_anew(examples, mapped)


def _check_map(label_map: object) -> Mapping[object, object]:
    """Return a map; a list of names stands for the map from 0, 1, .. to them."""
    if isinstance(label_map, Mapping):
        return label_map
    if isinstance(label_map, list | tuple) and all(isinstance(one, str) for one in label_map):
        return dict(enumerate(label_map))
    raise TypeError(
        f"label_map must map labels of the data to label names; found {typed(label_map)}; write "
        'e.g. {"0": "negative", "1": "positive"}, or the names in order as a list'
    )


def _table(label_map: Mapping[object, object]) -> Table:
    """Return a map with its keys as text; refuse what is no name or index, and a key twice."""
    table: Table = {}
    for key, value in label_map.items():
        name = value if isinstance(value, str) else as_integer(value)
        if name is None:
            raise TypeError(
                f"label_map: expected label names (str) or indices (int); found {typed(value)}"
            )
        if table.setdefault(str(key), name) != name:
            raise ConfigError(
                f"label_map must say one thing of a label; found {quoted(str(key))} as a number "
                f"and as text, for {quoted(table[str(key)])} and {quoted(name)}; remove one"
            )
    return table


def _labels_of(row: Example, task: str | None = None) -> Iterator[str]:
    """Yield the labels of a row, of one task or all, as the keys of a map."""
    labels = row.labels or {}
    chosen = (label for name, label in labels.items() if task in (None, name))
    for label in chosen if row.labels is not None else (row.label,):
        for one in label if isinstance(label, tuple) else (label,):
            if one is not None:
                yield str(one)


def _as_meant(table: Table, labels: set[str]) -> Table:
    """Return the table that takes the labels of the data, if the one given is meant otherwise.

    The side that has the ids is the one with numbers: ``{name: id}`` is turned round for data with
    ids, and for data with the names of ``{id: name}`` each name stands for itself.
    """
    values = {str(value): value for value in table.values()}
    if labels <= table.keys() or not labels <= values.keys():
        return table
    one_to_one = len(values) == len(table)
    if one_to_one and all(map(is_decimal, values)) and not any(map(is_decimal, table)):
        return {str(value): name for name, value in table.items()}
    if all(map(is_decimal, table)) and not any(map(is_decimal, values)):
        return values
    return table


def _whole(label: Label, table: Table, where: str) -> Label:
    if isinstance(label, tuple):
        tags = (None if tag is None else _one(tag, table, where) for tag in label)
        return tuple(tags)  # type: ignore[return-value]
    return _one(label, table, where)


def _one(label: object, table: Table, where: str) -> str | int:
    if str(label) not in table:
        raise DataError(f"{where}: {unknown('label', str(label), table)}; add it to label_map")
    return table[str(label)]
