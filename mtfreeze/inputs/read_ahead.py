# SPDX-License-Identifier: Apache-2.0
"""Items that are read again and again, read on threads while something else is computed.

Whoever works through a list says what comes next (`expect`) and later takes it. Threads live as
long as what they were asked for, so that a forked process inherits none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from ..checks import check_integer

__all__ = ["ReadAhead"]

T = TypeVar("T")


class ReadAhead(Generic[T]):
    """Reads items by their numbers.

    Parameters
    ----------
    read : callable
        Takes a number and returns the item; several threads call it at once.
    n_threads : int
        How many, at least 1.

    Attributes
    ----------
    waited_seconds : float
        What `take` took so far: little where items were expected long enough before.

    Examples
    --------
    >>> ahead = ReadAhead(str, 2)
    >>> ahead.expect([3, 4])
    >>> ahead.take(4), ahead.take(5)
    ('4', '5')
    """

    def __init__(self, read: Callable[[int], T], n_threads: int) -> None:
        self._read, self._n_threads = read, check_integer("n_threads", n_threads, 1)
        self._coming: dict[int, Future[T]] = {}
        self.waited_seconds = 0.0

    def expect(self, numbers: Iterable[int]) -> None:
        """Begin to read what will be taken next; what was expected before and is not now is let go.

        An error is raised where its item is taken.
        """
        wanted = dict.fromkeys(numbers)
        for number in [one for one in self._coming if one not in wanted]:
            self._coming.pop(number).cancel()
        missing = [number for number in wanted if number not in self._coming]
        if not missing:
            return
        pool = ThreadPoolExecutor(
            min(self._n_threads, len(missing)), thread_name_prefix="mtfreeze-ahead"
        )
        for number in missing:
            self._coming[number] = pool.submit(self._read, number)
        pool.shutdown(wait=False)

    def take(self, number: int) -> T:
        """Return an item, once: it is read now unless it was expected."""
        began = time.perf_counter()
        try:
            coming = self._coming.pop(number, None)
            return self._read(number) if coming is None else coming.result()
        finally:
            self.waited_seconds += time.perf_counter() - began
