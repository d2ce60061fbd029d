# SPDX-License-Identifier: Apache-2.0
"""The texts that a command is given: arguments, or the lines of a file or of stdin.

A file and stdin are read alike, so one text gets one answer whichever way it comes. An empty line
is an empty text.
"""

from __future__ import annotations

import sys

from ..data.files import decoded, read_raw
from ..data.white_space import lines_of

__all__ = ["given_texts"]


def given_texts(texts: tuple[str, ...], path: str | None) -> list[str]:
    """Return the texts of arguments, else those of the file, ``-`` or None for stdin.

    Raises
    ------
    DataError
        If what is read is not UTF-8; names the file, or stdin, with line and byte.
    OSError
        If the file cannot be read.
    """
    if texts:
        return list(texts)
    if path not in (None, "-"):
        return list(lines_of(decoded(read_raw(str(path)), str(path))))
    raw = sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else sys.stdin.read().encode()
    return list(lines_of(decoded(raw, "stdin")))
