# SPDX-License-Identifier: Apache-2.0
"""Files and names that are on the disk, and a finished folder in the place of an earlier one.

Putting a folder in its place is one step where the system has one: Linux exchanges two names
atomically (``renameat2`` with RENAME_EXCHANGE); elsewhere the earlier folder is moved aside first
and moved back if the second rename fails.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["explained", "swap_in", "sync_folder", "sync_names", "write_synced"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def explained(begin: str, end: str) -> Iterator[None]:
    """Put the system's reason between two texts when a disk fails: what was tried, what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{begin}: {error.strerror}; {end}") from error


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and sync its bytes to the disk; its name is not synced yet."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_names(folder: str | Path) -> None:
    """Sync the names in one folder to the disk, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder, and in those inside it, to the disk."""
    for root, _, _ in os.walk(folder):
        sync_names(root)


def swap_in(draft: Path, target: Path) -> None:
    """Make `draft` the folder `target`; an earlier `target` is deleted afterwards.

    Parameters
    ----------
    draft : Path
        Complete and synced, in the same folder as `target`.
    target : Path
        May exist.

    Raises
    ------
    OSError
        If a rename fails; `target` is then what it was.
    """
    if not target.exists():
        os.rename(draft, target)
    elif _exchange(draft, target):
        shutil.rmtree(draft, ignore_errors=True)
    else:
        aside = target.parent / f".{target.name}.old-{uuid.uuid4().hex[:8]}"
        os.rename(target, aside)
        try:
            os.rename(draft, target)
        except OSError:
            os.rename(aside, target)
            raise
        shutil.rmtree(aside, ignore_errors=True)
    sync_names(target.parent)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    done = call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return bool(done == 0)
