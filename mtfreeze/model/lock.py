# SPDX-License-Identifier: Apache-2.0
"""The lock of a model: one thread at a time, and what reads never stands in the way of what works.

The core guards each of its calls; what takes several, such as a step or a table of prices, would
mix with what other threads do in between. *Work* trains or changes the model: a run, a step, a
freeze. A *read* only looks: an encoding, a summary. Nobody waits for work, which may take hours;
work waits for reads, so that a thread that watches a model never ends the run of another.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import ConcurrencyError

__all__ = ["ModelLock"]

_PATIENCE = 60.0
"""Seconds that work waits for a read."""

_NAP = 0.05
"""Seconds after which it looks again whether it is still a read that it waits for."""


class ModelLock:
    """Held by one thread, which may take it again; see the top of this file."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._due = False  # work waits
        # The holder's; others look at `_works` to learn what they have found.
        self._depth = 0  # blocks that it is in
        self._works = False

    @contextmanager
    def working(self) -> Iterator[None]:
        """Hold the lock for work.

        Raises
        ------
        ConcurrencyError
            If another thread works on the model, or reads it for longer than a minute.
        """
        if not self._lock.acquire(blocking=False):
            self._wait()
        outer, self._works = self._works, True
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._works = outer
            self._lock.release()

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold the lock for a read.

        Raises
        ------
        ConcurrencyError
            If another thread uses the model, or waits to work on it.
        """
        if not self._lock.acquire(blocking=False):
            raise _in_use()
        if self._due and not self._depth:  # or reads one after another could keep work out
            self._lock.release()
            raise _in_use()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            self._lock.release()

    def _wait(self) -> None:
        """Take the lock once the read that holds it has ended."""
        deadline = time.monotonic() + _PATIENCE
        try:
            while not self._works and time.monotonic() < deadline:
                self._due = True
                if self._lock.acquire(timeout=_NAP):
                    return
        finally:
            self._due = False
        raise _in_use()


def _in_use() -> ConcurrencyError:
    return ConcurrencyError(
        "this model is in use by another call, and one call at a time is allowed; wait for it, or "
        "give each thread its own copy of the model"
    )
