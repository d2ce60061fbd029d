# SPDX-License-Identifier: Apache-2.0
"""A finished folder in the place of an earlier one, and what it takes over from there.

Putting a folder in its place is one step where the system has one: Linux exchanges two names
atomically (``renameat2`` with RENAME_EXCHANGE); elsewhere the earlier folder is moved aside first
and moved back if the second rename fails. The earlier folder is deleted only when the new name is
on the disk.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..quoting import quoted
from .drafts import clear_abandoned, make_draft, new_token, remove_folder, siblings
from .whole_file import explained, keep_access, sync_names, synced_file

__all__ = ["new_folder", "take_over"]

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def new_folder(target: Path, begin: str, untouched: str) -> Iterator[Path]:
    """Make a draft to fill in the block; at its end it is the folder `target`, whole and synced.

    The new folder has the owner and the permissions of an earlier one. A process that works in the
    earlier folder works in the new one afterwards. What a process that was killed here has left
    half written or half removed is cleared.

    Parameters
    ----------
    target : Path
        Absolute, without links. May exist; its parent must.
    begin : str
        How messages begin when the disk fails: "cannot save ... to ...".
    untouched : str
        How they end while `target` is what it was: what is there, and what to do.

    Yields
    ------
    Path
        The draft. The caller syncs the files that it writes there, not their names.

    Raises
    ------
    OSError
        If the disk is full or fails; it says whether the new folder is in its place.
    """
    _clear_leftovers(target)
    named: list[Path] = []
    try:
        with (
            explained(begin, untouched),
            make_draft(lambda: _beside(target, "new")) as draft,
        ):
            named.append(draft)
            if target.is_dir():
                keep_access(target, draft)
            yield draft
            for root, _, _ in os.walk(draft):
                sync_names(root)
            here = _working_folder()
            named.append(_put(draft, target))
        with explained(
            f"{begin} for certain",
            "the new folder is in its place and whole, but a loss of power may undo that; check "
            "the disk and do it again",
        ):
            if here is not None and here.is_relative_to(target):
                os.chdir(here if here.is_dir() else target)
            sync_names(target.parent)
    finally:
        for path in named:
            remove_folder(path)


def _beside(target: Path, kind: str) -> Path:
    return target.with_name(f".{target.name}.{kind}-{new_token()}")


def _clear_leftovers(target: Path) -> None:
    clear_abandoned(siblings(target, "new-"))
    aside = siblings(target, "old-")
    if target.exists():  # else one of them may be the earlier folder, between two renames
        clear_abandoned(aside)


def take_over(source: Path, target: Path) -> None:
    """Give a file, link, pipe or folder of an earlier folder a place in the new one.

    Files get a second name, so they lose nothing that another process is writing to them; they are
    copied and synced where the disk has no links.
    """
    if source.is_symlink():
        target.symlink_to(os.readlink(source))
    elif source.is_dir():
        target.mkdir()
        for item in source.iterdir():
            take_over(item, target / item.name)
        shutil.copystat(source, target)
    else:
        try:
            os.link(source, target)
        except OSError:
            if not source.is_file():  # a pipe or socket has no content to copy
                raise
            with source.open("rb") as old, synced_file(target) as new:
                shutil.copyfileobj(old, new)
            shutil.copystat(source, target)


def _put(draft: Path, target: Path) -> Path:
    """Rename `draft` to `target`; return what an earlier `target` is called now."""
    if not target.exists():
        os.rename(draft, target)
        return draft
    if _exchange(draft, target):
        return draft
    aside = _beside(target, "old")
    os.rename(target, aside)
    try:
        os.rename(draft, target)
    except OSError as error:
        with explained(
            str(error.strerror), f"the earlier folder is called {quoted(str(aside))} now"
        ):
            os.rename(aside, target)
        raise
    return aside


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where system or file system cannot."""
    if not sys.platform.startswith("linux"):
        return False
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    done = call(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE)
    return bool(done == 0)


def _working_folder() -> Path | None:
    """Return where the process works; None if that folder was deleted."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return None
