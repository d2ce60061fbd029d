# SPDX-License-Identifier: Apache-2.0
"""`stream`: a file of data larger than memory, as `Examples` whose rows stay in the file."""

from __future__ import annotations

import os
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

from ..checks import check_choice, check_path
from ..closest import did_you_mean, name_list, unknown
from ..errors import ConfigError
from ..quoting import quoted
from .entity_tags import check_entity_tags
from .examples import Examples
from .faults import OnFault, check_on_fault
from .file_rows import FileRows
from .label_map import LabelMap, map_labels
from .origin import came_from
from .row_formats import FORMATS, RowFormat

__all__ = ["stream"]

_SUFFIXES = {
    ".jsonl": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".text": "text",
}
"""Formats by suffix, those that `read_file` takes."""


def stream(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    label_map: LabelMap | None = None,
    on_fault: OnFault | None = None,
    **options: Any,
) -> Examples:
    """Return the rows of a file without reading them into memory.

    The file is looked through once: every row is checked as the reader of its format does, and
    where it lies is kept, 16 bytes a row. After that a row is read when it is needed. What comes
    back is taken wherever `Examples` are, and gives the same bits as the file read whole: batches
    are drawn by the same shuffle of all rows, from (seed, task, epoch).

    Parameters
    ----------
    path : path
        A UTF-8 file. It must stay as it is while its rows are in use; lines that are added to it
        are not seen.
    format : {"jsonl", "csv", "tsv", "text"}, optional
        That of `read_jsonl`, `read_csv`, `read_tsv` or `read_text`; by default as the suffix says:
        ``.jsonl``, ``.csv``, ``.tsv`` and ``.txt``, ``.text``.
    label_map : mapping, optional
        As in `read_tsv`.
    on_fault : callable, optional
        As in `read_tsv`.
    **options
        Those of the reader: ``text=`` and ``label=``; of CSV ``delimiter=``; ``header=`` of CSV and
        TSV; ``scheme=`` of JSON lines, where only ``"iob2"`` and ``"words"`` are read; ``rows=`` of
        text.

    Returns
    -------
    Examples
        Slices, `select`, `split`, ``+`` and `map_labels` of it keep no rows in memory either; the
        file is open as long as one of them is in use. A row that is no longer what it was raises
        `DataError` when it is read.

    Raises
    ------
    ConfigError
        If the format is unknown, or an argument cannot be used.
    DataError
        For what the reader refuses, the row named; a row of more than 256 MiB; an empty file; a
        pipe or a device.
    TypeError
        If the format has no such option.
    OSError
        If the file cannot be read, or the folder of temporary files takes no more.

    Examples
    --------
    >>> from pathlib import Path
    >>> lines = ['{"text": "good food", "label": "positive"}', '{"text": "slow", "label": "bad"}']
    >>> n = Path("large.jsonl").write_text("\\n".join(lines))
    >>> rows = stream("large.jsonl")
    >>> rows
    Examples(2 texts, name='large.jsonl', read as needed)
    >>> rows[1].text, rows[1].source
    ('slow', 'large.jsonl:2')
    """
    place = check_path("path", path)
    name = _format_of(place, format)
    # Rows and the whole are called as by the readers.
    of_rows, called = (str(place),) * 2 if name == "text" else (str(path), place.name)
    rows = _made(of_rows, name, FORMATS[name], options)
    examples = Examples(FileRows(place, of_rows, rows, check_on_fault(on_fault)), called)
    if label_map is not None:
        examples = map_labels(examples, label_map)
    if rows.check_tags and examples.kind == "words":
        check_entity_tags(examples)
    return came_from(
        examples, stream, path, format=format, label_map=label_map, on_fault=on_fault, **options
    )


def _format_of(path: Path, given: str | None) -> str:
    if given is not None:
        return check_choice("format", given, FORMATS)
    suffix = path.suffix.lower()
    if suffix not in _SUFFIXES:
        hint = did_you_mean(suffix, _SUFFIXES)
        raise ConfigError(
            f"{path}: expected a file name that ends in one of {name_list(_SUFFIXES)}; found "
            f"{quoted(suffix or 'none')}; {hint + ', or ' if hint else ''}pass format=, one of "
            f"{name_list(FORMATS)}"
        )
    return _SUFFIXES[suffix]


def _made(
    path: str, name: str, make: Callable[..., RowFormat[Any]], options: dict[str, Any]
) -> RowFormat[Any]:
    """Return a format with its options; TypeError for one that it does not have."""
    known = [one for one in signature(make).parameters if one != "path"]
    for option in options:
        if option not in known:
            raise TypeError(f"stream: {unknown('option', option, known, of=f'format {name}')}")
    return make(path, **options)
