# SPDX-License-Identifier: Apache-2.0
"""A folder of feature files that any number of processes share without a lock.

Every file is whole from the moment it has its name (written under another, synced, renamed) and is
never changed after that. Two processes may each add a file with the same texts; that costs room and
nothing else. Only files that bear our kind of name are ever opened, counted or removed, and only in
a folder that no other user can write to (`trust`).
"""

from __future__ import annotations

import os
import re
import shlex
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ..files.drafts import clear_abandoned, open_draft
from ..files.user_paths import user_path
from ..files.whole_file import make_folder, sync_names
from ..notices import CacheWarning, warn
from ..quantities import in_bytes
from .shards import Shard, ShardError, ShardHead, ShardWriter, read_shard
from .trust import FILE_MODE, FOLDER_MODE, folder_fault

__all__ = ["FeatureFolder", "FileInfo", "default_folder", "folder_files", "folder_info"]

_NAME = re.compile(r"[0-9a-f]{32}-(float32|bf16)-[0-9a-f]{16}\.mtff")
_DRAFT = re.compile(r"\.[0-9a-f]{32}-(float32|bf16)-[0-9a-f]{16}\.mtff\.tmp")


def default_folder() -> Path:
    """Return ``MTFREEZE_CACHE``, or ``mtfreeze/features`` in the user's cache folder."""
    import sys

    given = os.environ.get("MTFREEZE_CACHE")
    if given:
        return user_path(given)
    if os.name == "nt":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return user_path(base) / "mtfreeze" / "features"


def folder_files(folder: Path, drafts: bool = False) -> list[tuple[Path, os.stat_result]]:
    """Return our finished files (or those being written), oldest used first."""
    pattern = _DRAFT if drafts else _NAME
    found = []
    for path in folder.iterdir():
        if pattern.fullmatch(path.name):
            with suppress(OSError):  # another process may have removed it
                found.append((path, path.lstat()))
    return sorted(found, key=lambda item: (item[1].st_mtime, item[0].name))


