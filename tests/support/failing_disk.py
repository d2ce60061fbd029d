# SPDX-License-Identifier: Apache-2.0
"""A disk that fails once: the n-th call of the system functions that write files and names."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("fsync", "link", "mkdir", "rename", "replace")


class FailingDisk:
    """Let `n` calls of the functions `CALLS` of `os` through and fail the next one.

    Parameters
    ----------
    n : int
        How many calls are let through.
    code : int
        The error number of the one that fails.
    """

    def __init__(self, n: int, code: int) -> None:
        self.left, self.code, self.failed = n, code, False

    def watched(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call`, counted."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == -1:
                self.failed = True
                raise OSError(self.code, os.strerror(self.code))
            return call(*args, **kwargs)

        return counted


@contextmanager
def failing_disk(n: int, code: int) -> Iterator[FailingDisk]:
    """Fail the call after the n-th while the block runs."""
    disk = FailingDisk(n, code)
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, disk.watched(getattr(os, name)))
        yield disk
