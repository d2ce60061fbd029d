# SPDX-License-Identifier: Apache-2.0
"""One file of features: written once, front to back, checked as a whole before a row is used.

Little endian throughout::

    head      magic, version, dtype, width, sizes, SHA-256 of the tables, prefix key, name of the
              output; SHA-256 of the head
    tables    text keys (16 bytes each); offsets (n+1 int64); SHA-256 of each piece of the data;
              zeros up to a multiple of 4096
    data      (rows, width) float32 or bf16, to the end of the file

The head is written last, when the digests are known, so a file cut short at any point is no shard.
Our processes never change a file that has its final name, they add files or remove names; what
others do to one is noticed (`file_rows`).
"""

from __future__ import annotations

import errno
import hashlib
import io
import mmap
import os
import struct
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.interrupt import Stopped
from .file_rows import FileRows, ShardError, as_bytes, open_shard, read_at
from .keys import KEY_BYTES
from .rounding import DTYPES, ITEM_BYTES, stored_dtype

__all__ = [
    "Shard",
    "ShardError",
    "ShardHead",
    "ShardWriter",
    "Stopped",
    "file_rows",
    "map_rows",
    "read_shard",
]

MAGIC = b"MTFFEAT\n"
VERSION = 2
PIECE_BYTES = 4 << 20
"""Data bytes under one digest."""

# magic, version, dtype, width, texts, rows, start of data, digest of tables, key, length of name
_HEAD = struct.Struct("<8sIIIQQQ32s32sI")
_START = struct.Struct("<8sI")
_DIGEST_BYTES = 32
_READERS = 4
"""Threads that read and digest pieces; between two rounds of them is asked whether to stop."""
_ALIGN = 4096
_LONGEST_NAME = 4096


