# SPDX-License-Identifier: Apache-2.0
"""A file -> the rows that can be read, the errors of those that cannot, and what readers say."""

from __future__ import annotations

import os
import warnings
from inspect import signature
from pathlib import Path
from typing import Any, NamedTuple

from ..data import Example, Examples
from ..data.files import read_text
from ..data.readers import reader_of
from ..data.white_space import BLANKS, lines_of
from ..errors import DataError

__all__ = ["FileRows", "read_rows"]

PathLike = str | os.PathLike[str]


class FileRows(NamedTuple):
    """What reading a file to its end gave.

    Attributes
    ----------
    examples : Examples
        The rows that hold; there may be none.
    faults : list of DataError
        One of each row that does not, in the order of the file, then that of the file as a whole.
    notes : list of str
        What readers warned of.
    """

    examples: Examples
    faults: list[DataError]
    notes: list[str]


def read_rows(path: PathLike, options: dict[str, Any]) -> FileRows:
    """Read a file with the reader that its suffix names, to the end.

    Text files without a TAB are lines of text without labels. Images are decoded.

    Raises
    ------
    ConfigError, TypeError
        If no reader goes with the suffix, or it does not take the options.
    OSError
        If the file cannot be read.
    """
    faults: list[DataError] = []
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            examples = None if options else _lines_of_text(path)
            if examples is None:
                examples = _read(path, faults, options)
        except DataError as fault:
            faults.append(fault)
            examples = Examples([], Path(path).name)
        if examples.kind == "image":
            examples = _decoded(examples, faults)
    return FileRows(examples, faults, [str(one.message) for one in said])


def _decoded(examples: Examples, faults: list[DataError]) -> Examples:
    """Return the rows whose images can be decoded, and hand over the errors of the others."""
    held = []
    for row in examples:
        assert row.image is not None
        try:
            row.image.decode()
        except DataError as fault:
            faults.append(fault)
        else:
            held.append(row)
    return Examples(held, examples.name)


def _read(path: PathLike, faults: list[DataError], options: dict[str, Any]) -> Examples:
    """Read a file; readers that judge a file as a whole raise its fault, others hand over each."""
    reader = reader_of(path)
    handed = {"on_fault": faults.append} if "on_fault" in signature(reader).parameters else {}
    return reader(path, **handed, **options)


def _lines_of_text(path: PathLike) -> Examples | None:
    """Return the lines of a text file as rows without a label; None if it has a TAB or is none."""
    if Path(path).suffix.lower() != ".txt":
        return None
    text = read_text(path)
    if "\t" in text:
        return None
    rows = enumerate(lines_of(text), start=1)
    kept = (
        Example(line, None, None, None, f"{path}:{n}") for n, line in rows if line.strip(BLANKS)
    )
    return Examples(kept, Path(path).name)
