# SPDX-License-Identifier: Apache-2.0
"""The lines of a stretch of a file, one after another, and where the record under way lies.

Lines end as `white_space` says. Of a file of any size one block is in memory, and one record.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import IO

from ..errors import DataError
from ..quantities import in_bytes
from .files import BYTE_ORDER_MARK, check_encoding, not_utf8
from .white_space import BLANKS

__all__ = ["LONGEST_RECORD", "LineCursor", "blocks_of"]

LONGEST_RECORD = 1 << 28
"""Bytes of a record; a file without ends of lines, or with an open quote, would be one of all."""

_BLOCK = 1 << 20
_BLANK = BLANKS.encode()


def blocks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the bytes of a file from where it stands, a block at a time."""
    while block := file.read(_BLOCK):
        yield block


class LineCursor(Iterator[str]):
    """Gives the lines of blocks, with their ends, as texts.

    Parameters
    ----------
    blocks : iterable of bytes
        Of a file from its beginning.
    name : str
        What messages call the file.

    Attributes
    ----------
    begin, end : int
        Bytes before the record under way, and before the line that comes next.
    first, number : int
        Numbers of the first line of the record, and of the line given last; from 1.
    checksum : int
        CRC-32 of the lines of the record that were given.
    filled : bool
        Whether any line held more than white space.
    """

    def __init__(self, blocks: Iterable[bytes], name: str) -> None:
        self._lines = _lines_of(blocks, name)
        self._name = name
        self.begin = self.end = self.checksum = self.number = 0
        self.first = 1
        self.filled = False

    def begin_record(self) -> None:
        """Let a record begin with the line that comes next."""
        self.begin, self.first, self.checksum = self.end, self.number + 1, 0

    def __next__(self) -> str:
        raw = next(self._lines)
        if not self.end:
            n_mark = len(BYTE_ORDER_MARK) if raw.startswith(BYTE_ORDER_MARK) else 0
            raw, self.begin, self.end = raw[n_mark:], n_mark, n_mark
        self.number += 1
        self.end += len(raw)
        self.checksum = zlib.crc32(raw, self.checksum)
        if self.end - self.begin > LONGEST_RECORD:
            raise _too_long(f"{self._name}:{self.first}")
        if not self.filled:
            self.filled = bool(raw.strip(_BLANK))
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise not_utf8(f"{self._name}:{self.number}", error) from None


def _lines_of(blocks: Iterable[bytes], name: str) -> Iterator[bytes]:
    """Yield lines with their ends; the last of what was read may go on, or be half a CRLF."""
    held: list[bytes] = []
    n_held = 0
    for number, block in enumerate(blocks):
        if not number:
            check_encoding(block.removeprefix(BYTE_ORDER_MARK), name)
        # Only once there is an end of a line are blocks put together: a long line costs no more.
        if b"\n" not in block and b"\r" not in block and not (held and held[-1].endswith(b"\r")):
            held.append(block)
            n_held += len(block)
            if n_held > LONGEST_RECORD:
                raise _too_long(name)
            continue
        lines = b"".join((*held, block)).splitlines(keepends=True)
        held = [lines.pop()]
        n_held = len(held[0])
        yield from lines
    yield from b"".join(held).splitlines(keepends=True)


def _too_long(where: str) -> DataError:
    return DataError(
        f"{where}: expected rows of at most {in_bytes(LONGEST_RECORD)}; found one that is longer; "
        "correct what should end it: a quote that is not closed, or lines that do not end"
    )
