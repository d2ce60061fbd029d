# SPDX-License-Identifier: Apache-2.0
"""Text files as lines: UTF-8 only, a byte-order mark tolerated, faults named by line and byte.

Lines end at LF (a CR before it is dropped) and nowhere else: characters such as U+0085 or U+2028,
at which ``str.splitlines`` would cut, stay inside their line.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from ..checks import check_path
from ..closest import did_you_mean
from ..errors import DataError
from ..files.reading import read_file
from ..quoting import quoted

__all__ = ["read_lines", "read_text"]

_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""First bytes of files that are not UTF-8 -> what they are; the longer ones first."""
_LOOKED_AT = 1_000
"""Bytes in which a file without such a mark shows that it is UTF-16."""


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the decoded text of a file, without its byte-order mark.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message names the closest file of that folder.
    DataError
        If the file is empty, no file, or not UTF-8; the message has line and byte.
    TypeError
        If `path` is no path.
    """
    place = check_path("path", path)
    try:
        raw = read_file(place, DataError)
    except FileNotFoundError:
        folder = place.parent
        names = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
        hint = (
            did_you_mean(place.name, names)
            if folder.is_dir()
            else f"no folder {quoted(str(folder))}"
        )
        text = os.strerror(errno.ENOENT) + (f"; {hint}" if hint else "")
        raise FileNotFoundError(errno.ENOENT, text, str(place)) from None
    if raw.startswith(b"\xef\xbb\xbf"):
        raw = raw[3:]
    if not raw.strip():
        raise DataError(f"{place}: expected rows of data; the file is empty")
    other = _other_encoding(raw)
    if other:
        raise DataError(
            f"{place}: expected UTF-8; found {other.upper()}; save the file as UTF-8, in a "
            f"spreadsheet as 'CSV UTF-8', or with iconv -f {other} -t utf-8"
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - (raw.rfind(b"\n", 0, error.start) + 1) + 1
        raise DataError(
            f"{place}:{line}: expected UTF-8; found byte 0x{raw[error.start]:02x} at byte {column} "
            f"of the line ({error.reason}); save the file as UTF-8, for instance with "
            "iconv -f latin1 -t utf-8"
        ) from None


def _other_encoding(raw: bytes) -> str:
    """Return the name of what a file is in if its bytes show that it is not UTF-8, else ""."""
    marked = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "")
    if marked:
        return marked
    # Without a mark, every other byte of most writing is zero, which UTF-8 texts hardly have.
    begin = raw[: _LOOKED_AT // 2 * 2]
    for first, name in ((0, "utf-16be"), (1, "utf-16le")):
        if 2 * begin[first::2].count(0) > len(begin[first::2]):
            return name
    return ""


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """Return the lines of a file without their ends; see `read_text` for what it raises."""
    return _lines(read_text(path))


def _lines(text: str) -> Iterator[str]:
    """Yield lines one by one: a list of all of an empty line's file is nine times that file."""
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield text[begin:end].removesuffix("\r")
        begin = end + 1
