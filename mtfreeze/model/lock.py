# SPDX-License-Identifier: Apache-2.0
"""The lock of a model: one thread at a time, and what reads never stands in the way of what works.

The core guards each of its calls; what takes several, such as a step or a table of prices, would
mix with what other threads do in between. *Work* trains or changes the model: a run, a step, a
freeze. A *read* only looks: an encoding, a summary. Nobody waits for work, which may take hours;
work waits for reads, so that a thread that watches a model never ends the run of another.

Who is in a block is one `_Hold` after the other, the innermost first, in a dict by process: putting
the first one in is one call of C, so that no interrupt leaves the lock half taken, and in a forked
process no thread that is not there holds anything.
"""

from __future__ import annotations

import os
import threading
import time

from .._core import Bracket
from ..errors import ConcurrencyError

__all__ = ["ModelLock"]

_PATIENCE = 60.0
"""Seconds that work waits for a read."""

_NAP = 0.0005
"""Seconds after which it looks again whether the read has ended."""

_DUE = 0.05
"""Seconds for which reads let work go first after it last looked; longer than a nap may last."""


class ModelLock:
    """Held by one thread, which may take it again; see the top of this file."""

    def __init__(self) -> None:
        self.holds: dict[int, _Hold] = {}
        self.in_run = False  # moments and step counts are those of a run
        self.due_until = 0.0  # work waits; it says so again and again, so it cannot be forgotten

    def working(self) -> Bracket:
        """Hold the lock for work.

        Raises
        ------
        ConcurrencyError
            If another thread works on the model, or reads it for longer than a minute; in a forked
            process if another thread worked on it at that moment.
        """
        hold = _Hold(self, True)
        return Bracket(hold.begin, hold.end)

    def reading(self) -> Bracket:
        """Hold the lock for a read.

        Raises
        ------
        ConcurrencyError
            If another thread uses the model, or waits to work on it; in a forked process if another
            thread worked on it at that moment.
        """
        hold = _Hold(self, False)
        return Bracket(hold.begin, hold.end)


class _Hold:
    """One block of one thread."""

    def __init__(self, lock: ModelLock, works: bool) -> None:
        self._lock = lock
        self.works = works
        self.thread = threading.get_ident()
        self.process = os.getpid()
        self.outer: _Hold | None = None

    def begin(self) -> None:
        """Take the lock."""
        lock = self._lock
        holder = lock.holds.get(self.process)
        if holder is not None and holder.thread == self.thread:
            self.works |= holder.works
            self.outer = holder
            lock.holds[self.process] = self
            return
        self._refuse_what_was_left()
        # Reads that follow one another would keep work out.
        if not self.works and time.monotonic() < lock.due_until:
            raise _in_use()
        deadline = time.monotonic() + _PATIENCE
        while (holder := lock.holds.setdefault(self.process, self)) is not self:
            now = time.monotonic()
            if not self.works or holder.works or now > deadline:
                raise _in_use()
            lock.due_until = now + _DUE
            time.sleep(_NAP)
        if self.works:
            lock.due_until = 0.0

    def end(self) -> None:
        """Give back what is held, and what an interrupt left inside it."""
        holds = self._lock.holds
        inner = holds.get(self.process)
        while inner is not None and inner is not self:
            inner = inner.outer
        if inner is None:
            return
        if self.outer is None:
            del holds[self.process]
        else:
            holds[self.process] = self.outer

    def _refuse_what_was_left(self) -> None:
        """Look for work of the process that this one was forked from, by a thread not here."""
        for left in list(self._lock.holds.values()):
            if left.process != self.process and left.works and left.thread != self.thread:
                raise ConcurrencyError(
                    "another thread worked on this model when this process was forked, so it may "
                    "be half changed here; fork between its calls, or load the model here"
                )


def _in_use() -> ConcurrencyError:
    return ConcurrencyError(
        "this model is in use by another call, and one call at a time is allowed; wait for it, or "
        "give each thread its own copy of the model"
    )
