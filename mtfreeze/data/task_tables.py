# SPDX-License-Identifier: Apache-2.0
"""A table -> rows to learn from and rows to judge by, and the order of the labels if it has one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..checks import as_number, typed
from ..closest import unknown
from ..errors import ConfigError
from ..quoting import quoted
from .examples import Examples
from .table_rows import label_order, read_table
from .tables import LEARNED, parts_of

__all__ = ["TaskTables", "task_tables"]

_AUTO = "auto"
_USUAL = ("label", "labels", "tags", "ner_tags")
"""What columns of labels are called where no column is named."""
_SHARE = 0.2
"""Of the rows, to judge by, where nothing else is said."""


class TaskTables(NamedTuple):
    """Rows to learn from, rows to judge by, and the names of labels in the order of a data set."""

    train: Examples
    eval: Examples | None
    order: tuple[str, ...] | None


def task_tables(table: object, judged: object, seed: int, read: Mapping[str, Any]) -> TaskTables:
    """Read a table, or the parts of a data set.

    Parameters
    ----------
    table, judged, seed
        ``table``, ``eval`` and ``seed`` of `Task.from_table`.
    read : mapping
        Arguments of `read_table`.

    Raises
    ------
    ConfigError
        If the part to judge by is unknown, or the label is not the name of one column.
    TypeError, DataError, ImportError
        As `read_table` raises.
    """
    label = read["label"]
    if isinstance(label, list | tuple):
        raise ConfigError(
            f"a task learns one label; found label={quoted(label)}; read the table once with "
            "mtf.read_table(label=[...]), and give its rows to a Task for each of them"
        )
    found = parts_of(table)
    learned = table if found is None else found[0][LEARNED]
    # Names that a map gives are in no order of the data set's.
    found_by_name = (label, *_USUAL) if read["text"] is None and label == _USUAL[0] else (label,)
    order = _order(learned, found_by_name) if read["label_map"] is None else None
    if found is None:
        rows = read_table(table, **read)
        return TaskTables(*_judged(rows, _SHARE if _is_auto(judged) else judged, seed, read), order)
    parts, usual = found
    rows = read_table(learned, name=LEARNED, **read)
    if _is_auto(judged):
        judged = usual or _SHARE
    if isinstance(judged, str):
        if judged not in parts:
            raise ConfigError(unknown("part of the data set", judged, parts))
        return TaskTables(rows, read_table(parts[judged], name=judged, **read), order)
    return TaskTables(*_judged(rows, judged, seed, read), order)


def _is_auto(judged: object) -> bool:
    return isinstance(judged, str) and judged == _AUTO


def _judged(
    rows: Examples, judged: object, seed: int, read: Mapping[str, Any]
) -> tuple[Examples, Examples | None]:
    """Return rows to learn from and to judge by: of a share, or of another table."""
    if judged is None:
        return rows, None
    share = as_number(judged)
    if share is not None:
        if not 0 < share < 1:
            raise ConfigError(
                f"eval must be a share of the rows between 0 and 1, both excluded; found "
                f"{quoted(judged)}; use None for no rows to judge by"
            )
        return rows.split(1 - share, seed)
    if isinstance(judged, bool):
        raise TypeError(
            f"eval must be a share of the rows, a table, or None; found {typed(judged)}; for a "
            "share write 0.2"
        )
    name = None if isinstance(judged, str | bytes | os.PathLike) else "eval"
    if isinstance(judged, Examples):
        return rows, judged
    return rows, read_table(judged, name=name, **read)


def _order(table: object, labels: tuple[object, ...]) -> tuple[str, ...] | None:
    """Return the names of the first of these columns that has names."""
    found = (label_order(table, one) for one in labels if isinstance(one, str))
    names = next((names for names in found if names is not None), None)
    return None if names is None else tuple(names)
