"""An executor for `mtfreeze.compare` that runs jobs here and notes what each took of the processor.

On a machine that others use too, the seconds of a comparison say nothing; processor seconds of one
thread do.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any


class Metered(Executor):
    """Runs what it is given at once, in this process.

    Attributes
    ----------
    seconds : dict of (str, int) to float
        Processor seconds of a job by row and seed: loading, training, evaluating.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, int], float] = {}

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a job of a comparison: its folder, row, seed and threads."""
        done: Future[Any] = Future()
        begin = time.process_time()
        try:
            done.set_result(fn(*args, **kwargs))
        except Exception as error:
            done.set_exception(error)
        _, name, seed, *_ = args  # as comparing.worker.run_job takes them
        self.seconds[name, seed] = time.process_time() - begin
        return done

    def mean(self, name: str) -> float:
        """Return the mean over the seeds of a row."""
        return statistics.mean(took for (one, _), took in self.seconds.items() if one == name)
