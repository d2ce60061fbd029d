# SPDX-License-Identifier: Apache-2.0
"""Paths as users write them: ``~`` is their home, where the system knows of one.

In a container a process may run without HOME and under a user number that no file knows.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError

__all__ = ["user_path"]


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return a path with ``~`` and ``~name`` replaced by the home folder.

    Raises
    ------
    ConfigError
        If there is no such home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{os.fspath(path)!r}: expected a home folder for '~'; found none, HOME is not set and "
            "the system does not know the user; write the path in full, or set HOME"
        ) from None
