# SPDX-License-Identifier: Apache-2.0
"""A fork for tests: Python warns of any in a process with threads, and the core's are prepared."""

from __future__ import annotations

import os
import warnings

__all__ = ["fork"]


def fork() -> int:
    """Do as `os.fork`, without the warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()
