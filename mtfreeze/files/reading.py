# SPDX-License-Identifier: Apache-2.0
"""Files of strangers, opened: a regular file or an error, never a wait and never a surprise.

A name may mean a pipe, at which `open` waits for a writer for ever, or a device that never ends.
So nothing is opened by its name and looked at before: it is opened without waiting, and what came
out of that is looked at.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import IO

from ..errors import Error
from ..quantities import in_bytes
from ..quoting import quoted

__all__ = ["open_file", "read_file"]

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def open_file(path: str | os.PathLike[str], error: type[Error], buffering: int = -1) -> IO[bytes]:
    """Open a regular file to read its bytes.

    Parameters
    ----------
    path : path
        The file.
    error : type of Error
        What is raised for something that is no file.
    buffering : int
        As in `open`.

    Raises
    ------
    Error
        Of the type `error`: it is a pipe, a socket or a device, or no name that a file can have.
    OSError
        If it is missing, a folder, or cannot be read.
    """
    try:
        handle = os.open(path, _FLAGS)
    except ValueError:  # a NUL, or half a surrogate pair
        raise error(
            f"expected the path of a file; found {quoted(str(path))}, which holds characters that "
            "no file name has; correct it"
        ) from None
    except OSError:
        kind = _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
        if kind is None:
            raise
        raise error(_no_file(path, kind)) from None
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        kind = _KINDS.get(stat.S_IFMT(mode))
        if kind is not None:
            raise error(_no_file(path, kind))
        return open(handle, "rb", buffering=buffering)
    except BaseException:
        os.close(handle)
        raise


def _no_file(path: str | os.PathLike[str], kind: str) -> str:
    return f"{path}: expected a file; found {kind}; copy what it gives into a file, and name that"


def read_file(path: Path, error: type[Error], limit: int | None = None) -> bytes:
    """Return the bytes of a regular file of at most `limit` bytes.

    Raises
    ------
    Error
        Of the type `error`: as for `open_file`, or the file is larger than any of its kind.
    OSError
        As for `open_file`.
    """
    with open_file(path, error, buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if limit is not None and size > limit:
            raise error(
                f"{path}: expected a file of at most {in_bytes(limit)}, more than any of its kind "
                f"has; found {in_bytes(size)}; fetch it again"
            )
        return file.read()