@dataclass(frozen=True)
class ShardHead:
    """What a shard holds.

    Attributes
    ----------
    key : str
        Prefix key.
    output : str
        Name of the output.
    dtype : {"float32", "bf16"}
        How rows are kept.
    width, n_texts, n_rows : int
        Columns, texts, and rows of all texts.
    """

    key: str
    output: str
    dtype: str
    width: int
    n_texts: int
    n_rows: int

    @property
    def data_bytes(self) -> int:
        """Bytes of the rows."""
        return self.n_rows * self.width * ITEM_BYTES[self.dtype]

    @property
    def n_pieces(self) -> int:
        """How many digests the data has."""
        return -(-self.data_bytes // PIECE_BYTES)

    @property
    def tables_start(self) -> int:
        """Where the tables begin."""
        return _HEAD.size + len(self.output.encode("utf-8")) + _DIGEST_BYTES

    @property
    def data_start(self) -> int:
        """Where the rows begin."""
        tables = self.n_texts * KEY_BYTES + (self.n_texts + 1) * 8 + self.n_pieces * _DIGEST_BYTES
        return -(-(self.tables_start + tables) // _ALIGN) * _ALIGN

    @property
    def file_bytes(self) -> int:
        """Bytes of the file."""
        return self.data_start + self.data_bytes


@dataclass(frozen=True)
class Shard:
    """A file whose head and tables are right; the data is checked when it is read.

    Attributes
    ----------
    path : Path
        The file.
    head : ShardHead
        Sizes and key.
    texts : list of bytes
        Text keys in the order of the rows.
    offsets : (n+1,) int64 array
        Where each text's rows begin.
    digests : list of bytes
        SHA-256 of each piece of the data.
    """

    path: Path
    head: ShardHead
    texts: list[bytes]
    offsets: NDArray[np.int64]
    digests: list[bytes]

    def has_rows(
        self, texts: Collection[bytes], counts: Callable[[Sequence[bytes]], NDArray[np.int64]]
    ) -> bool:
        """Say whether each of these texts has as many rows as `counts` says of them."""
        places = [place for place, text in enumerate(self.texts) if text in texts]
        expected = counts([self.texts[place] for place in places])
        return bool((np.diff(self.offsets)[places] == expected).all())

    def read_rows(self, stop: Callable[[], bool] = lambda: False) -> NDArray[Any]:
        """Read all rows, (n_rows, width), checking every piece; MemoryError if they do not fit."""
        rows = np.empty((self.head.n_rows, self.head.width), stored_dtype(self.head.dtype))
        with open_shard(self.path) as file:
            self._check_data(file, stop, as_bytes(rows))
        return rows

    def open_rows(self, stop: Callable[[], bool] = lambda: False) -> FileRows:
        """Return the rows, to be read from the file, after checking all of them once."""
        with open_shard(self.path) as file:
            self._check_data(file, stop, None)
            return file_rows(file, self.head)

    def check(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Read through the data; ShardError if a digest does not hold."""
        with open_shard(self.path) as file:
            self._check_data(file, stop, None)

    def _check_data(
        self, file: IO[bytes], stop: Callable[[], bool], into: memoryview | None
    ) -> None:
        """Read the pieces into `into`, or through a few buffers, and compare their digests."""
        total, n_pieces = self.head.data_bytes, len(self.digests)
        if os.fstat(file.fileno()).st_size != self.head.file_bytes:
            raise ShardError("it has another size than its head says")
        if stop():
            raise Stopped
        n_readers = min(_READERS, n_pieces)
        buffers = [memoryview(bytearray(min(PIECE_BYTES, total))) for _ in range(n_readers)]

        def check(number: int) -> None:
            begin = number * PIECE_BYTES
            n = min(PIECE_BYTES, total - begin)
            piece = buffers[number % n_readers][:n] if into is None else into[begin : begin + n]
            read_at(file.fileno(), piece, self.head.data_start + begin)
            if hashlib.sha256(piece).digest() != self.digests[number]:
                raise ShardError(f"its rows are damaged (digest {number} of the data)")

        if n_pieces <= 1:
            for number in range(n_pieces):
                check(number)
            return
        with ThreadPoolExecutor(n_readers) as readers:
            for first in range(0, n_pieces, n_readers):
                if stop():
                    raise Stopped
                list(readers.map(check, range(first, min(first + n_readers, n_pieces))))


def file_rows(file: IO[bytes], head: ShardHead) -> FileRows:
    """Return the rows of an open, whole file, to be read from it."""
    return FileRows(file, head.data_start, (head.n_rows, head.width), stored_dtype(head.dtype))


def map_rows(file: IO[bytes], head: ShardHead) -> NDArray[Any]:
    """Return the rows of a file that no other process can open, (n_rows, width), read-only.

    The array keeps the mapping alive. A file that others may shorten must not be mapped.
    """
    dtype = stored_dtype(head.dtype)
    if not head.data_bytes:
        return np.empty((head.n_rows, head.width), dtype)
    mapping = mmap.mmap(file.fileno(), head.file_bytes, access=mmap.ACCESS_READ)
    values: NDArray[Any] = np.frombuffer(
        mapping, dtype, count=head.n_rows * head.width, offset=head.data_start
    )
    return values.reshape(head.n_rows, head.width)


def read_shard(path: Path) -> Shard:
    """Read and check head and tables of a file.

    Raises
    ------
    ShardError
        If it is no whole shard of this version.
    OSError
        If it cannot be read, or is gone.
    """
    with open_shard(path) as raw, io.BufferedReader(raw) as file:
        size = os.fstat(raw.fileno()).st_size
        head, tables_digest = _read_head(file, size)
        if size != head.file_bytes:
            fault = "it is cut short" if size < head.file_bytes else "it is longer than its rows"
            raise ShardError(fault)
        tables = file.read(head.data_start - head.tables_start)
    if hashlib.sha256(tables).digest() != tables_digest:
        raise ShardError("its tables are damaged")
    n = head.n_texts
    at = n * KEY_BYTES
    offsets = np.frombuffer(tables, "<i8", n + 1, at).astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != head.n_rows or (np.diff(offsets) < 0).any():
        raise ShardError("its offsets contradict its sizes")
    texts = [tables[begin : begin + KEY_BYTES] for begin in range(0, at, KEY_BYTES)]
    first = at + 8 * (n + 1)
    ends = range(first + _DIGEST_BYTES, first + (head.n_pieces + 1) * _DIGEST_BYTES, _DIGEST_BYTES)
    return Shard(path, head, texts, offsets, [tables[end - _DIGEST_BYTES : end] for end in ends])


def _read_head(file: IO[bytes], size: int) -> tuple[ShardHead, bytes]:
    raw = file.read(_HEAD.size)
    if len(raw) < _START.size or not raw.startswith(MAGIC):
        raise ShardError("it is no file of features")
    _, version = _START.unpack_from(raw)
    if version != VERSION:
        age = "an earlier" if version < VERSION else "a later"
        raise ShardError(f"it is of {age} mtfreeze: format {version}, this one reads {VERSION}")
    if len(raw) < _HEAD.size:
        raise ShardError("it is cut short")
    _, _, dtype, width, n_texts, n_rows, start, tables_digest, key, n_name = _HEAD.unpack(raw)
    # Before these numbers are trusted with an allocation they must fit into the file.
    if n_name > _LONGEST_NAME or dtype >= len(DTYPES) or n_texts > size or n_rows > size:
        raise ShardError("its head is damaged")
    name = file.read(n_name)
    if file.read(_DIGEST_BYTES) != hashlib.sha256(raw + name).digest():
        raise ShardError("its head is damaged")
    head = ShardHead(
        key.decode("ascii", "replace"),
        name.decode("utf-8", "replace"),
        DTYPES[dtype],
        width,
        n_texts,
        n_rows,
    )
    if start != head.data_start:
        raise ShardError("its head contradicts itself")
    return head, tables_digest


def _claim(file: IO[bytes], n_bytes: int) -> None:
    """Make the disk set the room aside, so that a full one is an error here and never a SIGBUS."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    except OSError as error:
        # A file system without the call: every byte is written anyway before it is mapped.
        if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS):
            raise


class ShardWriter:
    """Writes one shard into an open file, row by row; nothing of it counts until `finish`.

    Parameters
    ----------
    file : binary file
        New and empty, open for reading and writing; the caller owns and names it.
    head : ShardHead
        The sizes, known before the first row.

    Raises
    ------
    OSError
        If the disk has no room for the whole file: it is claimed here, where the system can.
    """

    def __init__(self, file: IO[bytes], head: ShardHead) -> None:
        self._file, self.head = file, head
        self._written = 0
        self._piece = hashlib.sha256()
        self._digests: list[bytes] = []
        _claim(file, head.file_bytes)
        file.seek(head.data_start)

    def append(self, rows: NDArray[Any]) -> None:
        """Write the next rows, (n, width), already in the stored dtype."""
        data = as_bytes(np.ascontiguousarray(rows, stored_dtype(self.head.dtype)))
        while len(data):
            n = min(len(data), PIECE_BYTES - self._written % PIECE_BYTES)
            self._file.write(data[:n])
            self._piece.update(data[:n])
            self._written += n
            if self._written % PIECE_BYTES == 0:
                self._end_piece()
            data = data[n:]

    def _end_piece(self) -> None:
        self._digests.append(self._piece.digest())
        self._piece = hashlib.sha256()

    def finish(self, texts: Sequence[bytes], offsets: NDArray[np.int64]) -> None:
        """Write tables and head, and sync the file.

        Parameters
        ----------
        texts : sequence of bytes
            Text keys in the order of the rows.
        offsets : (n+1,) int64 array
            Where each text's rows begin.
        """
        head = self.head
        if self._written % PIECE_BYTES:
            self._end_piece()
        sizes = (len(texts), int(offsets[-1]), self._written)
        if sizes != (head.n_texts, head.n_rows, head.data_bytes):
            raise ValueError(f"expected texts, rows and bytes as in {head}; found {sizes}")
        tables = b"".join(texts) + offsets.astype("<i8").tobytes()
        tables += b"".join(self._digests)
        tables += bytes(head.data_start - head.tables_start - len(tables))
        name = head.output.encode("utf-8")
        start = _HEAD.pack(
            MAGIC,
            VERSION,
            DTYPES.index(head.dtype),
            head.width,
            head.n_texts,
            head.n_rows,
            head.data_start,
            hashlib.sha256(tables).digest(),
            head.key.encode("ascii"),
            len(name),
        )
        # The tables first: a head without them would call the file whole.
        self._file.seek(head.tables_start)
        self._file.write(tables)
        self._file.flush()
        self._file.seek(0)
        self._file.write(start + name + hashlib.sha256(start + name).digest())
        self._file.flush()
        os.fsync(self._file.fileno())
