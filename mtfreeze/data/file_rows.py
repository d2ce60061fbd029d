# SPDX-License-Identifier: Apache-2.0
"""Rows of a file, each read when it is asked for: where they lie is known from one pass over it.

Of a row is kept where its record begins, how long it is and its CRC-32, 16 bytes, and the number of
its line wherever that is not one more than that of the row before. So a record that is not what it
was at that pass is an error, and never another row in its place. Lines that are added to the file
later are no rows; a file that takes its name is not read.
"""

from __future__ import annotations

import os
import threading
import weakref
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..files.growing import GrowingArray
from ..quoting import cut
from .example import Example
from .faults import OnFault
from .files import open_raw
from .lazy_rows import LazyRows, RowFacts
from .line_cursor import LineCursor, blocks_of
from .row_formats import RowFormat

__all__ = ["FileRows"]

_PLACE = np.dtype([("begin", np.int64), ("size", np.uint32), ("checksum", np.uint32)])
_PIECE = 4096
"""Rows whose places are noted, or read, at a time."""
_AT_ONCE = 1 << 20
"""Bytes of a file that are read at a time where rows follow one another."""
_GAP = 1024
"""Bytes between rows that are read along."""


class FileRows(LazyRows):
    """The rows of a file; safe to use from several threads.

    Parameters
    ----------
    path : path
        The file; it stays open as long as this object lives.
    name : str
        What messages call it.
    rows : RowFormat
        How they are written.
    on_fault : callable
        Gets the error of each row that does not hold, which is then left out.

    Raises
    ------
    DataError
        If there is no row, the file is no regular one or not UTF-8, or for a row that does not hold
        if `on_fault` raises.
    OSError
        If the file cannot be read, or the folder of temporary files takes no more.
    """

    def __init__(
        self, path: os.PathLike[str], name: str, rows: RowFormat[Any], on_fault: OnFault
    ) -> None:
        self._name, self._format = name, rows
        self._lock = threading.Lock()
        self._file = open_raw(path)
        self._closing = weakref.finalize(self, self._file.close)
        try:
            self._places, self._lines, facts = _scan(self._file, self._name, rows, on_fault)
        except BaseException:
            self._closing()
            raise
        self._tasks = tuple(facts.tasks)
        rows.unused.say(cut(self._name))

    def __len__(self) -> int:
        return len(self._places)

    def row(self, number: int) -> Example:
        """Return one row.

        Raises
        ------
        DataError
            If the file does not hold it any more.
        """
        begin, size, checksum = self._places[number].item()
        return self._made(number, self._read(begin, size), size, checksum)

    def rows(self, numbers: NDArray[np.int64]) -> Iterator[Example]:
        """Yield rows in the order given; those that follow one another are read at once."""
        for begin in range(0, len(numbers), _PIECE):
            piece = numbers[begin : begin + _PIECE]
            places = self._places[piece]
            begins, sizes, checksums = (places[name].tolist() for name in _PLACE.names or ())
            ends = (places["begin"] + places["size"]).tolist()
            chosen = piece.tolist()
            at = 0
            while at < len(piece):
                first, to = begins[at], at + 1
                while (
                    to < len(piece)
                    and ends[to - 1] <= begins[to] <= ends[to - 1] + _GAP
                    and ends[to] - first <= _AT_ONCE
                ):
                    to += 1
                raw = self._read(first, ends[to - 1] - first)
                for i in range(at, to):
                    own = raw[begins[i] - first : ends[i] - first]
                    yield self._made(chosen[i], own, sizes[i], checksums[i])
                at = to

    def __iter__(self) -> Iterator[Example]:
        for begin in range(0, len(self), _PIECE):
            yield from self.rows(np.arange(begin, min(begin + _PIECE, len(self)), dtype=np.int64))

    def _read(self, begin: int, size: int) -> bytes:
        """Return bytes of the file, fewer if it has become shorter."""
        parts = []
        while size > 0:
            if hasattr(os, "pread"):
                part = os.pread(self._file.fileno(), size, begin)
            else:
                with self._lock:
                    self._file.seek(begin)
                    part = self._file.read(size)
            if not part:
                break
            parts.append(part)
            begin, size = begin + len(part), size - len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _made(self, number: int, raw: bytes, size: int, checksum: int) -> Example:
        line = self._lines.of(number)
        if len(raw) != size or zlib.crc32(raw) != checksum:
            raise DataError(
                f"{self._name}:{line}: expected the row that stood here when the file was looked "
                "through; found that the file has changed since; leave it as it is while its rows "
                "are in use, and call stream again"
            )
        return self._format.row(self._format.content(raw.decode("utf-8")), line)


def _scan(
    file: IO[bytes], name: str, rows: RowFormat[Any], on_fault: OnFault
) -> tuple[NDArray[Any], _LineNumbers, RowFacts]:
    """Look through a file; return where rows lie, at which lines, and what they are."""
    places, lines, facts = GrowingArray(_PLACE), _LineNumbers(), RowFacts()
    piece: list[tuple[int, int, int]] = []
    cursor = LineCursor(blocks_of(file), name)
    try:
        for one in rows.records(cursor, on_fault):
            try:
                row = rows.row(one.content, one.number)
            except DataError as fault:
                on_fault(fault)
                continue
            facts.add(row)
            lines.add(one.number)
            piece.append((one.begin, one.size, one.checksum))
            if len(piece) == _PIECE:
                places.append(np.array(piece, _PLACE))
                piece.clear()
        if facts.first is None:
            nothing = "expected rows of data; the file is empty"
            raise DataError(f"{name}: {rows.nothing if cursor.filled else nothing}")
        places.append(np.array(piece, _PLACE))
        return places.finish(), lines, facts
    finally:
        places.close()


class _LineNumbers:
    """At which line each row begins: noted only where rows do not stand on lines in a row."""

    def __init__(self) -> None:
        self._rows, self._less = array("q"), array("q")
        self._n = 0

    def add(self, line: int) -> None:
        """Note the line of the next row."""
        less = line - self._n
        if not self._less or less != self._less[-1]:
            self._rows.append(self._n)
            self._less.append(less)
        self._n += 1

    def of(self, row: int) -> int:
        """Return the line of a row."""
        return row + self._less[bisect_right(self._rows, row) - 1]
