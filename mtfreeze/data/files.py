# SPDX-License-Identifier: Apache-2.0
"""Text files as lines: UTF-8 only, a byte-order mark tolerated, faults named by line and byte.

Where lines end is said in `white_space`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from ..checks import check_path
from ..closest import did_you_mean
from ..errors import DataError
from ..files.reading import open_file, read_file
from ..quoting import quoted
from .white_space import BLANKS, lines_of

__all__ = [
    "BYTE_ORDER_MARK",
    "check_encoding",
    "decoded",
    "filled_lines",
    "not_utf8",
    "open_raw",
    "read_lines",
    "read_raw",
    "read_text",
]

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""Of UTF-8, which is no part of the text."""

_MARKS = {
    b"\xff\xfe\x00\x00": "utf-32",
    b"\x00\x00\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
"""First bytes of files that are not UTF-8 -> what they are; the longer ones first."""
_LOOKED_AT = 1_000
"""Bytes in which a file without such a mark shows that it is UTF-16."""
_LINE_END = re.compile(rb"\r\n|\r|\n")


_Opened = TypeVar("_Opened")


def read_raw(path: str | os.PathLike[str]) -> bytes:
    """Return the bytes of a file.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message names the closest file of that folder.
    DataError
        If it is no file.
    TypeError
        If `path` is no path.
    """
    return _with_closest(check_path("path", path), lambda place: read_file(place, DataError))


def open_raw(path: str | os.PathLike[str]) -> IO[bytes]:
    """Open a file of data, without a buffer; see `read_raw` for what it raises."""
    place = check_path("path", path)
    return _with_closest(place, lambda place: open_file(place, DataError, buffering=0))


def _with_closest(place: Path, opening: Callable[[Path], _Opened]) -> _Opened:
    """Return what opening a file gives; if there is none, name the closest of its folder."""
    try:
        return opening(place)
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


def decoded(raw: bytes, name: str) -> str:
    """Return the text of a file's bytes, without its byte-order mark.

    Raises
    ------
    DataError
        If they are not UTF-8; the message has `name`, line and byte.
    """
    raw = raw.removeprefix(BYTE_ORDER_MARK)
    check_encoding(raw, name)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        ends = [end.end() for end in _LINE_END.finditer(raw, 0, error.start)]
        raise not_utf8(f"{name}:{len(ends) + 1}", error, ends[-1] if ends else 0) from None


def check_encoding(raw: bytes, name: str) -> None:
    """Refuse a file whose first bytes, after a byte-order mark of UTF-8, show another encoding."""
    other = _other_encoding(raw)
    if other:
        raise DataError(
            f"{name}: expected UTF-8; found {other.upper()}; save the file as UTF-8, in a "
            f"spreadsheet as 'CSV UTF-8', or with iconv -f {other} -t utf-8"
        )


def not_utf8(where: str, error: UnicodeDecodeError, line_begin: int = 0) -> DataError:
    """Return the error of a line of a file; `line_begin` is where it begins in what was decoded."""
    return DataError(
        f"{where}: expected UTF-8; found byte 0x{error.object[error.start]:02x} at byte "
        f"{error.start - line_begin + 1} of the line ({error.reason}); save the file as UTF-8, for "
        "instance with iconv -f latin1 -t utf-8"
    )


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


def read_text(path: str | os.PathLike[str]) -> str:
    """Return the text of a file of data; see `read_raw` and `decoded` for what else they raise.

    Raises
    ------
    DataError
        If the file is empty, or holds nothing but empty lines.
    """
    raw, name = read_raw(path), str(check_path("path", path))
    if not raw.removeprefix(BYTE_ORDER_MARK).strip(BLANKS.encode()):
        raise DataError(f"{name}: expected rows of data; the file is empty")
    return decoded(raw, name)


def read_lines(path: str | os.PathLike[str]) -> Iterator[str]:
    """Return the lines of a file of data without their ends; see `read_text`."""
    return lines_of(read_text(path))


def filled_lines(path: str | os.PathLike[str], text: str) -> Iterator[tuple[str, int, str]]:
    """Yield where each line of a text that is not blank stands, its number, and the line."""
    for number, line in enumerate(lines_of(text), start=1):
        if line.strip(BLANKS):
            yield f"{path}:{number}", number, line
