# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze cache``: look at a folder of stored features, or empty it.

The folder is the one given, else ``MTFREEZE_CACHE``, else ``mtfreeze/features`` in the user's cache
folder. Only files with our kind of name are ever read or removed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..closest import counted
from ..errors import ConfigError
from ..quantities import in_bytes
from .echo import echo, echo_json
from .groups import WorkflowGroup
from .once import OnceCommand
from .options import common_options, json_option
from .table import aligned

if TYPE_CHECKING:
    from ..features.folder import FileInfo

__all__ = ["cache", "clear", "info"]

_DAY = 86_400.0
_COLUMNS = ("prefix", "output", "dtype", "inputs", "rows", "size", "last used", "state")


@click.group(
    cls=WorkflowGroup,
    module="cache",
    sections={
        "Commands": {
            "info": "List the files of a folder, oldest used first.",
            "clear": "Remove stored features, and what broken-off runs have left.",
        }
    },
)
def cache() -> None:
    """Show or clear the stored features of frozen prefixes (fit with cache=FOLDER)."""


@click.command(cls=OnceCommand)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@json_option
@common_options
def info(folder: Path | None, as_json: bool) -> None:
    """List the files of a folder, oldest used first, after reading through each of them."""
    from ..features.folder import folder_info
    from ..features.sizes import DISK_LIMIT, read_limit
    from ..features.trust import folder_fault

    folder = _checked(folder)
    files = folder_info(folder) if folder.is_dir() else []
    limit = read_limit(None, "limit", "MTFREEZE_CACHE_LIMIT", DISK_LIMIT)
    n_bytes = sum(one.n_bytes for one in files)
    fault = folder_fault(folder) if files else None
    if as_json:
        facts = {"folder": str(folder), "n_bytes": n_bytes, "limit": limit, "unused": fault or None}
        echo_json(facts | {"files": [_facts(one) for one in files]})
        return
    if not files:
        echo(f"{folder}: no stored features")
        return
    echo(aligned([_COLUMNS, *map(_line, files)], right={"inputs", "rows", "size"}))
    n_files = counted(len(files), "file")
    echo(f"\n{folder}: {n_files}, {in_bytes(n_bytes)} of at most {in_bytes(limit)}")
    if fault:
        echo(f"runs do not use it: {fault}")
    for one in files:
        if one.fault:
            echo(f"corrupt: {one.path.name}: {one.fault}")


@click.command(cls=OnceCommand)
@click.argument("folder", required=False, type=click.Path(path_type=Path))
@click.option(
    "--older-than",
    metavar="DAYS",
    type=click.FloatRange(min=0),
    help="Only files that were last used longer ago.",
)
@click.option("--damaged", is_flag=True, help="Only files that are not whole.")
@json_option
@common_options
def clear(folder: Path | None, older_than: float | None, damaged: bool, as_json: bool) -> None:
    """Remove the stored features of a folder, and what broken-off runs have left there.

    A run that is using a file keeps what it has.
    """
    from ..features.folder import folder_files, folder_info
    from ..files.drafts import is_abandoned

    folder = _checked(folder)
    if not folder.is_dir() or not any(folder.iterdir()):
        if as_json:
            echo_json({"folder": str(folder), "removed": 0, "freed_bytes": 0, "kept": 0})
        else:
            echo(f"{folder}: no stored features")
        return
    finished, drafts = folder_files(folder), folder_files(folder, drafts=True)
    if not finished and not drafts:
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
    n_removed = len(chosen) - len(failed)
    if as_json:
        facts = {"folder": str(folder), "removed": n_removed, "freed_bytes": freed}
        echo_json(facts | {"kept": n_left})
    else:
        kept = f"; {n_left} kept" if n_left else ""
        removed = counted(n_removed, "file")
        echo(f"{folder}: removed {removed}, freed {in_bytes(freed)}{kept}")
    if failed:
        raise OSError(f"{folder}: could not remove {'; '.join(failed)}")


def _checked(folder: Path | None) -> Path:
    """Return the folder that is meant; ConfigError for a file."""
    from ..features.folder import default_folder

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


def _facts(one: FileInfo) -> dict[str, Any]:
    """Return what is known of one file, as JSON holds it."""
    head = one.head
    known = {} if head is None else {"prefix": head.key, "output": head.output, "dtype": head.dtype}
    rows = {} if head is None else {"n_inputs": head.n_texts, "n_rows": head.n_rows}
    own = {"n_bytes": one.n_bytes, "used": one.used, "fault": one.fault or None}
    return {"file": one.path.name, **known, **rows, **own}
