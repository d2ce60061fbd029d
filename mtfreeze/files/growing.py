# SPDX-License-Identifier: Apache-2.0
"""Arrays whose length shows only at their end: in memory while small, then in a private file.

The file is unlinked when it is made, where the system can, so nothing is left behind by a kill.
Once finished it is mapped: the system reads of it what is asked for and lets go of it when memory
is short. Nobody else can reach it, so nobody can shorten it under the mapping.
"""

from __future__ import annotations

import mmap
import os
import tempfile
import weakref
from contextlib import suppress
from typing import IO, Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["KEPT_BYTES", "GrowingArray", "GrowingOffsets", "bytes_in_memory"]

KEPT_BYTES = 16 << 20
"""What an array keeps in memory before it goes into a file."""


class GrowingArray:
    """Takes numbers piece by piece; `finish` returns them as one array.

    Parameters
    ----------
    dtype : dtype
        Of the numbers.
    width : int, optional
        Of rows of a two-dimensional array; None for one of one dimension.

    Raises
    ------
    OSError
        If the folder of temporary files takes no more; it is named.
    """

    def __init__(self, dtype: DTypeLike, width: int | None = None) -> None:
        self._dtype = np.dtype(dtype)
        self._shape = (-1,) if width is None else (-1, width)
        self._pieces: list[NDArray[Any]] = []
        self._kept = 0
        self._file: IO[bytes] | None = None
        self._n = self._n_zeros = 0

    def __len__(self) -> int:
        """Return how many numbers, or rows, were taken."""
        return self._n

    def append(self, values: ArrayLike) -> None:
        """Take a piece; what only ever were zeros takes no room."""
        piece = np.ascontiguousarray(values, self._dtype).reshape(self._shape)
        self._n += len(piece)
        if self._n_zeros + len(piece) == self._n and not piece.reshape(-1).view(np.uint8).any():
            self._n_zeros = self._n
            return
        if self._n_zeros and self._n_zeros + len(piece) == self._n:
            self._write_zeros()
        self._keep(piece)

    def _write_zeros(self) -> None:
        step = 1 << 20
        width = self._shape[-1] if len(self._shape) > 1 else 1
        for begin in range(0, self._n_zeros * width, step):
            n = min(step, self._n_zeros * width - begin)
            self._keep(np.zeros(n, self._dtype))

    def _keep(self, piece: NDArray[Any]) -> None:
        self._pieces.append(piece)
        self._kept += piece.nbytes
        if self._kept > KEPT_BYTES:
            self._write()

    def _write(self) -> None:
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="mtfreeze-rows-")  # noqa: SIM115
                weakref.finalize(self, _let_go, self._file)
            for piece in self._pieces:
                self._file.write(piece.reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise _without_room(error) from None
        self._pieces, self._kept = [], 0

    def finish(self) -> NDArray[Any]:
        """Return all that was taken, (n,) or (n, width), read-only; nothing may follow."""
        if self._n_zeros == self._n:
            shape = (self._n, *self._shape[1:])
            return np.broadcast_to(np.zeros((), self._dtype), shape)
        if self._file is None:
            flat = [piece.reshape(-1) for piece in self._pieces]
            found = np.concatenate(flat) if len(flat) != 1 else flat[0].copy()
            self._pieces = []
        else:
            self._write()
            found = _mapped(self._file, self._dtype)
            self._file = None
        found.flags.writeable = False
        return found.reshape(self._shape)

    def close(self) -> None:
        """Let go of what was taken, if nobody has finished it."""
        self._pieces = []
        if self._file is not None:
            _let_go(self._file)
            self._file = None


class GrowingOffsets:
    """Takes lengths piece by piece; `finish` returns where each begins, (n+1,) int64."""

    def __init__(self) -> None:
        self._offsets = GrowingArray(np.int64)
        self._end = 0
        self._offsets.append([0])

    def append(self, lengths: ArrayLike) -> None:
        """Take the next lengths, (n,)."""
        ends = self._end + np.cumsum(lengths, dtype=np.int64)
        if len(ends):
            self._offsets.append(ends)
            self._end = int(ends[-1])

    def finish(self) -> NDArray[np.int64]:
        """Return all offsets; nothing may follow."""
        return self._offsets.finish()

    def close(self) -> None:
        """Let go of what was taken."""
        self._offsets.close()


def bytes_in_memory(array: NDArray[Any]) -> int:
    """Return the bytes that an array has in memory: none of one that is mapped, or all zeros."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    mapped = isinstance(array.base, mmap.mmap | memoryview)
    return 0 if mapped else array.nbytes


def _mapped(file: IO[bytes], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return what a file holds; the array keeps the mapping, and so the bytes, alive."""
    try:
        file.flush()
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except OSError as error:
        raise _without_room(error) from None
    finally:
        _let_go(file)
    if hasattr(mmap, "MADV_RANDOM"):  # batches are drawn: what lies around a row is of no use
        mapping.madvise(mmap.MADV_RANDOM)
    return np.frombuffer(mapping, dtype)


def _let_go(file: IO[bytes]) -> None:
    """Close a file that nobody needs; where its last bytes find no room, that was said before."""
    with suppress(OSError):
        file.close()


def _without_room(error: OSError) -> OSError:
    """Say where the file was to lie, and what to do."""
    try:
        folder = tempfile.gettempdir()
    except OSError:  # no folder for temporary files can be written
        folder = "no folder for temporary files"
    reason = os.strerror(error.errno) if error.errno else str(error)
    text = f"{reason}; what is kept of rows of a file goes there: set TMPDIR to a folder with room"
    return OSError(error.errno, text, folder)
