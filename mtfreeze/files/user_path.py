# SPDX-License-Identifier: Apache-2.0
"""Paths as users write them: ``~`` is the home folder, where there is one."""

from __future__ import annotations

import os
from pathlib import Path

from ..errors import ConfigError

__all__ = ["user_path"]


def user_path(path: str | os.PathLike[str]) -> Path:
    """Return `path` with ``~`` as the home folder.

    Raises
    ------
    ConfigError
        If it begins with ``~`` and the system knows no home folder of that user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ConfigError(
            f"{os.fspath(path)!r}: expected a home folder for '~'; found none (HOME is not set and "
            "the system does not know the user); write the whole path, or set HOME"
        ) from None
