# SPDX-License-Identifier: Apache-2.0
"""Frames, columns and data sets of other libraries -> plain rows.

They are known by what they offer, not by their types: pandas, polars, pyarrow and datasets need not
be installed. A data set whose labels are numbers with names (``ClassLabel``) gives the names. What
offers its columns to Arrow alone (``__arrow_c_stream__``) is read with pyarrow.
"""

from __future__ import annotations

import importlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np

from ..checks import as_integer, typed
from ..closest import name_list
from ..errors import DataError
from ..quoting import quoted
from .example import Example

__all__ = ["LEARNED", "arrow", "class_names", "named_rows", "parts_of", "plain_rows"]

_TO_ROWS = (("to_dicts", ()), ("to_pylist", ()), ("to_dict", ("records",)))
"""What gives the rows of a frame: of polars, pyarrow, pandas."""
_TO_LIST = ("to_pylist", "to_list", "tolist")
"""What gives the values of a column: of pyarrow, polars and pandas, NumPy and torch."""
LEARNED = "train"
_JUDGED = ("validation", "valid", "val", "dev", "eval", "test")
"""Names that data sets give their parts; of those to judge by the first that is there is taken."""


def plain_rows(data: object, name: str) -> object:
    """Return the rows of what may be a frame, columns by name, or a data set.

    Parameters
    ----------
    data : object
        What is none of these comes back as it is.
    name : str
        What messages call the data.

    Raises
    ------
    TypeError
        For a mapping that does not hold columns, or a set, whose order changes from run to run.
    DataError
        If columns differ in length, or two have one name.
    """
    if isinstance(data, Set):
        raise TypeError(
            f"{name}: expected rows in an order; found {type(data).__name__}, which has none, so "
            "that no run could be repeated; give a list, for instance sorted(rows)"
        )
    if isinstance(data, Mapping):
        return _rows_of_columns(data, name)
    if hasattr(data, "columns"):
        for method, arguments in _TO_ROWS:
            give = getattr(data, method, None)
            if callable(give):
                _check_columns(data, name)
                return give(*arguments)
    names = class_names(data)
    if names:
        return named_rows(data, names)
    if hasattr(data, "__arrow_c_stream__") and not hasattr(data, "features"):
        return arrow(name).table(data).to_pylist()
    return data


def arrow(name: str) -> Any:
    """Return the module pyarrow, which reads the data called `name`.

    Raises
    ------
    ImportError
        If it is missing; the extra that brings it is named.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        raise ImportError(
            f"{name}: reading it needs pyarrow; run `pip install mtfreeze[data]`, or write the "
            "rows as CSV or JSON lines"
        ) from None


def parts_of(data: object) -> tuple[Mapping[str, Any], str] | None:
    """Return the parts of a data set by name, and which of them is to judge by; None if it is one.

    Parts are a mapping with the key ``train``, whose values are data sets, frames, columns or rows.
    The name is "" if there is no part to judge by.
    """
    if not isinstance(data, Mapping) or LEARNED not in data or _is_column(data[LEARNED]):
        return None
    return data, next((name for name in _JUDGED if name in data), "")


def _is_column(values: object) -> bool:
    """Say whether something holds values, not rows of several fields."""
    if isinstance(values, Mapping) or hasattr(values, "columns") or hasattr(values, "features"):
        return False
    first = next(iter(values), None) if isinstance(values, Sequence) else None
    of_rows = isinstance(first, Mapping | Example) or (isinstance(first, tuple) and len(first) > 1)
    return not of_rows


def class_names(data: object) -> dict[str, Sequence[str]]:
    """Return the names of labels by column, of a data set that has them (``ClassLabel``)."""
    return _class_names(getattr(data, "features", None))


def _check_columns(frame: Any, name: str) -> None:
    """Refuse a frame in which two columns have one name: of their values one would be lost."""
    columns = getattr(frame, "column_names", None) or frame.columns
    twice = [column for column, times in Counter(columns).items() if times > 1]
    if twice:
        raise DataError(
            f"{name}: expected columns with different names; found {name_list(twice)} more than "
            "once; rename or drop one"
        )


def _rows_of_columns(data: Mapping[Any, Any], name: str) -> Iterable[object]:
    """Return the rows of ``{"text": [...], "label": [...]}``."""
    columns = {key: _values_of(one) for key, one in data.items()}
    if not all(isinstance(one, Sequence | np.ndarray) for one in columns.values()):
        raise TypeError(
            f"{name}: expected rows such as [(text, label), ...], or columns of one length such as "
            f'{{"text": [...], "label": [...]}}; found {type(data).__name__} with the keys '
            f"{name_list(data, 4)}; if these are parts of a data set, pass one of them"
        )
    lengths = {key: len(one) for key, one in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(
            f"{name}: expected columns of one length; found {quoted(lengths)}; correct the columns"
        )
    return (dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True))


def _values_of(column: Any) -> Any:
    """Return the values of a column as a list or array, None of what is no column."""
    if isinstance(column, np.ndarray):
        return column if column.ndim > 0 else None
    if isinstance(column, str | bytes | bytearray | Mapping) or hasattr(column, "features"):
        return None
    if isinstance(column, Sequence):
        return column
    if hasattr(column, "columns"):
        return None
    give = next((getattr(column, name) for name in _TO_LIST if hasattr(column, name)), None)
    return give() if callable(give) else None


def _class_names(features: object) -> dict[str, Sequence[str]]:
    """Return the names of labels by key: of features that have names, alone or in a list."""
    found: dict[str, Sequence[str]] = {}
    for key, feature in features.items() if isinstance(features, Mapping) else ():
        names = getattr(getattr(feature, "feature", feature), "names", None)
        if isinstance(names, list | tuple) and all(isinstance(name, str) for name in names):
            found[key] = names
    return found


def named_rows(rows: Any, names: Mapping[str, Sequence[str]]) -> Iterator[dict[str, Any]]:
    """Yield rows with the names of their labels in the place of numbers."""
    for row in rows:
        if not isinstance(row, Mapping):
            raise TypeError(f"expected a data set of dictionaries; found {typed(row)}")
        yield {key: _named(value, names.get(key)) for key, value in row.items()}


def _named(value: Any, names: Sequence[str] | None) -> Any:
    """Return a value, or each of a list, by its name; a number without one stays."""
    if names is None:
        return value
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0):
        return [_named(one, names) for one in value]
    number = as_integer(value)
    return value if number is None or not 0 <= number < len(names) else names[number]
