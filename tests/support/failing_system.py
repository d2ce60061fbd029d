# SPDX-License-Identifier: Apache-2.0
"""A system whose calls fail on demand, and what a loss of power would leave of what was written.

``failing_system.c`` says what is counted and logged. It must be preloaded: `built` compiles it, and
a process that was started with `preloaded` calls `failing`.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

__all__ = ["PRELOADED", "Fault", "Outcome", "built", "failing", "lost_by_power", "missing"]

SOURCE = Path(__file__).with_suffix(".c")
PRELOADED = "MTFREEZE_TESTS_FAILING_SYSTEM"
"""Variable with the library's path, in the process that has it preloaded."""

ONCE, FROM_THERE_ON, A_PART = 0, 1, 2


class Fault(NamedTuple):
    """Which call fails: its number, with what, and how (`ONCE`, `FROM_THERE_ON`, `A_PART`)."""

    at: int
    code: int
    how: int = ONCE


class Outcome:
    """What the calls of a block came to: filled at its end."""

    n_calls = 0
    failed = ""
    """The first call that failed; empty if none did."""
    log = ""


def missing() -> str | None:
    """Return why the library cannot be built or used here, or None."""
    if not sys.platform.startswith("linux"):
        return "preloading and /proc are Linux's"
    return None if shutil.which("cc") else "there is no C compiler (cc)"


def built(folder: Path) -> Path:
    """Compile the library into a folder and return it."""
    library = folder / "failing_system.so"
    words = ["cc", "-O1", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror", str(SOURCE)]
    done = subprocess.run(
        [*words, "-o", str(library), "-ldl", "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return library


@contextmanager
def failing(folder: Path, fault: Fault | None) -> Iterator[Outcome]:
    """Count what the block does under `folder`, and let one call fail; exceptions pass."""
    library = ctypes.CDLL(os.environ[PRELOADED])
    library.faults_begin.argtypes = [ctypes.c_char_p, ctypes.c_long, ctypes.c_int, ctypes.c_int]
    library.faults_end.restype = ctypes.c_long
    library.faults_failed.restype = library.faults_log.restype = ctypes.c_char_p
    outcome = Outcome()
    library.faults_begin(os.fsencode(folder.resolve()), *(fault or Fault(-1, 0)))
    try:
        yield outcome
    finally:
        outcome.n_calls = library.faults_end()
        outcome.failed = library.faults_failed().decode()
        outcome.log = os.fsdecode(library.faults_log())


# ---- durability ----------------------------------------------------------------------------------


class _Disk:
    """What is on the disk for certain while a log is read, by inode."""

    def __init__(self) -> None:
        self.dirty: set[str] = set()
        """Files whose bytes are not synced."""
        self.names: dict[str, set[str]] = {}
        """Names that a folder was given since it was synced."""
        self.at: dict[tuple[str, str], str] = {}
        """Which inode a folder's name means, of those that the log speaks of."""

    def place(self, parent: str, name: str, inode: str) -> None:
        self.names.setdefault(parent, set()).add(name)
        self.at[parent, name] = inode

    def leave(self, parent: str, name: str) -> None:
        self.names.get(parent, set()).discard(name)
        if (inode := self.at.pop((parent, name), None)) is not None:
            self.dirty.discard(inode)

    def chain(self, inode: str) -> list[str]:
        """Return the names from an inode upward, as far as they are known."""
        for (parent, name), one in self.at.items():
            if one == inode:
                return [name, *self.chain(parent)]
        return []

    def unsure(self, inode: str) -> str | None:
        """Say what of a file, or of a folder and all in it, a loss of power may take."""
        if inode in self.dirty:
            return "bytes that are not synced"
        if names := self.names.get(inode):
            return f"names that are not synced ({', '.join(sorted(names))})"
        for (parent, name), one in self.at.items():
            if parent == inode and (said := self.unsure(one)):
                return f"{name}: {said}"
        return None


def lost_by_power(log: str) -> str | None:
    """Return what a loss of power may take of what the log's calls have written; None: nothing.

    A name that begins with a dot is a draft's: what is under it may be half written. Everything
    else must get its name by a rename once it is synced, and the name must be synced after that.
    """
    disk = _Disk()
    for line in log.splitlines():
        what, *fields = line.split("\t")
        if what in ("create", "mkdir", "link"):
            inode, parent, name = fields
            disk.names.pop(inode, None)  # numbers are used again
            disk.place(parent, name, inode)
            if what == "create":
                disk.dirty.add(inode)
                if not any(one.startswith(".") for one in disk.chain(inode)):
                    return f"{name} was written under its own name"
        elif what == "write":
            disk.dirty.add(fields[0])
            if not disk.chain(fields[0]):
                return "a file that was there was changed where it stands"
        elif what == "sync":
            disk.dirty.discard(fields[0])
            disk.names.pop(fields[0], None)
        elif what == "remove":
            disk.leave(*fields)
        else:
            assert what in ("rename", "exchange"), line
            inode, old_parent, old_name, parent, name, other = fields
            if not name.startswith(".") and (said := disk.unsure(inode)):
                return f"{name} got its name with {said}"
            if what == "exchange":
                disk.place(old_parent, old_name, other)
            else:
                disk.names.get(old_parent, set()).discard(old_name)
                disk.at.pop((old_parent, old_name), None)
            disk.place(parent, name, inode)
    for parent, names in disk.names.items():
        kept = sorted(name for name in names if not name.startswith("."))
        if kept:
            where = "/".join(reversed(disk.chain(parent))) or "an earlier folder"
            return f"the names {', '.join(kept)} of {where} were never synced"
    return None
