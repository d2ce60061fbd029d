# SPDX-License-Identifier: Apache-2.0
"""Parquet files -> rows, through pyarrow (extra ``data``); names of labels that a file carries.

Files that the package datasets wrote say in their schema which names the numbers of a label stand
for; rows then have the names.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..checks import check_path
from ..errors import DataError
from ..files.reading import open_file
from ..quoting import cut
from .example import Example
from .faults import OnFault, raised
from .row_files import Keys, renamed
from .rows import example_from_row
from .tables import arrow, named_rows
from .unused import Unused

__all__ = ["parquet_class_names", "parquet_rows"]

_WRITTEN_BY = b"huggingface"
"""Where datasets keeps its features in the metadata of a schema."""


def parquet_rows(
    path: str | os.PathLike[str], keys: Keys | None = None, on_fault: OnFault = raised
) -> Iterator[Example]:
    """Yield the rows of a file; see `read_parquet` for arguments and what it raises."""
    place, unused = check_path("path", path), Unused("column")
    with open_file(place, DataError) as file:
        opened = _opened(file, str(place))
        rows = named_rows(_plain(opened, str(place)), _class_names(opened.schema_arrow.metadata))
        for number, row in enumerate(rows):
            where = f"{place}, row {number}"
            try:
                given = row if keys is None else renamed(row, keys, where, "column")
                example = example_from_row(given, where, unused)
            except (DataError, TypeError) as fault:
                on_fault(DataError(str(fault)))
                continue
            yield example
    unused.say(cut(str(path)))


def parquet_class_names(path: str | os.PathLike[str]) -> dict[str, Sequence[str]]:
    """Return the names of labels by column that a file carries."""
    place = check_path("path", path)
    with open_file(place, DataError) as file:
        return _class_names(_opened(file, str(place)).schema_arrow.metadata)


def _opened(file: Any, place: str) -> Any:
    arrow(place)  # its error names the extra
    parquet = importlib.import_module("pyarrow.parquet")
    try:
        return parquet.ParquetFile(file)
    except Exception as error:  # of pyarrow's own kinds, ArrowInvalid and others
        raise _broken(place, error) from None


def _plain(opened: Any, place: str) -> Iterator[Any]:
    """Yield the rows as dictionaries, a part of the file at a time."""
    batches = opened.iter_batches()
    while True:
        try:
            batch = next(batches, None)
        except Exception as error:
            raise _broken(place, error) from None
        if batch is None:
            return
        yield from batch.to_pylist()


def _broken(place: str, error: Exception) -> DataError:
    return DataError(
        f"{place}: expected a Parquet file; found one that pyarrow cannot read "
        f"({cut(str(error))}); write it again"
    )


def _class_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, Sequence[str]]:
    """Return names of labels by column; what is not as datasets writes it says nothing."""
    try:
        features = json.loads((metadata or {})[_WRITTEN_BY])["info"]["features"]
        named = {key: one.get("feature", one).get("names") for key, one in features.items()}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}
    return {
        key: names
        for key, names in named.items()
        if isinstance(names, list) and all(isinstance(name, str) for name in names)
    }
