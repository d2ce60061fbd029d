# SPDX-License-Identifier: Apache-2.0
"""Where the rows of one output go while a pass computes them; whole at the end, or nothing.

Three places: memory; a file of a folder, which gets its name only when it is finished; a private
file that is unlinked as soon as it is open, so that nothing remains of it whatever happens. Files
are claimed and written; a private one is then mapped, one of a folder, which other processes can
reach, is read.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..notices import CacheWarning, warn
from ..quantities import in_bytes
from .file_rows import FileRows
from .folder import FeatureFolder
from .memory import STORE, Block, block_bytes
from .rounding import from_float32, stored_dtype
from .shards import ShardHead, ShardWriter, file_rows, map_rows

if TYPE_CHECKING:
    from typing_extensions import Self  # in typing from Python 3.11 on

__all__ = ["Sink", "folder_sink", "memory_sink", "private_sink"]


class Sink:
    """Takes the rows of one output, then becomes a `Block`. A context manager.

    Parameters
    ----------
    head : ShardHead
        What will come: key, dtype, width, texts and rows.
    where : {"memory", "file", "folder"}
        See `Block`.
    """

    def __init__(self, head: ShardHead, where: str) -> None:
        self.head, self.where = head, where
        self._stack = ExitStack()
        self._texts: list[bytes] = []
        self._counts: list[NDArray[np.int64]] = []
        self._n_rows = 0
        self._array: NDArray[Any] | None = None
        self._writer: ShardWriter | None = None
        self._file: IO[bytes] | None = None
        self._publish: Callable[[], Path] | None = None
        self._fail: Callable[[OSError], None] = lambda error: None
        self._failed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def append(
        self, texts: Sequence[bytes], counts: NDArray[np.int64], rows: NDArray[np.float32]
    ) -> None:
        """Take the rows, (counts.sum(), width), of some texts."""
        if self._failed:
            return
        kept = from_float32(rows, self.head.dtype)
        if self._array is not None:
            self._array[self._n_rows : self._n_rows + len(kept)] = kept
        else:
            assert self._writer is not None
            try:
                self._writer.append(kept)
            except OSError as error:
                self._give_up(error)
                return
        self._n_rows += len(kept)
        self._texts.extend(texts)
        self._counts.append(counts)

    def _give_up(self, error: OSError) -> None:
        self._failed = True
        self._fail(error)

    def finish(self) -> Block | None:
        """Return the block; None, after a warning, if the disk failed."""
        if self._failed:
            return None
        counts = np.concatenate([np.zeros(1, np.int64), *self._counts])
        offsets = np.cumsum(counts, dtype=np.int64)
        path = None
        data: NDArray[Any] | FileRows | None = self._array
        if data is None:
            assert self._writer is not None and self._file is not None
            try:
                self._writer.finish(self._texts, offsets)
                rows_of = map_rows if self._publish is None else file_rows
                data = rows_of(self._file, self.head)
                path = None if self._publish is None else self._publish()
            except OSError as error:
                self._give_up(error)
                return None
        return Block(self.head.key, self.head.dtype, self._texts, offsets, data, self.where, path)


def _reserve(sink: Sink, limit: int, where: str) -> bool:
    n_bytes = block_bytes(sink.head.n_texts, sink.head.data_bytes)
    reservation = STORE.reserve(n_bytes, limit, where)
    if reservation is None:
        return False
    sink._stack.callback(STORE.release, reservation)
    return True


def memory_sink(head: ShardHead, limit: int) -> Sink | None:
    """Return a sink in memory; None if the limit, or the machine, leaves no room."""
    sink = Sink(head, "memory")
    if not _reserve(sink, limit, "memory"):
        return None
    try:
        sink._array = np.empty((head.n_rows, head.width), stored_dtype(head.dtype))
    except MemoryError:
        sink._stack.close()
        return None
    return sink


def folder_sink(head: ShardHead, folder: FeatureFolder) -> Sink | None:
    """Return a sink into a new file of a folder; None, after a warning, if it takes none."""
    if not folder.has_room(head.file_bytes):
        return None
    sink = Sink(head, "folder")
    try:
        draft = sink._stack.enter_context(folder.draft(head))
    except OSError as error:
        folder.give_up_writing(error)
        return None
    sink._writer, sink._file, sink._publish = draft
    sink._fail = folder.give_up_writing
    return sink


def private_sink(head: ShardHead, limit: int) -> Sink | None:
    """Return a sink into a file of this process alone; None, after a warning, without room."""
    sink = Sink(head, "file")
    if not _reserve(sink, limit, "file"):
        _warn_private(f"its limit of {in_bytes(limit)} is reached")
        return None
    try:
        # Unlinked when it is made, where the system can: nothing is left behind by a kill.
        # The mapping outlives the file object, which the sink closes.
        file = tempfile.TemporaryFile(prefix="mtfreeze-features-")  # noqa: SIM115
        sink._stack.callback(file.close)
        sink._file, sink._writer = file, ShardWriter(file, head)
    except OSError as error:
        sink._stack.close()
        _warn_private(error)
        return None
    sink._fail = _warn_private
    return sink


def _warn_private(reason: object) -> None:
    text = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
    try:
        where = tempfile.gettempdir()
    except OSError:  # no folder for temporary files can be written
        where = "no folder"
    warn(
        f"feature cache, temporary file in {where}: {text}; features beyond the "
        "memory limit are not kept but computed again where they are needed",
        CacheWarning,
    )
