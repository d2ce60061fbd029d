# SPDX-License-Identifier: Apache-2.0
"""Conditions that a process may have to live under, set and lifted again; Linux, in a fork.

Each is a context manager ``limit(folder, draw)``: `folder` is where the work is done, `draw` says
how tight it is. Those in `NEEDS_ROOT` change who the process is, or mount.
"""

from __future__ import annotations

import ctypes
import os
import random
import resource
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from support.forks import fork

__all__ = ["LIMITS", "may_mount"]

NOBODY = 54_321
"""A user id that the system does not know."""

_NEW_NAMES, _PRIVATE = 0x20000, 0x4000 | 0x40000

Limit = Callable[[Path, random.Random], AbstractContextManager[None]]


@contextmanager
def _resource(kind: int, value: int) -> Iterator[None]:
    before = resource.getrlimit(kind)
    resource.setrlimit(kind, (value, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(kind, before)


@contextmanager
def descriptors(folder: Path, draw: random.Random) -> Iterator[None]:
    """Leave a few file descriptors."""
    used = max(int(name) for name in os.listdir("/proc/self/fd"))
    with _resource(resource.RLIMIT_NOFILE, used + draw.randrange(12)):
        yield


@contextmanager
def address_space(folder: Path, draw: random.Random) -> Iterator[None]:
    """Leave some memory."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    room = draw.randrange(1, 64) * 2**20
    with _resource(resource.RLIMIT_AS, pages * resource.getpagesize() + room):
        yield


@contextmanager
def quota(folder: Path, draw: random.Random) -> Iterator[None]:
    """Let no file become larger than some bytes."""
    with _resource(resource.RLIMIT_FSIZE, draw.choice((0, 1, 100, 5_000, 100_000, 400_000))):
        yield


@contextmanager
def no_home(folder: Path, draw: random.Random) -> Iterator[None]:
    """Be a user whom the system does not know, without HOME; the folder is the user's."""
    before = dict(os.environ)
    for name in ("HOME", "XDG_CACHE_HOME"):
        os.environ.pop(name, None)
    _give(folder, NOBODY)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        _give(folder, 0)  # else it is a stranger's, whose features are not used
        os.environ.update(before)


def _give(folder: Path, user: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, user, follow_symlinks=False)


@contextmanager
def read_only(folder: Path, draw: random.Random) -> Iterator[None]:
    """Be a user who may read the folder and not write to it."""
    folder.chmod(0o755)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


def _mount(place: Path, options: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.unshare(_NEW_NAMES) or library.mount(b"none", b"/", None, _PRIVATE, None):
        raise OSError(ctypes.get_errno(), "no mounts of one's own")
    if library.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, options.encode()):
        raise OSError(ctypes.get_errno(), "cannot mount")


def may_mount() -> bool:
    """Say whether a forked process may mount."""
    if not sys.platform.startswith("linux") or os.getuid():
        return False
    child = fork()
    if child == 0:
        try:
            _mount(Path("/tmp"), "size=64k")
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


@contextmanager
def full_disk(folder: Path, draw: random.Random) -> Iterator[None]:
    """Put what the folder holds on a small disk, which is larger afterwards."""
    import shutil

    with tempfile.TemporaryDirectory() as other:
        shutil.copytree(folder, other, symlinks=True, dirs_exist_ok=True)
        held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        room = held // 1024 + 200 + draw.randrange(700)
        _mount(folder, f"size={room}k")
        shutil.copytree(other, folder, symlinks=True, dirs_exist_ok=True)
    yield
    larger = ctypes.CDLL(None).mount(None, os.fsencode(folder), None, 0x20, b"size=256m")
    assert larger == 0, "cannot make the disk larger"


@contextmanager
def no_shared_memory(folder: Path, draw: random.Random) -> Iterator[None]:
    """Have a /dev/shm that takes nothing."""
    _mount(Path("/dev/shm"), "size=4k,mode=0000")
    yield


@contextmanager
def no_working_folder(folder: Path, draw: random.Random) -> Iterator[None]:
    """Work in a folder that was deleted."""
    gone = tempfile.mkdtemp()
    os.chdir(gone)
    os.rmdir(gone)
    yield


@contextmanager
def no_streams(folder: Path, draw: random.Random) -> Iterator[None]:
    """Have no stdin, stdout and stderr, as a service or a program with windows."""
    before = sys.stdin, sys.stdout, sys.stderr
    sys.stdin = sys.stdout = sys.stderr = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


@contextmanager
def no_temporary_folder(folder: Path, draw: random.Random) -> Iterator[None]:
    """Have no folder for temporary files that can be written."""
    before = tempfile.tempdir, tempfile._candidate_tempdir_list  # type: ignore[attr-defined]
    tempfile.tempdir = None
    tempfile._candidate_tempdir_list = lambda: ["/proc"]  # type: ignore[attr-defined]
    try:
        yield
    finally:
        tempfile.tempdir, tempfile._candidate_tempdir_list = before  # type: ignore[attr-defined]


@contextmanager
def narrow_encoding(folder: Path, draw: random.Random) -> Iterator[None]:
    """Have a stdout and stderr that know ASCII alone."""
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="ascii") as narrow:
        sys.stdout = sys.stderr = narrow
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


LIMITS: Mapping[str, Limit] = {
    "descriptors": descriptors,
    "address_space": address_space,
    "quota": quota,
    "no_home": no_home,
    "read_only": read_only,
    "full_disk": full_disk,
    "no_shared_memory": no_shared_memory,
    "no_working_folder": no_working_folder,
    "no_streams": no_streams,
    "no_temporary_folder": no_temporary_folder,
    "narrow_encoding": narrow_encoding,
}
