# SPDX-License-Identifier: Apache-2.0
"""Put a finished folder in the place of an earlier one, in one step where the system has one.

Linux exchanges two names atomically (``renameat2`` with RENAME_EXCHANGE); elsewhere the earlier
folder is moved aside first and moved back if the second rename fails.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
import uuid
from pathlib import Path

__all__ = ["swap_in", "sync_folder"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder, and in those inside it, to the disk."""
    if os.name != "posix":
        return
    for root, _, _ in os.walk(folder):
        handle = os.open(root, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


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
    if os.name == "posix":
        handle = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    done = call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return bool(done == 0)
