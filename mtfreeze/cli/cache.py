# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze cache``: look at a folder of stored features, or empty it.

The folder is the one given, else ``MTFREEZE_CACHE``, else ``mtfreeze/features`` in the user's cache
folder. Only files with our kind of name are ever read or removed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import click

from ..closest import counted
from ..errors import ConfigError
from ..features.folder import FileInfo, default_folder, folder_files, folder_info
from ..features.sizes import DISK_LIMIT, read_limit
from ..features.trust import folder_fault
from ..files.drafts import is_abandoned
from ..printable import printable
from ..quantities import in_bytes
from .echo import echo
from .once import OnceCommand
from .options import debug_option

__all__ = ["cache"]

_DAY = 86_400.0
_COLUMNS = ("prefix", "output", "dtype", "inputs", "rows", "size", "last used", "state")


@click.group()
def cache() -> None:
    """Show or clear the stored features of frozen prefixes (fit with cache=FOLDER)."""


@cache.command(cls=OnceCommand)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@debug_option
def info(folder: Path | None) -> None:
    """List the files of a folder, oldest used first, after reading through each of them."""
    folder = _checked(folder)
    files = folder_info(folder) if folder.is_dir() else []
    if not files:
        echo(f"{folder}: no stored features")
        return
    echo(_table([_line(one) for one in files]))
    limit = read_limit(None, "limit", "MTFREEZE_CACHE_LIMIT", DISK_LIMIT)
    n_bytes = sum(one.n_bytes for one in files)
    corrupt = [one for one in files if one.fault]
    n_files = counted(len(files), "file")
    echo(f"\n{folder}: {n_files}, {in_bytes(n_bytes)} of at most {in_bytes(limit)}")
    if fault := folder_fault(folder):
        echo(f"runs do not use it: {fault}")
    for one in corrupt:
        echo(f"corrupt: {one.path.name}: {one.fault}")


@cache.command(cls=OnceCommand)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    help="Only files that were last used longer ago.",
)
@click.option("--damaged", is_flag=True, help="Only files that are not whole.")
@debug_option
def clear(folder: Path | None, older_than: float | None, damaged: bool) -> None:
    """Remove the stored features of a folder, and what broken-off runs have left there.

    A run that is using a file keeps what it has.
    """
    folder = _checked(folder)
    if not folder.is_dir():
        echo(f"{folder}: no stored features")
        return
    finished, drafts = folder_files(folder), folder_files(folder, drafts=True)
    if not finished and not drafts:
        if not any(folder.iterdir()):
            echo(f"{folder}: no stored features")
            return
        raise ConfigError(
            f"{folder}: expected files of stored features (*.mtff); found none, only other files; "
            "give the folder that was passed as cache=FOLDER"
        )
    oldest = time.time() - _DAY * (older_than or 0)
    abandoned = [item for item in drafts if is_abandoned(item[0])]
    chosen = [
        item for item in finished + abandoned if older_than is None or item[1].st_mtime < oldest
    ]
    if damaged:
        broken = {one.path for one in folder_info(folder) if one.fault}
        chosen = [item for item in chosen if item[0] in broken]
    freed, failed = 0, []
    for path, status in chosen:
        try:
            path.unlink(missing_ok=True)
            freed += status.st_size
        except OSError as error:
            failed.append(f"{path.name}: {error.strerror or error}")
    n_left = len(finished) + len(drafts) - len(chosen) + len(failed)
    kept = f"; {n_left} kept" if n_left else ""
    removed = counted(len(chosen) - len(failed), "file")
    echo(f"{folder}: removed {removed}, freed {in_bytes(freed)}{kept}")
    if failed:
        raise OSError(f"{folder}: could not remove {'; '.join(failed)}")


def _checked(folder: Path | None) -> Path:
    """Return the folder that is meant; ConfigError for a file."""
    path = default_folder() if folder is None else folder
    if path.exists() and not path.is_dir():
        raise ConfigError(f"expected a folder of stored features; found the file {path}")
    return path


def _line(one: FileInfo) -> tuple[str, ...]:
    """Return one row of the table, as wide as `_COLUMNS`."""
    used = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.used))
    size, state = in_bytes(one.n_bytes), "corrupt" if one.fault else "whole"
    if one.head is None:
        return one.path.name[:12], "?", "?", "?", "?", size, used, state
    head = one.head
    numbers = str(head.n_texts), str(head.n_rows)
    return head.key[:12], head.output, head.dtype, *numbers, size, used, state


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Lay lines out in columns; numbers stand to the right."""
    rows = [_COLUMNS, *([printable(cell) for cell in line] for line in lines)]
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    right = {"inputs", "rows", "size"}
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(row, widths, _COLUMNS, strict=True)
        ).rstrip()
        for row in rows
    )
