# SPDX-License-Identifier: Apache-2.0
"""Few descriptors, little memory, full disks, no home, no streams: a result or a typed error.

Each case draws a condition and an operation, and tries the operation in a fork, under the condition
and once more without it, when it must succeed.
"""

from __future__ import annotations

import io
import json
import os
import random
import signal
import sys
import tempfile
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout, suppress
from functools import cache
from pathlib import Path
from typing import Any

import mtfreeze as mtf
from support import small_tasks
from support.disk_operations import COMPARED, OPERATIONS, Operation, fresh, leftovers
from support.drills import Drill
from support.forks import fork
from support.limits import LIMITS, may_mount

LONGEST_CASE_S = 120


class Loud(Operation):
    """Training and comparing with progress on the screen, and a folder in another script."""

    def act(self, folder: Path) -> Any:
        model, tasks = fresh(), small_tasks.two_tasks()
        settings = {**COMPARED, "progress": True}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mtf.CacheWarning)
            small_tasks.quick_fit(model, tasks, progress=True)
            os.environ["MTFREEZE_CACHE_MEMORY"] = "0"  # so that a private file is wanted
            try:
                small_tasks.quick_fit(fresh().freeze("backbone"), epochs=2, cache="auto")
            finally:
                del os.environ["MTFREEZE_CACHE_MEMORY"]
        mtf.compare(model, tasks, **settings)
        mtf.compare(model, tasks, output_dir=folder / "судья", **settings)
        return mtf.compare(model, tasks, output_dir=folder / "судья", **settings)

    def state(self, folder: Path) -> str:
        return "new" if (folder / "судья").exists() else "none"

    def claims(self, folder: Path, before: str, said: str) -> None:
        if "cannot save the model" in said:  # its folder, not that of the comparison
            there = (folder / "судья" / "model").exists()
            assert there == ("the new folder is in its place" in said), said

    def finished(self, folder: Path, result: Any) -> None:
        said = [row["error"] for row in result.to_rows() if row["error"]]
        if said:
            raise OSError(said[0])


class Home(Operation):
    """Places in the user's home folder."""

    def act(self, folder: Path) -> Any:
        before = os.environ.get("HOME")
        if before is not None:
            os.environ["HOME"] = str(folder)
        try:
            fresh().save_pretrained("~/models/one")
            return mtf.MultiTaskModel.from_pretrained("~/models/one")
        finally:
            if before is not None:
                os.environ["HOME"] = before

    def state(self, folder: Path) -> str:
        return "new" if (folder / "models" / "one").exists() else "none"


WORK = {
    **{name: one for name, one in OPERATIONS.items() if name not in ("html", "picture")},
    "loud": Loud(),
    "home": Home(),
}


@cache
def conditions() -> list[str]:
    """Return the names of the conditions that can be made here."""
    left_out = set()
    if os.getuid():
        left_out |= {"no_home", "read_only"}
    if not may_mount():
        left_out |= {"full_disk", "no_shared_memory"}
    return [name for name in LIMITS if name not in left_out]


@cache
def warm(name: str) -> None:
    """Carry an operation through, so that what it imports and compares with is there."""
    with tempfile.TemporaryDirectory() as place:
        WORK[name].prepare(Path(place))
        WORK[name].state(Path(place))
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            WORK[name].finished(Path(place), WORK[name].act(Path(place)))


def typed(error: BaseException) -> bool:
    """Say whether an error is of a kind that callers can expect."""
    return isinstance(error, OSError | MemoryError | mtf.Error)


def attempt(operation: Operation, condition: str, folder: Path, draw: random.Random) -> None:
    """Act under the condition and once more without; raises what is wrong."""
    operation.prepare(folder)
    before = operation.state(folder)
    result, error = None, None
    with LIMITS[condition](folder, draw):
        before = operation.state(folder) if condition == "full_disk" else before
        try:
            result = operation.act(folder)
        except Exception as caught:
            error = caught
    if error is None:
        with suppress(OSError):  # a row of a comparison says that it failed
            operation.finished(folder, result)
    else:
        if not typed(error):
            raise AssertionError("untyped") from error
        assert not operation.never_fails or isinstance(error, MemoryError), repr(error)
        operation.claims(folder, before, str(error))
    with redirect_stdout(io.StringIO()):
        operation.finished(folder, operation.act(folder))
    assert not leftovers(folder), f"left: {leftovers(folder)}"


def in_fork(work: Callable[[], None]) -> str | None:
    """Run `work` in a fork; return what it raised, or how the fork ended."""
    reads, writes = os.pipe()
    child = fork()
    if child == 0:
        said = None
        try:
            signal.alarm(LONGEST_CASE_S)
            sys.stderr = open(os.devnull, "w")  # noqa: SIM115
            sys.stdout = sys.stderr
            work()
        except BaseException as error:
            cause = f" from {error.__cause__!r}" if error.__cause__ else ""
            said = f"{type(error).__name__}: {error}{cause}"
        finally:
            os.write(writes, json.dumps(said).encode())
            os._exit(0)
    os.close(writes)
    with open(reads, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(child, 0)
    if not answer:
        return f"the process ended with status {status}"
    told: str | None = json.loads(answer)
    return told


def case(seed: int) -> str | None:
    """Try one operation under one condition."""
    draw = random.Random(seed)
    name, condition = draw.choice(list(WORK)), draw.choice(conditions())
    warm(name)
    with tempfile.TemporaryDirectory(prefix="mtfreeze-limits-") as place:
        folder = Path(place).resolve()
        said = in_fork(lambda: attempt(WORK[name], condition, folder, draw))
    return None if said is None else f"{name} under {condition}: {said}"


DRILL = Drill(
    promise="Few descriptors, little memory, quotas, full and read-only disks, no home, no "
    "streams: each call gives a result or a typed error, what was there stays whole, the next call "
    "succeeds.",
    case=case,
    short=40,
    long=5_000,
    missing=lambda: None if sys.platform.startswith("linux") else "the conditions are Linux's",
)
