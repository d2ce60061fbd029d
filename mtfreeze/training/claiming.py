# SPDX-License-Identifier: Apache-2.0
"""The folder of a run, or of a comparison, is its own; found before the first step.

A lock beside the folder, ``.<name>.lock``, is held from before the first step to the end of the
run; it falls with the process, however that ends, and the file goes with the run. Where the system
knows no such locks a second run is not noticed.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import ConfigError
from ..files.user_paths import user_path
from ..files.whole_file import explained
from ..quoting import quoted

__all__ = ["claimed"]

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)


@contextmanager
def claimed(folder: str | os.PathLike[str] | None) -> Iterator[None]:
    """Hold the output folder of a run or a comparison during the block; None holds nothing.

    What killed processes left of saves into this folder is removed.

    Raises
    ------
    ConfigError
        If another run writes there.
    OSError
        If the folder cannot be written.
    """
    if folder is None:
        yield
        return
    target = user_path(folder).resolve()
    with explained(f"cannot write to output_dir {quoted(str(folder))}", "choose another place"):
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir() and not os.access(target, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        lock = target.with_name(f".{target.name}.lock")
        descriptor = _locked(lock)
    if descriptor is None:
        raise ConfigError(
            f"expected an output_dir that no other run writes to; found {quoted(str(folder))} in "
            "use; "
            "wait for that run to end, or choose another output_dir"
        )
    try:
        _clear_drafts(target)
        yield
    finally:
        with suppress(OSError):  # before it falls: nobody else holds a file of this name yet
            lock.unlink()
        _unlock(descriptor)


def _locked(lock: Path) -> int | None:
    """Make and lock a file; None if another run holds it."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        if not _try_lock(descriptor):
            os.close(descriptor)
            return None
        try:
            same = os.path.samestat(os.fstat(descriptor), lock.stat())
        except FileNotFoundError:
            same = False
        if same:
            return descriptor
        _unlock(descriptor)  # its run ended between the two calls, and took the file with it


def _try_lock(descriptor: int) -> bool:
    if os.name != "posix":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True


def _unlock(descriptor: int) -> None:
    with suppress(ImportError, OSError):  # Windows has none, some file systems neither
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_UN)  # for children that were forked meanwhile, too
    os.close(descriptor)


def _clear_drafts(target: Path) -> None:
    """Remove what killed saves left; an earlier model only if the one in its place is there."""
    draft = re.compile(rf"\.{re.escape(target.name)}\.(new|old)-[0-9a-f]{{8}}")
    for path in target.parent.iterdir():
        found = draft.fullmatch(path.name)
        if found and path.is_dir() and (found[1] == "new" or target.exists()):
            shutil.rmtree(path, ignore_errors=True)
