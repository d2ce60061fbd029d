# SPDX-License-Identifier: Apache-2.0
"""Kill a process (SIGKILL) at a random moment while it saves, trains, compares or fills a cache.

What is there then must be the old or the new one, whole; the same call made again must end as if
nothing had happened, and clear what the dead process has left. Checkpoints of a run that is killed
again and again are in ``kill_checkpoints.py``.
"""

from __future__ import annotations

import os
import random
import signal
import tempfile
import time
from functools import cache
from pathlib import Path

from support.disk_operations import OPERATIONS, Operation, leftovers
from support.drills import Drill
from support.forks import fork

KINDS = ("save_new", "save_over", "fit", "compare", "cache")


@cache
def seconds(name: str) -> float:
    """Return how long an operation takes when nobody ends it."""
    operation = OPERATIONS[name]
    with tempfile.TemporaryDirectory() as place:
        operation.prepare(Path(place))
        operation.state(Path(place))  # what it compares with is made here
        began = time.perf_counter()
        result = operation.act(Path(place))
        took = time.perf_counter() - began
        operation.finished(Path(place), result)
    return took


def kill_once(operation: Operation, folder: Path, wait: float) -> None:
    """Begin the operation in a fork, and kill that after `wait` seconds."""
    reads, writes = os.pipe()
    child = fork()
    if child == 0:
        try:
            os.write(writes, b".")
            while True:
                operation.act(folder)
        finally:
            os._exit(1)
    os.close(writes)
    os.read(reads, 1)
    os.close(reads)
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "it ended by itself"


def case(seed: int) -> str | None:
    """Kill one operation once or twice, then carry it through."""
    draw = random.Random(seed)
    name = KINDS[seed % len(KINDS)]
    operation = OPERATIONS[name]
    longest = seconds(name)
    with tempfile.TemporaryDirectory(prefix="mtfreeze-kills-") as place:
        folder = Path(place)
        operation.prepare(folder)
        try:
            for _ in range(draw.choice((1, 1, 2))):
                kill_once(operation, folder, draw.uniform(0, longest))
                operation.state(folder)
            operation.finished(folder, operation.act(folder))
            assert not leftovers(folder), f"left: {leftovers(folder)}"
        except Exception as error:
            return f"{name}: {type(error).__name__}: {error}"
    return None


DRILL = Drill(
    promise="A process that is killed while it saves, trains, compares or fills a cache leaves the "
    "old or the new one, whole; the next call ends as if nothing had happened, and clears up.",
    case=case,
    short=15,
    long=5_000,
    missing=lambda: None if hasattr(os, "fork") else "the system has no fork",
)
