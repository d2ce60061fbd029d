# SPDX-License-Identifier: Apache-2.0
"""Ctrl-C and SIGTERM during training: the first one ends the step under way, and the run.

`InterruptGuard` replaces the handlers of both signals while it is entered, in the main thread only
(Python allows no other), and puts the earlier ones back whatever happens. The first signal only
sets a flag, so that nothing of the run is left half done; but from then on every call of the core
that takes long is ended by `Stopped`: what it computed is dropped, and no weight has changed. An
update of weights that has begun is finished. A second Ctrl-C is a plain KeyboardInterrupt: the core
applies a step as a whole, so the weights are between two steps then as well. A second SIGTERM
changes nothing: who sends it wants an end, which is under way.

A handler of SIGTERM that was set from Python hears the signal once the run has been saved
(`hand_on`). Processes of a pool are left to die of it at once, as whoever ends the pool expects:
one that lived on would keep the pool waiting.
"""

from __future__ import annotations

import signal
import threading
from contextlib import suppress
from multiprocessing import parent_process
from types import FrameType, TracebackType
from typing import Any

from .. import _core

__all__ = ["InterruptGuard", "Stopped"]


class Stopped(KeyboardInterrupt):
    """What is under way is dropped, because the user asked for an end.

    A KeyboardInterrupt, so that nobody takes it for an error.
    """


class InterruptGuard:
    """Context manager that turns the first SIGINT or SIGTERM into the flag `requested`.

    Examples
    --------
    >>> with InterruptGuard() as guard:
    ...     guard.requested
    False
    """

    def __init__(self) -> None:
        self.requested = False
        self._heard: set[int] = set()
        self._earlier: dict[int, Any] = {}
        self._earlier_check: Any = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT and number in self._heard:
            raise KeyboardInterrupt
        self._heard.add(number)

    def _check(self) -> None:
        if self.requested:
            raise Stopped

    def install(self) -> None:
        """Put the handlers in place."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in (signal.SIGINT, signal.SIGTERM):
            earlier = signal.getsignal(number)
            # None: a handler that was not set from Python and could not be put back.
            # Ignored: the process was started to outlive it (nohup, a job in the background).
            if earlier is None or earlier is signal.SIG_IGN:
                continue
            if number == signal.SIGTERM and earlier is signal.SIG_DFL and parent_process():
                continue
            self._earlier[number] = earlier
            signal.signal(number, self._handle)
        if self._earlier:
            self._earlier_check = _core.check_calls(self._check)

    def restore(self) -> None:
        """Put the earlier handlers back; right at any time and as often as one likes."""
        mine = [one for one in self._earlier if signal.getsignal(one) == self._handle]
        if mine:
            _core.check_calls(self._earlier_check)
        for number in mine:
            signal.signal(number, self._earlier[number])

    def hand_on(self) -> None:
        """Let the user's own handler of SIGTERM, now back, hear one that came meanwhile."""
        earlier = self._earlier.get(signal.SIGTERM)
        if signal.SIGTERM in self._heard and callable(earlier):
            self._heard.remove(signal.SIGTERM)
            with suppress(KeyboardInterrupt):  # what it asks for has been done: the run has ended
                earlier(signal.SIGTERM, None)

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
