# SPDX-License-Identifier: Apache-2.0
"""Reading files that other processes may change: opened without surprises, never mapped.

A mapped file that another process shortens, or whose disk fails, ends the process with SIGBUS at
the next look at a row. So rows are read when they are asked for, and what is missing is an error.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import weakref
from io import FileIO
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from .trust import distrusted

__all__ = ["FileRows", "ShardError", "as_bytes", "open_shard", "read_at"]

# A link could lead out of the folder; opening a pipe would wait for ever.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
)
_seek_lock = threading.Lock()


class ShardError(Exception):
    """A file cannot be used; the text says why, to stand behind its name."""


def open_shard(path: Path) -> FileIO:
    """Open a file of a folder for reading, without a buffer.

    Raises
    ------
    ShardError
        If it is a link, no regular file, or one that other users may have written.
    OSError
        If it cannot be opened, or is gone.
    """
    try:
        file = os.fdopen(os.open(path, _FLAGS), "rb", buffering=0)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise ShardError("it is no file; symbolic links are not followed") from None
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise ShardError("it is no file") from None
        raise
    try:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ShardError("it is no file")
        if fault := distrusted(status):
            raise ShardError(fault)
    except BaseException:
        file.close()
        raise
    return file


def read_at(descriptor: int, into: memoryview, at: int) -> None:
    """Fill `into` with the bytes of a file from position `at` on; ShardError if it has not so many.

    Threads may read from one descriptor at once.
    """
    done = 0
    while done < len(into):
        n = _read_once(descriptor, into[done:] if done else into, at + done)
        if not n:
            raise ShardError("it is cut short")
        done += n


if hasattr(os, "preadv"):

    def _read_once(descriptor: int, into: memoryview, at: int) -> int:
        return os.preadv(descriptor, (into,), at)

else:  # pragma: no cover - Windows

    def _read_once(descriptor: int, into: memoryview, at: int) -> int:
        with _seek_lock:
            os.lseek(descriptor, at, os.SEEK_SET)
            data = os.read(descriptor, len(into))
        into[: len(data)] = data
        return len(data)


def as_bytes(rows: NDArray[Any]) -> memoryview:
    """Return the bytes of an array in C order, without a copy."""
    flat: Any = rows.reshape(-1).view(np.uint8)
    return memoryview(flat)


class FileRows:
    """Rows of an open file, read as they are asked for; has what is used of an array.

    Parameters
    ----------
    file : binary file
        Stays open for these rows, whatever becomes of `file` and of its name.
    start : int
        Where the first row begins.
    shape : (int, int)
        Rows and columns.
    dtype : numpy.dtype
        Of a value.
    """

    def __init__(
        self, file: IO[bytes], start: int, shape: tuple[int, int], dtype: np.dtype[Any]
    ) -> None:
        self.start, self.shape, self.dtype = start, shape, dtype
        self._descriptor = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._descriptor)

    @property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return self.shape[1] * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return self.shape[0] * self.row_bytes

    def take(self, index: NDArray[np.int64], out: NDArray[Any]) -> None:
        """Read the rows of these numbers, (n,), into `out`, (n, columns) in C order.

        Raises
        ------
        ShardError
            If the file has become shorter.
        OSError
            If it cannot be read.
        """
        if not len(index):
            return
        size, target = self.row_bytes, as_bytes(out)
        # The rows of a text lie together: one read for each stretch of numbers that follow on.
        cuts = np.flatnonzero(np.diff(index) != 1) + 1
        begins = np.concatenate(([0], cuts))
        places = (self.start + index[begins] * size).tolist()
        bounds = [*(begins * size).tolist(), len(target)]
        descriptor = self._descriptor
        for place, begin, end in zip(places, bounds, bounds[1:], strict=False):
            n = _read_once(descriptor, target[begin:end], place)
            if n != end - begin:
                read_at(descriptor, target[begin + n : end], place + n)
