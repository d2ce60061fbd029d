# SPDX-License-Identifier: Apache-2.0
"""Whose files may be read: features are numbers that a model is trained on, so only one's own.

A folder that another user owns or may write to could hold anything under a right name and digest.
Systems without owners and permissions of this kind (Windows) keep user folders apart themselves.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

__all__ = ["FILE_MODE", "FOLDER_MODE", "distrusted", "folder_fault"]

FOLDER_MODE, FILE_MODE = 0o700, 0o600
"""Permissions of what is made for features."""

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def distrusted(status: os.stat_result) -> str:
    """Return why others could have written what this is of; empty if it is this user's alone."""
    if not hasattr(os, "geteuid"):
        return ""
    if status.st_uid != os.geteuid():
        return f"it belongs to another user (uid {status.st_uid}, you are {os.geteuid()})"
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        return f"other users may write to it (mode {mode:04o}); `chmod go-w` makes it yours alone"
    return ""


def folder_fault(folder: Path) -> str:
    """Return why a folder of features must not be used; empty if it may be, or is not there.

    A symbolic link to the folder must be this user's too: whose it is says where it points to.

    Raises
    ------
    OSError
        If the system does not say.
    """
    try:
        link = folder.lstat()
        status = folder.stat()
    except FileNotFoundError:
        return ""
    # The permissions of a link mean nothing.
    if stat.S_ISLNK(link.st_mode) and hasattr(os, "geteuid") and link.st_uid != os.geteuid():
        return f"it is a symbolic link of another user (uid {link.st_uid})"
    return distrusted(status)
