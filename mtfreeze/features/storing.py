# SPDX-License-Identifier: Apache-2.0
"""Between blocks and files: where a pass may put its rows, reading a shard, adding one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .file_rows import FileRows
from .folder import FeatureFolder
from .gather import FeatureView, MissingFeatures
from .memory import STORE, TEXT_BYTES, Block, block_bytes
from .requests import Request, Texts
from .rounding import ITEM_BYTES, from_float32
from .shards import Shard, ShardError, ShardHead, Stopped
from .sinks import Sink, folder_sink, memory_sink, private_sink

__all__ = ["Limits", "load_block", "open_sink", "save_rows"]

_ROWS_BYTES = 4 << 20
"""Features that are copied into a file between two questions whether to stop."""


@dataclass(frozen=True)
class Limits:
    """Where features may be kept: as what, how much of it, in which folder.

    Attributes
    ----------
    dtype : {"float32", "bf16"}
    memory, disk : int
        Bytes.
    folder : FeatureFolder or None
    spills : bool
        Whether what neither takes may go to a private file.
    """

    dtype: str
    memory: int
    disk: int
    folder: FeatureFolder | None
    spills: bool


def _head(dtype: str, request: Request, counts: NDArray[np.int64]) -> ShardHead:
    """Return what a block of these texts holds; `counts` (n,) are their rows."""
    n_rows = int(counts.sum())
    return ShardHead(request.key, request.name, dtype, request.width, len(counts), n_rows)


def open_sink(
    limits: Limits, request: Request, texts: Texts
) -> tuple[Sink, Sequence[bytes]] | None:
    """Find a place for what a request misses: memory, the folder, a private file.

    Returns
    -------
    (Sink, sequence of bytes) or None
        The sink and the texts that it takes: all that are missing, or, where only memory is
        allowed or a disk fails, as many as fit; None if not one does.
    """
    counts = texts.counts(request.space, request.missing)
    head = _head(limits.dtype, request, counts)
    sink = memory_sink(head, limits.memory)
    if sink is None and limits.folder is not None:
        sink = folder_sink(head, limits.folder)
    if sink is None and limits.spills:
        sink = private_sink(head, limits.disk)
    if sink is not None:
        return sink, request.missing
    row_bytes = request.width * ITEM_BYTES[limits.dtype]
    sizes = np.cumsum(counts * row_bytes + TEXT_BYTES)
    n = int(np.searchsorted(sizes, STORE.room(limits.memory), side="right"))
    sink = memory_sink(_head(limits.dtype, request, counts[:n]), limits.memory) if n else None
    return None if sink is None else (sink, request.missing[:n])


def load_block(
    folder: FeatureFolder, shard: Shard, limit: int, stop: Callable[[], bool]
) -> Block | None:
    """Read a shard into memory or, beyond the limit, open it; None, after a warning, if damaged."""
    head = shard.head
    n_bytes = block_bytes(head.n_texts, head.data_bytes)
    reserved = STORE.reserve(n_bytes, limit)
    rows: NDArray[Any] | FileRows
    try:
        try:
            if not reserved:
                raise MemoryError
            rows, where = shard.read_rows(stop), "memory"
        except MemoryError:
            rows, where = shard.open_rows(stop), "folder"
    except (OSError, ShardError) as error:
        folder.pass_over(shard.path, error)
        return None
    finally:
        if reserved:
            STORE.release(n_bytes)
    folder.note_use(shard.path)
    return Block(head.key, head.dtype, shard.texts, shard.offsets, rows, where, shard.path)


def save_rows(
    folder: FeatureFolder,
    dtype: str,
    request: Request,
    texts: Texts,
    blocks: Sequence[Block],
    stop: Callable[[], bool],
) -> None:
    """Add to a folder what the process holds of a request and no file of the folder has.

    Raises
    ------
    Stopped
        If `stop` returned true; the folder is then as it was.
    """
    if not folder.writable:
        return
    left = dict(request.texts)
    for shard in folder.shards(request.key, request.name, dtype, request.width):
        for text in shard.texts:
            left.pop(text, None)
    mine = [block for block in blocks if block.key == request.key]
    held = [text for text in left if any(text in block.index for block in mine)]
    counts = texts.counts(request.space, held)
    head = _head(dtype, request, counts)
    if not held or not folder.has_room(head.file_bytes):
        return
    view = FeatureView(request.name, held, counts, request.width, mine)
    try:
        with folder.draft(head) as (writer, _, publish):
            for rows in _portions(counts, request.width):
                if stop():
                    raise Stopped
                writer.append(from_float32(view.gather(rows), dtype))
            writer.finish(held, np.concatenate(([0], np.cumsum(counts))).astype(np.int64))
            publish()
    except MissingFeatures:
        return  # a file that could not be read any more; its texts are computed where needed
    except OSError as error:
        folder.give_up_writing(error)


def _portions(counts: NDArray[np.int64], width: int) -> Iterator[NDArray[np.int64]]:
    """Cut positions, in order, into portions of a few megabytes."""
    number = np.cumsum(counts * width * 4) // _ROWS_BYTES
    cuts = np.flatnonzero(np.diff(number)) + 1
    yield from np.split(np.arange(len(counts)), cuts)
