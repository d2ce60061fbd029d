# SPDX-License-Identifier: Apache-2.0
"""Names of what is not finished yet, and the clearing of those that a dead process has left.

Who writes a draft holds a lock on it (``flock``), which the system lets go when the process ends,
however it ends. So a draft without one is abandoned; no clock is asked. Where a disk knows no locks
nothing is ever taken for abandoned.
"""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_LOCKS = os.name == "posix"
if _LOCKS:
    import fcntl

__all__ = [
    "clear_abandoned",
    "is_abandoned",
    "make_draft",
    "new_token",
    "open_draft",
    "remove_folder",
    "siblings",
]

_DIGITS = frozenset("0123456789abcdef")


def new_token() -> str:
    """Return eight digits that nobody else puts into a name."""
    return uuid.uuid4().hex[:8]


def _claim(handle: int, path: Path) -> bool:
    """Mark what was just made at `path`, open as `handle`, as being worked on.

    The mark lasts until the handle is closed. False: another process has taken it for abandoned in
    between, and removes it; make another one.
    """
    if not _LOCKS:
        return True
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    try:
        return path.stat().st_ino == os.fstat(handle).st_ino
    except FileNotFoundError:
        return False


def _let_go(handle: int) -> None:
    """Close what was open for its lock alone: no bytes went through it, so none can be lost."""
    with suppress(OSError):
        os.close(handle)


def open_draft(new_name: Callable[[], Path]) -> tuple[Path, IO[bytes]]:
    """Make and claim a new file under a name that `new_name` gives; return both."""
    while True:
        path = new_name()
        # Also to be read: into a file that is only written NumPy writes through the C library's
        # buffers, and loses what the system says when they are emptied.
        file = path.open("x+b")
        if _claim(file.fileno(), path):
            return path, file
        file.close()


@contextmanager
def make_draft(new_name: Callable[[], Path]) -> Iterator[Path]:
    """Make and claim a new folder under a name that `new_name` gives, for the block."""
    while True:
        path = new_name()
        path.mkdir()
        if not _LOCKS:
            yield path
            return
        try:
            handle = os.open(path, os.O_RDONLY)
        except OSError:
            path.rmdir()
            raise
        try:
            if _claim(handle, path):
                yield path
                return
        finally:
            _let_go(handle)


def remove_folder(path: Path) -> None:
    """Remove a folder, as far as the disk lets; an interrupt ends it when the folder is gone."""
    try:
        shutil.rmtree(path, ignore_errors=True)
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        raise


def siblings(place: Path, *kinds: str) -> list[Path]:
    """Return what is beside `place` and called ``.<its name>.<kind><token>``."""
    found = []
    with suppress(OSError):  # not to be listed, or not there
        for name in os.listdir(place.parent):
            for kind in kinds:
                begin = f".{place.name}.{kind}"
                token = name[len(begin) :]
                if name.startswith(begin) and len(token) == 8 and set(token) <= _DIGITS:
                    found.append(place.with_name(name))
    return found


def is_abandoned(path: Path) -> bool:
    """Say whether nobody works on a draft any more."""
    handle = _take(path)
    if handle is not None:
        _let_go(handle)
    return handle is not None


def clear_abandoned(paths: Iterable[Path]) -> None:
    """Remove those drafts, files or folders, that nobody works on; what cannot go stays."""
    for path in paths:
        handle = _take(path)
        if handle is None:
            continue
        with suppress(OSError):  # the next call tries again
            try:
                if stat.S_ISDIR(os.fstat(handle).st_mode):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink()
            finally:
                _let_go(handle)


def _take(path: Path) -> int | None:
    """Open a draft and lock it; None if somebody works on it, or nothing can be said."""
    if not _LOCKS:
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        _let_go(handle)
        return None
    return handle
