# SPDX-License-Identifier: Apache-2.0
"""One file of features: written once, front to back, checked as a whole before a row is used.

Little endian throughout::

    head      magic, version, dtype, width, sizes, prefix key, name of the output; its crc32
    tables    text keys (16 bytes each); offsets (n+1 int64); crc32 of each piece of the data;
              zeros up to a multiple of 4096; one crc32 over the tables stands in the head
    data      (rows, width) float32 or bf16, to the end of the file

The head is written last, when the checksums are known, so a file cut short at any point is no
shard. A file is never changed after it has its final name: a mapping of it cannot be pulled away
by another process of ours, which only ever adds files or removes names.
"""

from __future__ import annotations

import errno
import mmap
import os
import stat
import struct
import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime.interrupt import Stopped
from .keys import KEY_BYTES
from .rounding import DTYPES, ITEM_BYTES, stored_dtype

__all__ = ["Shard", "ShardError", "ShardHead", "ShardWriter", "Stopped", "map_rows", "read_shard"]

MAGIC = b"MTFFEAT\n"
VERSION = 1
PIECE_BYTES = 4 << 20
"""Data bytes under one checksum; also what is read between two questions whether to stop."""

# magic, version, dtype, width, texts, rows, start of data, crc32 of tables, key, length of name
_HEAD = struct.Struct("<8sIIIQQQI32sI")
_CRC = struct.Struct("<I")
_ALIGN = 4096
_LONGEST_NAME = 4096


class ShardError(Exception):
    """A file cannot be used; the text says why, to stand behind its name."""


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
        """How many checksums the data has."""
        return -(-self.data_bytes // PIECE_BYTES)

    @property
    def tables_start(self) -> int:
        """Where the tables begin."""
        return _HEAD.size + len(self.output.encode("utf-8")) + _CRC.size

    @property
    def data_start(self) -> int:
        """Where the rows begin."""
        tables = self.n_texts * KEY_BYTES + (self.n_texts + 1) * 8 + self.n_pieces * _CRC.size
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
    checksums : (pieces,) uint32 array
        crc32 of the data.
    """

    path: Path
    head: ShardHead
    texts: list[bytes]
    offsets: NDArray[np.int64]
    checksums: NDArray[np.uint32]

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
        with self.path.open("rb", buffering=0) as file:
            self._check_data(file, stop, _as_bytes(rows))
        return rows

    def map_rows(self, stop: Callable[[], bool] = lambda: False) -> NDArray[Any]:
        """Map the rows, (n_rows, width), after reading through all of them once."""
        with self.path.open("rb", buffering=0) as file:
            self._check_data(file, stop, None)
            return map_rows(file, self.head)

    def check(self, stop: Callable[[], bool] = lambda: False) -> None:
        """Read through the data; ShardError if a checksum does not hold."""
        with self.path.open("rb", buffering=0) as file:
            self._check_data(file, stop, None)

    def _check_data(self, file: IO[bytes], stop: Callable[[], bool], into: Any) -> None:
        """Read the pieces into `into`, or through one buffer, and compare their checksums."""
        if os.fstat(file.fileno()).st_size != self.head.file_bytes:
            raise ShardError("it has another size than its head says")
        file.seek(self.head.data_start)
        buffer = memoryview(bytearray(min(PIECE_BYTES, self.head.data_bytes)))
        for number, checksum in enumerate(self.checksums.tolist()):
            if stop():
                raise Stopped
            begin = number * PIECE_BYTES
            n = min(PIECE_BYTES, self.head.data_bytes - begin)
            piece = buffer[:n] if into is None else into[begin : begin + n]
            _read_into(file, piece)
            if zlib.crc32(piece) != checksum:
                raise ShardError(f"its rows are damaged (checksum {number} of the data)")


def _as_bytes(rows: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order, without a copy."""
    flat: Any = rows.reshape(-1).view(np.uint8)
    return memoryview(flat)


def _read_into(file: IO[bytes], piece: memoryview) -> None:
    at = 0
    while at < len(piece):
        n = file.readinto(piece[at:])  # type: ignore[attr-defined]
        if not n:
            raise ShardError("it ends too early")
        at += n


def map_rows(file: IO[bytes], head: ShardHead) -> NDArray[Any]:
    """Return the rows of an open, whole file as a read-only array that keeps the mapping alive."""
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
    if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for ever
        raise ShardError("it is no file")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head, tables_crc = _read_head(file, size)
        if size != head.file_bytes:
            fault = "it is cut short" if size < head.file_bytes else "it is longer than its rows"
            raise ShardError(fault)
        tables = file.read(head.data_start - head.tables_start)
    if len(tables) != head.data_start - head.tables_start:
        raise ShardError("it ends too early")
    if zlib.crc32(tables) != tables_crc:
        raise ShardError("its tables are damaged")
    n = head.n_texts
    at = n * KEY_BYTES
    offsets = np.frombuffer(tables, "<i8", n + 1, at).astype(np.int64)
    checksums = np.frombuffer(tables, "<u4", head.n_pieces, at + 8 * (n + 1))
    if offsets[0] != 0 or offsets[-1] != head.n_rows or (np.diff(offsets) < 0).any():
        raise ShardError("its offsets contradict its sizes")
    texts = [tables[begin : begin + KEY_BYTES] for begin in range(0, at, KEY_BYTES)]
    return Shard(path, head, texts, offsets, checksums)


def _read_head(file: IO[bytes], size: int) -> tuple[ShardHead, int]:
    raw = file.read(_HEAD.size)
    if len(raw) < _HEAD.size or not raw.startswith(MAGIC):
        raise ShardError("it is no file of features")
    _, version, dtype, width, n_texts, n_rows, start, tables_crc, key, n_name = _HEAD.unpack(raw)
    if version != VERSION:
        raise ShardError(f"it has format {version}, this version reads {VERSION}")
    # Before these numbers are trusted with an allocation they must fit into the file.
    if n_name > _LONGEST_NAME or dtype >= len(DTYPES) or n_texts > size or n_rows > size:
        raise ShardError("its head is damaged")
    name = file.read(n_name)
    crc = file.read(_CRC.size)
    if len(crc) != _CRC.size or zlib.crc32(raw + name) != _CRC.unpack(crc)[0]:
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
    return head, tables_crc


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
        self._crc = 0
        self._checksums: list[int] = []
        _claim(file, head.file_bytes)
        file.seek(head.data_start)

    def append(self, rows: NDArray[Any]) -> None:
        """Write the next rows, (n, width), already in the stored dtype."""
        data = _as_bytes(np.ascontiguousarray(rows, stored_dtype(self.head.dtype)))
        while len(data):
            n = min(len(data), PIECE_BYTES - self._written % PIECE_BYTES)
            self._file.write(data[:n])
            self._crc = zlib.crc32(data[:n], self._crc)
            self._written += n
            if self._written % PIECE_BYTES == 0:
                self._end_piece()
            data = data[n:]

    def _end_piece(self) -> None:
        self._checksums.append(self._crc)
        self._crc = 0

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
        tables += np.array(self._checksums, "<u4").tobytes()
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
            zlib.crc32(tables),
            head.key.encode("ascii"),
            len(name),
        )
        # The tables first: a head without them would call the file whole.
        self._file.seek(head.tables_start)
        self._file.write(tables)
        self._file.flush()
        self._file.seek(0)
        self._file.write(start + name + _CRC.pack(zlib.crc32(start + name)))
        self._file.flush()
        os.fsync(self._file.fileno())
