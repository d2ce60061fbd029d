# SPDX-License-Identifier: Apache-2.0
"""The features of this process: blocks of rows that all runs share, oldest used first out.

A block holds the rows of one output for some texts, as one pass or one file gave them; it never
changes. The store counts bytes in memory and in private files apart and lets go of a block only if
no open cache holds it.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from ..notices import CacheWarning, warn
from .file_rows import FileRows

__all__ = ["STORE", "TEXT_BYTES", "Block", "FeatureStore", "block_bytes", "clear_memory"]

TEXT_BYTES = 128
"""What a text costs beside its rows: its key, its place in the table, its offset."""


class Block:
    """Rows of one output for some texts.

    Parameters
    ----------
    key : str
        Prefix key.
    dtype : {"float32", "bf16"}
        How the rows are kept.
    texts : iterable of bytes
        Text keys, each once, in the order of their rows.
    offsets : (n+1,) int64 array
        Where each text's rows begin; for one row a text 0, 1, ..., n.
    data : (rows, width) float32 or uint16 array, or FileRows
        Read-only from now on; of a file in a folder, rows that are read as they are asked for.
    where : {"memory", "file", "folder"}
        In memory, in a private file of this process, or in a file of a folder.
    path : Path, optional
        The file of a folder.
    """

    def __init__(
        self,
        key: str,
        dtype: str,
        texts: Iterable[bytes],
        offsets: NDArray[np.int64],
        data: NDArray[Any] | FileRows,
        where: str = "memory",
        path: Path | None = None,
    ) -> None:
        self.key, self.dtype, self.where, self.path = key, dtype, where, path
        self.index = {text: number for number, text in enumerate(texts)}
        self.offsets, self.data = offsets, data
        if isinstance(data, np.ndarray):
            data.flags.writeable = False
        self.holders: WeakSet[Any] = WeakSet()
        self.last_used = 0

    def lose(self, reason: object) -> None:
        """Note, with one warning, that the rows cannot be read any more: it then has no texts."""
        if self.index:
            self.index = {}
            text = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
            warn(
                f"feature cache {self.path}: {text}, while it was in use; what it held is computed "
                "again",
                CacheWarning,
            )

    @property
    def n_bytes(self) -> int:
        """Bytes that the limits count."""
        return block_bytes(len(self.index), self.data.nbytes)


def block_bytes(n_texts: int, data_bytes: int) -> int:
    """Return what the limits count for a block."""
    return int(data_bytes) + TEXT_BYTES * n_texts


class FeatureStore:
    """All blocks of a process; see the module. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._blocks: dict[tuple[str, str], list[Block]] = {}
        self._reserved = {"memory": 0, "file": 0}
        self._clock = itertools.count(1)

    def _all(self) -> list[Block]:
        return [block for blocks in self._blocks.values() for block in blocks]

    def used(self, where: str) -> int:
        """Return the bytes of the blocks that lie ``"memory"``, ``"file"`` or ``"folder"``."""
        with self._lock:
            return sum(block.n_bytes for block in self._all() if block.where == where)

    def find(self, key: str, dtype: str) -> list[Block]:
        """Return the blocks of a prefix key, oldest first."""
        with self._lock:
            return list(self._blocks.get((key, dtype), ()))

    def room(self, limit: int, where: str = "memory") -> int:
        """Return how many bytes could be had below `limit` if all unheld blocks went."""
        with self._lock:
            held = sum(b.n_bytes for b in self._all() if b.where == where and b.holders)
            return max(0, limit - held - self._reserved[where])

    def reserve(self, n_bytes: int, limit: int, where: str = "memory") -> bool:
        """Set bytes aside for a block to come, letting old ones go; False if they do not fit."""
        with self._lock:
            if n_bytes > self.room(limit, where):
                return False
            self._evict(where, limit - n_bytes - self._reserved[where])
            self._reserved[where] += n_bytes
            return True

    def release(self, n_bytes: int, where: str = "memory") -> None:
        """Give back bytes that were reserved."""
        with self._lock:
            self._reserved[where] -= n_bytes

    def _evict(self, where: str, limit: int) -> None:
        """Let unheld blocks go, oldest used first, until the others take at most `limit`."""
        blocks = [block for block in self._all() if block.where == where]
        total = sum(block.n_bytes for block in blocks)
        for block in sorted(blocks, key=lambda one: one.last_used):
            if total <= limit:
                break
            if not block.holders:
                self._remove(block)
                total -= block.n_bytes

    def _remove(self, block: Block) -> None:
        blocks = self._blocks[block.key, block.dtype]
        blocks.remove(block)
        if not blocks:
            del self._blocks[block.key, block.dtype]

    def add(self, block: Block, holder: object) -> None:
        """Take in a block that `holder` uses."""
        with self._lock:
            self._blocks.setdefault((block.key, block.dtype), []).append(block)
            self.hold(block, holder)

    def hold(self, block: Block, holder: object) -> None:
        """Note that `holder` uses the block, so that it stays."""
        with self._lock:
            block.holders.add(holder)
            block.last_used = next(self._clock)

    def let_go(self, holder: object) -> None:
        """Note that `holder` uses nothing any more."""
        with self._lock:
            for block in self._all():
                block.holders.discard(holder)
                # A folder's file costs little to open again.
                if block.where == "folder" and not block.holders:
                    self._remove(block)

    def clear(self) -> None:
        """Forget every block that no open cache holds."""
        with self._lock:
            for block in self._all():
                if not block.holders:
                    self._remove(block)


STORE = FeatureStore()
"""The store of this process."""

# A fork waits for the thread that is at it: the child would not have that thread, but its lock.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=STORE._lock.acquire,
        after_in_parent=STORE._lock.release,
        after_in_child=STORE._lock.release,
    )


def clear_memory() -> None:
    """Forget the features that the process keeps and no run under way uses."""
    STORE.clear()
