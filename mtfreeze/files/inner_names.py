# SPDX-License-Identifier: Apache-2.0
"""Names of files that come out of a file: they stay in their folder, or they are refused.

A folder from elsewhere is data. What it names, a part of a model, a shard, a head, is looked for in
that folder and nowhere else. A file there may be a link (caches of the hub consist of them), the
folders on the way to it may not lead out.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import CheckpointError

__all__ = ["DEVICES", "inner_path"]

DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
"""What Windows takes for a device, whatever its ending and case."""

_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f\\:*?"<>|]')
"""Characters that end a name, make it a path or a stream elsewhere, or confuse terminals."""


def inner_path(folder: Path, name: object, where: str) -> Path:
    """Return the path of what a file calls `name`, inside `folder`.

    Parameters
    ----------
    folder : Path
        What the name is relative to.
    name : object
        As the file has it: parts with ``/`` between them; ``""`` is the folder itself.
    where : str
        How messages call the file that has the name.

    Raises
    ------
    CheckpointError
        If it is no str, leaves the folder (``..``, absolute, through a link), or is no name that
        every system takes for a plain file's.

    Examples
    --------
    >>> inner_path(Path("model"), "1_Pooling/config.json", "modules.json").as_posix()
    'model/1_Pooling/config.json'
    """
    fault = _fault(folder, name)
    if fault is not None:
        raise CheckpointError(
            f"{where}: expected the name of something inside {folder}; found "
            f"{repr(name)[:80]}, {fault}; correct the file, or fetch the folder again"
        )
    return folder / str(name)


def _fault(folder: Path, name: object) -> str | None:
    """Say what is wrong with a name; None if nothing is."""
    if not isinstance(name, str):
        return f"which is no text but {type(name).__name__}"
    if name.startswith("/"):
        return "which begins at the root"
    if _NOT_IN_NAMES.search(name):
        return "with a character that no name has everywhere"
    for part in name.split("/"):
        if part == "..":
            return "which leaves the folder"
        if part in ("", "."):
            continue
        if part.endswith((" ", ".")) or len(part.encode("utf-8", "replace")) > 255:
            return "with a part that is no name of a file everywhere"
        if part.partition(".")[0].rstrip().casefold() in DEVICES:
            return "the name of a device"
    inside = (folder / name).parent if name else folder
    if not inside.resolve().is_relative_to(folder.resolve()):
        return "which leads out of the folder through a link"
    return None
