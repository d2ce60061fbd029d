# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C during training: the first one ends the step under way, and the run.

`InterruptGuard` replaces the SIGINT handler while it is entered, in the main thread only (Python
allows no other), and puts the earlier handler back whatever happens. Between calls of the core the
first Ctrl-C only sets a flag, so that nothing of the run is left half done. Inside a call it ends
that by `Stopped`: what the call computed is dropped, and no weight has changed. An update of
weights that has begun hears no signal before it is finished. A second Ctrl-C is a plain
KeyboardInterrupt: the core applies a step as a whole, so the weights are between two steps then
as well.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from .. import _core

__all__ = ["InterruptGuard", "Stopped"]


class Stopped(KeyboardInterrupt):
    """What is under way is dropped, because the user asked for an end.

    A KeyboardInterrupt, so that nobody takes it for an error.
    """


class InterruptGuard:
    """Context manager that turns the first SIGINT into the flag `requested`.

    Examples
    --------
    >>> with InterruptGuard() as guard:
    ...     guard.requested
    False
    """

    def __init__(self) -> None:
        self.requested = False
        self._earlier: Any = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True
        if _core.hears_signals():
            raise Stopped

    def install(self) -> None:
        """Put the handler in place."""
        if threading.current_thread() is threading.main_thread():
            earlier = signal.getsignal(signal.SIGINT)
            # None: a handler that was not set from Python and could not be put back.
            # Ignored: the process was started to outlive Ctrl-C (nohup, a job in the background).
            if earlier is not None and earlier is not signal.SIG_IGN:
                self._earlier = earlier
                signal.signal(signal.SIGINT, self._handle)

    def restore(self) -> None:
        """Put the earlier handler back; right at any time and as often as one likes."""
        if self._earlier is not None and signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._earlier)

    def __enter__(self) -> InterruptGuard:
        self.install()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.restore()
