# SPDX-License-Identifier: Apache-2.0
"""Running the jobs of a comparison: one after the other here, or on an executor.

The executor is the user's: anything with the interface of `concurrent.futures.Executor`. Jobs are
sent as a folder's name and two values, and leave their results in the folder. One that dies with
its worker is run once more, in a process of its own, so that it takes no other job with it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor as Broken
from concurrent.futures import CancelledError, Executor, Future, as_completed
from typing import NamedTuple

from ..printable import printable
from ..quoting import quoted
from ..runtime.threads import get_threads, set_threads
from .comparison_folder import ComparisonFolder, described
from .own_functions import OwnFunctions, runs_here
from .results import ScenarioRun
from .worker import Interrupted, run_job

__all__ = ["Job", "check_executor", "run_here", "run_on"]

_LOST = ("KilledWorker", "LostRunError")
"""What schedulers call a job whose worker died, where it is no `BrokenExecutor`."""

_N_LINES = 4
"""How many of the last lines of a dead process the message quotes."""


class Job(NamedTuple):
    """A row of the comparison and a seed; with `stop`, as far as this step of a race."""

    name: str
    seed: int
    stop: int | None = None

    def __str__(self) -> str:
        whole = f"{printable(self.name)}, seed {self.seed}"
        return whole if self.stop is None else f"{whole}, step {self.stop}"


def _failed(job: Job, error: BaseException | str) -> ScenarioRun:
    said = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return ScenarioRun(job.name, job.seed, error=said)


def run_here(
    folder: ComparisonFolder,
    jobs: Sequence[Job],
    threads: int | None,
    own: OwnFunctions | None = None,
) -> Iterator[tuple[Job, ScenarioRun]]:
    """Run jobs in this process, in order, and yield each with its result.

    The caller's number of threads is put back.

    Raises
    ------
    Interrupted
        At Ctrl-C.
    """
    before = get_threads()
    more = {"own": own} if own else {}
    try:
        for job in jobs:
            try:
                found = run_job(str(folder.path), job.name, job.seed, threads, job.stop, **more)
            except Interrupted:
                raise
            except Exception as error:
                found = _failed(job, error)
            yield job, found
    finally:
        set_threads(before)


def run_on(
    executor: Executor,
    folder: ComparisonFolder,
    jobs: Sequence[Job],
    threads: int,
    own: OwnFunctions | None = None,
) -> Iterator[tuple[Job, ScenarioRun]]:
    """Run jobs on an executor; they come with their results, as they are done.

    Raises
    ------
    Interrupted
        At Ctrl-C; jobs that have not begun are cancelled.
    """
    more = {"own": own} if own and runs_here(executor) else {}  # none can be sent elsewhere
    waiting: dict[Future[ScenarioRun], Job] = {}
    lost: list[Job] = []
    try:
        for job in jobs:
            try:
                sent = executor.submit(
                    run_job, str(folder.path), job.name, job.seed, threads, job.stop, **more
                )
            except (Broken, RuntimeError):
                # The executor takes no more jobs: a worker died (broken), or it was shut down
                # (RuntimeError). Those that it did not take run below, each in its own process.
                lost.append(job)
            else:
                waiting[sent] = job
        for done in as_completed(waiting):
            job = waiting[done]
            found = _outcome(job, done.result)
            if found is None:
                lost.append(job)
            else:
                yield job, found
        for job in lost:
            yield job, _alone(folder, job, threads)
    except KeyboardInterrupt:
        raise Interrupted("Ctrl-C ended the comparison; call it again to go on") from None
    finally:
        for one in waiting:
            one.cancel()


def _outcome(job: Job, result: Callable[[], ScenarioRun]) -> ScenarioRun | None:
    """Return the result of a job, or its failure; None if its worker died."""
    try:
        return result()
    except Interrupted:
        raise
    except (Broken, CancelledError):
        return None
    except Exception as error:
        return None if type(error).__name__ in _LOST else _failed(job, error)


def _alone(folder: ComparisonFolder, job: Job, threads: int) -> ScenarioRun:
    """Run a job in a process of its own, which may die."""
    words = [sys.executable, "-m", f"{__package__}.worker"]
    words += [str(folder.path), job.name, str(job.seed), str(threads)]
    words += [] if job.stop is None else [str(job.stop)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        row = described(folder.settings(), job.name)
        found = folder.result(job.name, job.seed, row, job.stop)
        if found is not None:
            return found
    said = "; ".join(done.stderr.strip().splitlines()[-_N_LINES:]) or "it said nothing"
    return _failed(
        job,
        "the worker died twice, the second time in a process of its own (exit status "
        f"{done.returncode}: {said}); the machine may have run out of memory: fewer workers or a "
        "smaller batch_size need less",
    )


def check_executor(executor: object) -> None:
    """Raise TypeError unless jobs can be sent to `executor`."""
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "executor must have a submit method, as concurrent.futures.ProcessPoolExecutor has; "
            f"found {type(executor).__name__} {quoted(executor)}; leave it out to run here"
        )