class FeatureFolder:
    """A folder as one run uses it; troubles are warned of once each, and never raised.

    Parameters
    ----------
    path : Path
        Made when the first file is added.
    limit : int
        Bytes of all its files.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self.limit = path, limit
        self.writable = True
        self._passed_over: set[Path] = set()
        self._used: set[Path] = set()
        self._trusted = True
        self._remove_abandoned_drafts()

    def warn(self, what: str, reason: object, instead: str) -> None:
        """Warn that something of the folder cannot be used, and say what is done instead."""
        text = reason.strerror if isinstance(reason, OSError) and reason.strerror else reason
        warn(f"feature cache {what}: {text}; {instead}", CacheWarning)

    def pass_over(self, path: Path, reason: object) -> None:
        """Leave a file out from now on, with one warning; silently if it is gone."""
        if path in self._passed_over:
            return
        self._passed_over.add(path)
        if isinstance(reason, FileNotFoundError):
            return
        self.warn(
            str(path),
            reason,
            "it is passed over and what it held is computed again; `mtfreeze cache clear "
            f"{shlex.quote(str(self.path))} --damaged` removes damaged files",
        )

    def give_up_writing(self, reason: object) -> None:
        """Add nothing more in this run, with one warning."""
        if self.writable:
            self.writable = False
            self.warn(str(self.path), reason, "nothing is added to it; the run goes on without")

    def _is_ours(self) -> bool:
        """Say whether the folder is this user's alone; if not, warn once, and it is not used."""
        if not self._trusted:
            return False
        try:
            fault = folder_fault(self.path)
        except OSError:
            return True  # what is tried with it next says why
        if fault:
            self._trusted = self.writable = False
            self.warn(
                str(self.path),
                fault,
                "it is not used, nothing is read from it or added; the run goes on without",
            )
        return not fault

    def shards(self, key: str, output: str, dtype: str, width: int) -> Iterator[Shard]:
        """Yield the shards of a prefix key whose head and tables are whole, newest first."""
        if not self._is_ours():
            return
        try:
            files = folder_files(self.path)
        except FileNotFoundError:
            return
        except OSError as error:
            self.pass_over(self.path, error)
            return
        for path, _ in reversed(files):
            if not path.name.startswith(f"{key}-{dtype}-") or path in self._passed_over:
                continue
            try:
                shard = read_shard(path)
                head = shard.head
                if (head.key, head.output, head.dtype, head.width) != (key, output, dtype, width):
                    raise ShardError("it holds something else than its name says")
            except (OSError, ShardError) as error:
                self.pass_over(path, error)
            else:
                yield shard

    def note_use(self, path: Path) -> None:
        """Count a file as used now, by this run."""
        self._used.add(path)
        with suppress(OSError):
            os.utime(path)

    def has_room(self, n_bytes: int) -> bool:
        """Say whether a file of this size may be added beside those that this run uses."""
        if not self._is_ours() or not self.writable:
            return False
        in_use = 0
        for path in self._used:
            with suppress(OSError):
                in_use += path.stat().st_size
        if in_use + n_bytes <= self.limit:
            return True
        self.give_up_writing(
            f"its limit of {in_bytes(self.limit)} leaves no room for another {in_bytes(n_bytes)} "
            "beside what this run uses"
        )
        return False

    @contextmanager
    def draft(self, head: ShardHead) -> Iterator[tuple[ShardWriter, IO[bytes], Callable[[], Path]]]:
        """Open a new file: its writer, the file, and a function that gives it its final name.

        Without that call, and after any error, the file is gone at the end of the block.
        """
        make_folder(self.path, FOLDER_MODE)
        temporary, file = open_draft(
            lambda: self.path / f".{head.key}-{head.dtype}-{uuid.uuid4().hex[:16]}.mtff.tmp"
        )

        def publish() -> Path:
            final = self.path / temporary.name.removeprefix(".").removesuffix(".tmp")
            os.replace(temporary, final)
            with suppress(OSError):  # it has its name, at worst not after a loss of power
                sync_names(self.path)
            self._used.add(final)
            return final

        try:
            with file:
                temporary.chmod(FILE_MODE)  # whatever the umask allows others
                yield ShardWriter(file, head), file, publish
        finally:
            with suppress(OSError):
                temporary.unlink()

    def trim(self) -> None:
        """Remove files, oldest used first, until the limit holds; never one that this run uses."""
        if not self._is_ours():
            return
        try:
            files = folder_files(self.path)
        except OSError:
            return
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total <= self.limit:
                break
            if path not in self._used:
                with suppress(OSError):
                    path.unlink()
                    total -= status.st_size

    def _remove_abandoned_drafts(self) -> None:
        """Remove what processes that died have left."""
        if not self._is_ours():
            return
        with suppress(OSError):
            clear_abandoned([path for path, _ in folder_files(self.path, drafts=True)])


@dataclass(frozen=True)
class FileInfo:
    """One file of a folder: its head if it can be read, and whether all of it is whole.

    Attributes
    ----------
    path : Path
        The file.
    n_bytes : int
        Its size.
    used : float
        When it was last used, seconds since 1970.
    head : ShardHead or None
        None if it cannot be read.
    fault : str
        Why it cannot be used; empty if it is whole.
    """

    path: Path
    n_bytes: int
    used: float
    head: ShardHead | None
    fault: str


def folder_info(folder: Path) -> list[FileInfo]:
    """Read through our files in a folder, oldest used first."""
    found = []
    for path, status in folder_files(folder):
        head, fault = None, ""
        try:
            shard = read_shard(path)
            head = shard.head
            shard.check()
        except ShardError as error:
            fault = str(error)
        except FileNotFoundError:
            continue
        except OSError as error:
            fault = error.strerror or str(error)
        found.append(FileInfo(path, status.st_size, status.st_mtime, head, fault))
    return found
