# SPDX-License-Identifier: Apache-2.0
"""`read_table`: data as people have it, a frame, a data set, columns, rows or a file -> `Examples`.

Which columns a row is made of is said once, whatever holds them; a file goes to the reader that its
suffix names.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import signature
from itertools import islice
from typing import Any

from ..checks import as_items, check_integer, check_path, check_text, typed
from ..closest import name_list
from ..errors import ConfigError, DataError
from ..quoting import quoted
from .csv_rows import Columns
from .examples import Examples, as_examples
from .label_map import LabelMap, map_labels
from .parquet import parquet_class_names
from .readers import read_parquet, read_tsv, reader_of
from .row_files import Keys, named_keys, renamed
from .tables import class_names, parts_of, plain_rows

__all__ = ["label_order", "read_table"]

_TEXT, _LABEL = "text", "label"

Names = Columns
"""Columns by name; those of CSV and TSV also by number."""


def read_table(
    table: object,
    *,
    text: Names | None = None,
    label: Names | None = _LABEL,
    label_map: LabelMap | None = None,
    limit: int | None = None,
    name: str | None = None,
) -> Examples:
    """Return the rows of a table, by the columns that are named.

    Parameters
    ----------
    table : frame, data set, mapping, rows or path
        A frame of pandas, polars or pyarrow; a ``Dataset`` or a stream of the package datasets,
        whose numbers stand for the names of their ``ClassLabel``; columns by name,
        ``{"text": [...], "label": [...]}``; dictionaries, one a row, of any iterable; or a file,
        read as its suffix says (``.csv``, ``.tsv``, ``.jsonl``, ``.parquet``, ...).
    text : str, or list of str, optional
        Column of the text, or of the texts of a row, such as ``["premise", "hypothesis"]``. A list
        in each row of one column is words, and its label their tags. By default `label` too is
        found by what columns are usually called; see `Examples.from_rows`. With it a ``.tsv`` has
        names of columns in its first line.
    label : str, list of str, or None
        Column of the label; of a list each column has the labels of a task of its name, where None,
        NaN and an empty text are none. None: several texts without a label.
    label_map : mapping, optional
        As in `read_tsv`.
    limit : int, optional
        Rows at most; of a stream no more are asked for. They are held in memory; for a file that is
        larger see `stream`.
    name : str, optional
        What messages call the data; by default the file's name, or "table".

    Raises
    ------
    TypeError
        If it is no table, or a text, word or label is of the wrong type (None and NaN are); the
        message has the row's number.
    DataError
        If a column is missing (names the closest), a row does not hold, or there is none.
    ConfigError
        If columns cannot be used, or the file is of a kind that has none.
    ImportError
        If pyarrow is needed and missing.

    Examples
    --------
    >>> table = {"review": ["good food", "never again"], "stars": [5, 1], "topic": ["food", None]}
    >>> read_table(table, text="review", label=["stars", "topic"])
    Examples(2 texts, name='table', labels of stars, topic (1))
    """
    rows = None if limit is None else check_integer("limit", limit, 1)
    if isinstance(table, str | bytes | os.PathLike):
        examples = _of_file(table, text, label)[slice(rows)]
        examples.name = examples.name if name is None else check_text("name", name)
    else:
        called = check_text("name", "table" if name is None else name)
        examples = as_examples(islice(_rows_of(table, text, label, called), rows), called)
    return examples if label_map is None else map_labels(examples, label_map)


def label_order(table: object, label: str) -> Sequence[str] | None:
    """Return the names of a column's labels in the order of a data set; None if it has none."""
    if not isinstance(table, str | bytes | os.PathLike):
        return class_names(table).get(label)
    if os.path.isfile(table) and reader_of(check_path("table", table)) is read_parquet:
        return parquet_class_names(check_path("table", table)).get(label)
    return None


def _keys(text: Names | None, label: Names | None) -> Keys | None:
    """Return which columns are named; None if none is."""
    return None if _unnamed(text, label) else named_keys(_TEXT if text is None else text, label)


def _unnamed(text: Names | None, label: Names | None) -> bool:
    return text is None and isinstance(label, str) and label == _LABEL


def _of_file(table: str | bytes | os.PathLike[Any], text: Any, label: Any) -> Examples:
    path = check_path("table", table)
    reader = reader_of(path)
    if _unnamed(text, label):
        return reader(path)
    if "text" not in signature(reader).parameters:
        raise ConfigError(
            f"{path}: expected a file with named columns, of which text={quoted(text)} and "
            f"label={quoted(label)} could be some; found one for {reader.__name__}, which has "
            "none; leave text= and label= out"
        )
    header = {"header": True} if reader is read_tsv else {}
    return reader(path, text=_TEXT if text is None else text, label=label, **header)


def _rows_of(table: object, text: Any, label: Any, name: str) -> Iterator[object]:
    """Return the rows of a table, by the keys that are read."""
    if parts_of(table) is not None:
        raise ConfigError(
            f"{name}: expected one table; found a data set of the parts "
            f"{name_list(table, 4) if isinstance(table, Mapping) else ''}; pass one of them, or "
            "all to Task.from_table"
        )
    keys, items = _keys(text, label), as_items(plain_rows(table, name))
    if items is None:
        raise TypeError(
            f"{name}: expected a frame, a data set, columns by name, rows or the path of a file; "
            f"found {typed(table)}"
        )
    return items if keys is None else _renamed(items, keys, name)


def _renamed(items: Iterable[object], keys: Keys, name: str) -> Iterator[object]:
    for number, row in enumerate(items):
        where = f"row {number} of {name}"
        if not isinstance(row, Mapping):
            raise DataError(
                f"{where}: expected columns by name; found {typed(row)}; give dictionaries, or "
                "leave text= and label= out"
            )
        yield renamed(row, keys, where, "column")
