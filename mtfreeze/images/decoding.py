# SPDX-License-Identifier: Apache-2.0
"""Pictures decoded and fitted ahead of whoever asks for them, on threads, in order.

Pillow lets the interpreter go while it decodes and resizes, so threads are enough. What was decoded
and not yet taken is bounded. An error is raised where its picture would have come, after all those
before it; an interrupt, or leaving the loop early, ends the threads with the picture they are at.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import check_integer
from ..notices import ImageWarning, warn
from .picture import Picture
from .processor import Processor

__all__ = ["default_readers", "fitted_pictures", "warn_of"]

Uint8 = NDArray[np.uint8]
Change = Callable[[int, Uint8], Uint8]
"""(number of the picture, decoded pixels) -> the pixels that the processor fits."""

_AHEAD = 2
"""Pictures a thread is ahead."""


class _Fitted(NamedTuple):
    pixels: list[Uint8]
    note: str


def default_readers() -> int:
    """Return how many threads decode if nobody says: one a CPU that this process has, 8 at most."""
    affinity = getattr(os, "sched_getaffinity", None)
    n_cpus = (os.cpu_count() or 1) if affinity is None else len(affinity(0))
    return max(1, min(8, n_cpus))


def fitted_pictures(
    pictures: Iterable[Picture],
    processor: Processor,
    *,
    change: Change | None = None,
    times: int = 1,
    n_threads: int | None = None,
    notes: list[str] | None = None,
) -> Iterator[Uint8]:
    """Yield what the processor makes of each picture: uint8 (height, width, 3), in order.

    Parameters
    ----------
    pictures : iterable of Picture
        They are taken as they are needed, so there may be any number of them.
    processor : Processor
        What fits them.
    change : callable, optional
        Changes the decoded pixels of the picture of a number before, on a thread: an augmentation.
    times : int
        How often each picture is changed and fitted, one after another; it is decoded once, and
        every time has a number of its own.
    n_threads : int, optional
        How many decode; by default `default_readers`. It changes no bit of what comes out.
    notes : list of str, optional
        Takes what there is to warn of, for `warn_of`; by default it is warned of at the end.

    Raises
    ------
    DataError, OSError
        Those of a picture, in its place.
    TypeError, ConfigError
        If `n_threads` does not hold.

    Warns
    -----
    ImageWarning
        Once, at the end, if files held more than one image and there are no `notes`.
    """
    if n_threads is None:
        n_threads = default_readers()
    n_threads = check_integer("n_threads", n_threads, 1, 256)
    return _in_order(pictures, processor, change, times, n_threads, notes)


def warn_of(notes: Sequence[str]) -> None:
    """Warn of what files held beside the images that were read, if anything, once for all.

    Warns
    -----
    ImageWarning
        If there are notes.
    """
    if notes:
        more = f" (and so do {len(notes) - 1:,} more)" if len(notes) > 1 else ""
        warn(notes[0] + more, ImageWarning)


def _in_order(
    pictures: Iterable[Picture],
    processor: Processor,
    change: Change | None,
    times: int,
    n_threads: int,
    kept: list[str] | None,
) -> Iterator[Uint8]:
    def fit(number: int, picture: Picture) -> _Fitted:
        pixels, note = picture.decoded()
        numbers = range(number * times, (number + 1) * times)
        changed = (pixels if change is None else change(at, pixels) for at in numbers)
        return _Fitted([processor.fitted(one, picture.name) for one in changed], note)

    numbered = enumerate(pictures)
    notes: list[str] = [] if kept is None else kept
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="mtfreeze-pictures")
    try:
        waiting: deque[Future[_Fitted]] = deque()
        while True:
            room = _AHEAD * n_threads - len(waiting)
            waiting.extend(pool.submit(fit, *one) for one in islice(numbered, room))
            if not waiting:
                break
            found = waiting.popleft().result()
            if found.note:
                notes.append(found.note)
            yield from found.pixels
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
    if kept is None:
        warn_of(notes)
