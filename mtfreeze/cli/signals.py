# SPDX-License-Identifier: Apache-2.0
"""Signals: a command that Ctrl-C or SIGTERM ends leaves with the signal's own exit code.

The handler of SIGTERM is in place before anything is imported, click included: that takes longer
than everything else before the command begins. A process that is ended before that, while Python
itself starts, dies of the signal as any program does; nothing has been written by then.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["INTERRUPTED", "TERMINATED", "run_command"]

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM


@contextmanager
def _terminable() -> Iterator[list[int]]:
    """Let SIGTERM end the block as Ctrl-C would; yield the signals that came."""
    heard: list[int] = []

    def end(number: int, frame: object) -> None:
        heard.append(number)
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield heard
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield heard
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def run_command(run: Callable[[], int]) -> int:
    """Return the exit code of a command, or that of the signal that ended it.

    Parameters
    ----------
    run : callable
        Imports what the command takes, runs it and returns its exit code; signals are heard by
        then.
    """
    with _terminable() as heard:
        try:
            code = run()
        except KeyboardInterrupt:  # before the command began, or with its last word said
            code = INTERRUPTED
    return TERMINATED if heard else code
