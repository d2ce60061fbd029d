# SPDX-License-Identifier: Apache-2.0
"""Files of plain text, for heads that need no labels: a row a line, or a row a document."""

from __future__ import annotations

import os

from ..checks import check_choice, check_path
from ..errors import DataError
from .example import Example
from .examples import Examples
from .files import read_lines
from .origin import came_from

__all__ = ["UNITS", "read_plain_text"]

PathLike = str | os.PathLike[str]

UNITS = ("line", "document")


def read_plain_text(path: PathLike, *, rows: str = "line") -> Examples:
    """Read texts without labels, for `mtf.MaskedLM` and `mtf.CausalLM`.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    rows : {"line", "document"}
        A row a line, or a row a document: lines up to an empty one, joined by spaces. Empty lines
        are left out.

    Returns
    -------
    Examples
        A text a row, without a label.

    Raises
    ------
    DataError
        If the file is empty or not UTF-8; file, line and byte are named.
    ConfigError, TypeError
        If an argument cannot be used.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> n = Path("plain.txt").write_text("One line.\\nAnother.\\n\\nA second document.\\n")
    >>> [row.text for row in mtf.read_text("plain.txt", rows="document")]
    ['One line. Another.', 'A second document.']
    """
    name = str(check_path("path", path))
    check_choice("rows", rows, UNITS)
    found: list[Example] = []
    open_at: int | None = None
    lines: list[str] = []

    def close() -> None:
        if lines:
            text, where = " ".join(lines), f"{name}:{open_at}"
            found.append(Example(text, None, None, None, where))
            lines.clear()

    for number, line in enumerate(read_lines(path), 1):
        text = line.strip()
        if text:
            open_at = open_at if lines else number
            lines.append(text)
        if rows == "line" or not text:
            close()
    close()
    if not found:
        raise DataError(f"{name}: expected lines of text; found none that is not empty")
    return came_from(Examples(found, name), read_plain_text, path, rows=rows)
