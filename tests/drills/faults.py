# SPDX-License-Identifier: Apache-2.0
"""One call of the system fails, or does a part of its work, while a disk is used.

Each case draws an operation, the number of a call in it, an error and how it strikes. The error
must be typed and must not claim what is not so; what was there must be whole; the next try must
succeed and clear what the first has left. Cases run in a process of their own, with the library
`support.failing_system` preloaded.
"""

from __future__ import annotations

import errno
import faulthandler
import io
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mtfreeze as mtf
from support import failing_system
from support.disk_operations import OPERATIONS, Operation, leftovers
from support.drills import Drill
from support.failing_system import A_PART, FROM_THERE_ON, ONCE, PRELOADED, Fault, lost_by_power

CODES = (errno.EIO, errno.ENOSPC, errno.EACCES, errno.EINTR, errno.EMFILE)
SHARES = {"html": 0.1, "picture": 0.1, "csv": 0.5, "compare": 0.7}
"""How often an operation is drawn, against once; some take long."""

LONGEST_CASE_S = 60


# ---- in the process that has the library ---------------------------------------------------------


def attempt(
    operation: Operation, folder: Path, fault: Fault | None
) -> tuple[Any, Exception | None, Any]:
    """Act once; return the result, the error and what the calls came to."""
    result, error = None, None
    with failing_system.failing(folder, fault) as calls, redirect_stdout(io.StringIO()):
        try:
            result = operation.act(folder)
        except Exception as caught:
            error = caught
    return result, error, calls


def judge(
    operation: Operation,
    folder: Path,
    before: str,
    result: Any,
    error: Exception | None,
    calls: Any,
) -> None:
    """Check what an attempt has left; AssertionError says what is wrong."""
    if error is None:
        try:
            operation.finished(folder, result)
        except OSError:
            assert calls.failed, "a row failed without a fault"
        return
    assert calls.failed, f"an error without a fault: {error!r}"
    assert isinstance(error, OSError | mtf.Error), f"untyped: {type(error).__name__}: {error}"
    assert not operation.never_fails, f"it ended with {error!r}"
    operation.claims(folder, before, str(error))


@cache
def n_calls(name: str) -> int:
    """Return how many calls an operation makes; it must succeed, and outlive a loss of power."""
    operation = OPERATIONS[name]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place).resolve()
        operation.prepare(folder)
        before = operation.state(folder)
        result, error, calls = attempt(operation, folder, None)
        judge(operation, folder, before, result, error, calls)
        if operation.durable:
            lost = lost_by_power(calls.log)
            assert lost is None, f"a loss of power: {lost}"
        assert not leftovers(folder), f"left: {leftovers(folder)}"
        return int(calls.n_calls)


def trial(seed: int) -> str | None:
    """Run one case here."""
    draw = random.Random(seed)
    names = list(OPERATIONS)
    name = draw.choices(names, [SHARES.get(one, 1.0) for one in names])[0]
    operation = OPERATIONS[name]
    folder = Path(tempfile.mkdtemp(prefix="mtfreeze-faults-")).resolve()
    what = name
    try:
        fault = Fault(
            draw.randrange(n_calls(name)),
            draw.choice(CODES),
            draw.choice((ONCE, ONCE, ONCE, FROM_THERE_ON, A_PART)),
        )
        if fault.code == errno.EINTR:  # nobody is interrupted for ever
            fault = fault._replace(how=ONCE)
        what = f"{name}, call {fault.at}, {errno.errorcode[fault.code]}, how {fault.how}"
        operation.prepare(folder)
        before = operation.state(folder)
        result, error, calls = attempt(operation, folder, fault)
        what = f"{what} ({calls.failed or 'nothing failed'})"
        judge(operation, folder, before, result, error, calls)
        what = f"{what}, then once more"
        result, error, calls = attempt(operation, folder, None)
        if error is not None:
            raise error
        operation.finished(folder, result)
        assert not leftovers(folder), f"left: {leftovers(folder)}"
    except Exception as error:
        return f"{what}: {type(error).__name__}: {error}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return None


def serve() -> None:
    """Answer seeds from stdin, a line each, with JSON on stdout."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        faulthandler.dump_traceback_later(LONGEST_CASE_S, exit=True)
        answers.write(json.dumps(trial(int(line))) + "\n")


# ---- outside -------------------------------------------------------------------------------------


class Server:
    """The process that runs the cases; a new one after it has died."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="mtfreeze-faults-")
        self.library = failing_system.built(Path(self.folder.name))
        self.process: subprocess.Popen[str] | None = None

    def ask(self, seed: int) -> str | None:
        """Return what a case said."""
        if self.process is None:
            library = str(self.library)
            self.process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "LD_PRELOAD": library, PRELOADED: library},
            )
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{seed}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if answer:
            said: str | None = json.loads(answer)
            return said
        status, self.process = self.process.wait(), None
        return f"the process died with status {status}"


@cache
def server() -> Server:
    """Return the server of this process."""
    return Server()


DRILL = Drill(
    promise="A failing, short or interrupted call of the system ends in a typed error that says "
    "what is so, leaves what was there whole, and the next try succeeds and clears up.",
    case=lambda seed: server().ask(seed),
    short=24,
    long=20_000,
    missing=failing_system.missing,
)

if __name__ == "__main__":
    serve()
