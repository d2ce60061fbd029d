# SPDX-License-Identifier: Apache-2.0
"""How much memory this machine, or the container that the process runs in, has free.

Linux says it in files: what programs may still get (``MemAvailable``; file caches that can be given
back are in it), and the limits of the control groups that the process is in (version 1 and 2),
less what they use and cannot give back. Elsewhere it is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..checks import check_integer

__all__ = ["check_memory", "free_memory"]

_ROOT = Path("/")

# Version: limit, usage, the row of memory.stat with what can be given back.
_FILES = {
    1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    2: ("memory.max", "memory.current", "inactive_file"),
}


def check_memory(value: object) -> int | None:
    """Return ``memory=`` as a number of bytes from 1, or None.

    Raises
    ------
    TypeError, ConfigError
        If it is something else.
    """
    hint = "memory counts bytes: 2 * 1024**3 is 2 GB"
    return None if value is None else check_integer("memory", value, 1, hint=hint)


def free_memory(root: Path = _ROOT) -> int | None:
    """Return the bytes that the process can still get, None where the system does not say.

    Parameters
    ----------
    root : Path
        Where ``proc`` and ``sys`` lie.
    """
    free = [_available(root / "proc/meminfo")]
    for version, folder in _groups(root):
        limit, usage, back = _FILES[version]
        most, used = _number(folder / limit), _number(folder / usage)
        if most is not None and used is not None:
            given_back = _row(folder / "memory.stat", back) or 0
            free.append(max(0, most - max(0, used - given_back)))
    known = [one for one in free if one is not None]
    return min(known) if known else None


def _available(path: Path) -> int | None:
    kilobytes = _row(path, "MemAvailable:")
    return None if kilobytes is None else kilobytes * 1024


def _groups(root: Path) -> Iterator[tuple[int, Path]]:
    """Yield version and folder of the control groups that limit the process, the inmost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text("utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        kinds, _, own = rest.partition(":")
        if kinds and "memory" not in kinds.split(","):
            continue
        version, top = (1, root / "sys/fs/cgroup/memory") if kinds else (2, root / "sys/fs/cgroup")
        # In a container the path is often that of the host, and what is there is the container's.
        path = PurePosixPath(own.lstrip("/"))
        for one in (path, *path.parents):
            yield version, top / one


def _number(path: Path) -> int | None:
    """Return the number in a file; None where there is none ("max" is no limit)."""
    try:
        return int(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None


def _row(path: Path, name: str) -> int | None:
    """Return the number after a name in a file with one name a line."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, ValueError):
        return None
    rows = (line.split() for line in lines)
    found = next((words[1] for words in rows if len(words) > 1 and words[0] == name), "")
    return int(found) if found.isdecimal() else None
