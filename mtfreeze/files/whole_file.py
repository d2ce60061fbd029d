# SPDX-License-Identifier: Apache-2.0
"""A file that is whole or not there: written aside, synced, renamed, and its name synced.

Whatever fails, and at a loss of power, the name means the earlier file or the whole new one. What
can be neither whole nor half, a pipe or a device, is written straight into. Files that are written
into the draft of a folder need no draft of their own: `synced_file` is enough there.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from ..checks import check_path
from ..quoting import quoted
from .drafts import clear_abandoned, new_token, open_draft, siblings

__all__ = [
    "check_output",
    "explained",
    "is_draft",
    "keep_access",
    "make_folder",
    "sync_names",
    "synced_file",
    "whole_file",
    "write_output",
    "write_synced",
    "write_whole",
]

_DRAFT = re.compile(r"\..+\.[0-9a-f]{8}")
_NO_SYNC = (errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.EACCES)
"""What systems say where the names in a folder cannot be synced at all: no disk has failed."""


@contextmanager
def explained(begin: str, end: str) -> Iterator[None]:
    """Put the system's reason between two texts when a disk fails: what was tried, what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise OSError(error.errno, f"{begin}: {error.strerror}; {end}") from None


@contextmanager
def synced_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write whose bytes are synced to the disk; its name is not synced yet."""
    with path.open("wb") as file, _synced(file):
        yield file


@contextmanager
def _synced(file: IO[bytes]) -> Iterator[None]:
    yield
    file.flush()
    os.fsync(file.fileno())


def write_synced(path: Path, data: bytes) -> None:
    """Write a file and sync its bytes to the disk; its name is not synced yet."""
    with synced_file(path) as file:
        file.write(data)


def sync_names(folder: str | Path) -> None:
    """Sync the names in one folder to the disk, where the system can."""
    if os.name != "posix":
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _NO_SYNC:
            raise


def make_folder(folder: Path, mode: int = 0o777) -> None:
    """Make a folder, with `mode`, and those above it that are missing; sync their names."""
    missing = [one for one in folder.parents if not one.exists()]
    for one in (*reversed(missing), folder):
        if not one.is_dir():
            one.mkdir(mode if one == folder else 0o777, exist_ok=True)
            sync_names(one.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file to write that gets the name `path` at the end of the block, whole and synced.

    A link stays a link: the file that it names is replaced. The new file has the owner and the
    permissions of the earlier one. After an error in the block the earlier file is what it was.
    What a process that was killed here has left half written is cleared.

    Raises
    ------
    OSError
        If the disk is full or fails. The earlier file is what it was, unless it was the last step
        that failed, the sync of the name; then the new one is there, whole.
    """
    place = path.resolve()
    if place.exists() and not (place.is_file() or place.is_dir()):
        with place.open("wb") as file:
            yield file
        return
    clear_abandoned(siblings(place, ""))
    draft, opened = open_draft(lambda: place.with_name(f".{place.name}.{new_token()}"))
    try:
        with opened, _synced(opened):
            if place.is_file():
                keep_access(place, draft)
            yield opened
        os.replace(draft, place)
        sync_names(place.parent)
    finally:
        with suppress(OSError):  # mostly it is not called so any more; else the next call tries
            draft.unlink()


def is_draft(path: Path) -> bool:
    """Say whether a name is one of those that `whole_file` gives before a file is whole."""
    return _DRAFT.fullmatch(path.name) is not None


def keep_access(old: Path, new: Path) -> None:
    """Give a file or folder the owner and permissions of the one that it is to replace."""
    status = old.stat()
    if hasattr(os, "chown"):
        with suppress(PermissionError):  # only root gives files away
            os.chown(new, status.st_uid, status.st_gid)
    os.chmod(new, stat.S_IMODE(status.st_mode))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that no one ever sees a part of it; see `whole_file`."""
    with whole_file(path) as file:
        file.write(data)


def check_output(path: str | os.PathLike[str]) -> Path:
    """Return the path of a file to write; TypeError, ConfigError or OSError if it can be none."""
    place = check_path("path", path)
    if place.is_dir():
        raise IsADirectoryError(
            errno.EISDIR,
            f"cannot write {quoted(str(place))}: expected the name of a file; found a folder; "
            "choose another place",
        )
    return place


def write_output(path: str | os.PathLike[str], data: bytes) -> Path:
    """Write a file that a user asked for, whole, making its folder, and return its path.

    Raises
    ------
    OSError
        If it cannot be written; it says which file, why, and what to do.
    """
    place = check_output(path)
    with explained(f"cannot write {quoted(str(place))}", "choose another place, or free space"):
        make_folder(place.parent)
        write_whole(place, data)
    return place
