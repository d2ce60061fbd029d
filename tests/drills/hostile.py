# SPDX-License-Identifier: Apache-2.0
"""Every public callable with one or two arguments that nobody means.

A call with them returns, or raises an error of mtfreeze (or a TypeError or OSError that says what
to do); it takes bounded time and memory; where it raised, the model is as it was, and works.
"""

from __future__ import annotations

import atexit
import linecache
import os
import random
import resource
import shutil
import signal
import tempfile
import warnings
from functools import cache
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import numpy as np

import mtfreeze as mtf
from support.bits import bits
from support.drills import Drill
from support.hostile_calls import CALLS, Call, Stage
from support.hostile_values import VALUES, Boom

LIMIT_SECONDS = 60.0
LIMIT_BYTES = 512 * 2**20

SLOW = ("compare", "estimate", "recommend", "fine_tune", "Comparison.to_html")
"""Calls of half a second and more; drawn less often than the others."""

MAY_TRAIN_FIRST = (mtf.TrainingError,)
"""What may be raised after steps that count."""


class Endless(BaseException):
    """A call took longer than it may."""


def _alarm(number: int, frame: FrameType | None) -> None:
    raise Endless


@cache
def _stage() -> Stage:
    folder = Path(tempfile.mkdtemp(prefix="hostile-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Stage(folder)


def draw(seed: int) -> tuple[str, dict[str, str]]:
    """Return the name of a call and, by argument, those of the hostile values it gets."""
    rng = random.Random(seed)
    name = rng.choice([one for one in CALLS if one not in SLOW or rng.random() < 0.1])
    arguments = list(CALLS[name](_stage()).arguments)
    chosen = rng.sample(arguments, min(len(arguments), rng.choice((1, 1, 2))))
    return name, {argument: rng.choice(list(VALUES)) for argument in chosen}


def fault_of(error: BaseException) -> str | None:
    """Say what is wrong with an error, None if it is one of ours."""
    if isinstance(error, Boom | ZeroDivisionError):
        own = _deepest(error.__traceback__)
        return None if own is not None and "support/hostile" in own[0] else repr(error)
    if not isinstance(error, mtf.Error | TypeError | OSError | MemoryError):
        return f"{type(error).__name__}: {str(error)[:200]}"
    if len(str(error)) > 2000:
        return f"a message of {len(str(error))} characters: {str(error)[:80]}"
    if type(error) is TypeError and not _was_raised(error.__traceback__):
        return f"TypeError by accident: {str(error)[:200]}"
    return None


def _deepest(trace: TracebackType | None) -> tuple[str, int] | None:
    found = None
    while trace is not None:
        found = (trace.tb_frame.f_code.co_filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


def _was_raised(trace: TracebackType | None) -> bool:
    """Say whether the package raised an error itself, and did not stumble."""
    place = _deepest(trace)
    return place is not None and linecache.getline(*place).lstrip().startswith("raise")


def state_of(model: mtf.MultiTaskModel) -> Any:
    """Return what no refused call may change."""
    heads = {name: (head.spec, head.trained, head.frozen) for name, head in model.heads.items()}
    return bits(model.parameters()), model.freeze_state(), heads


def case(seed: int) -> str | None:
    """Make one call; see the top of this file."""
    stage = _stage()
    name, hostile = draw(seed)
    stage.begin()
    before, memory = state_of(stage.model), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    function, arguments = CALLS[name](stage)
    given = {**arguments, **{key: VALUES[value]() for key, value in hostile.items()}}
    where = f"{name}({', '.join(f'{key}={value}' for key, value in hostile.items())})"
    here = Path.cwd()
    os.chdir(stage.folder)  # what is written to a relative path goes there
    try:
        raised = _call(Call(function, given))
    finally:
        os.chdir(here)
    if isinstance(raised, Endless):
        return f"{where}: took more than {LIMIT_SECONDS:g} s"
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) * 1024
    if grown > LIMIT_BYTES:
        return f"{where}: took {grown / 2**20:.0f} MiB"
    fault = None if raised is None else fault_of(raised)
    if fault is not None:
        return f"{where}: {fault}"
    refused = raised is not None and not isinstance(raised, MAY_TRAIN_FIRST)
    if refused and state_of(stage.model) != before:
        return f"{where}: the model changed, {type(raised).__name__}: {raised}"
    vectors = stage.model.encode(["good food"])
    if refused and not np.isfinite(vectors).all():
        return f"{where}: the model does not work any more"
    mtf.set_threads(1)
    shutil.rmtree(stage.folder, ignore_errors=True)
    return None


def _call(call: Call) -> BaseException | None:
    """Call within the time that it may take, and return what it raised."""
    earlier = signal.signal(signal.SIGALRM, _alarm)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = call.function(**call.arguments)
            if type(found).__module__.startswith("mtfreeze"):
                repr(found)
    except (Exception, Endless) as error:
        return error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    return None


DRILL = Drill(
    promise="Whatever is given for an argument, a call works or says in a typed error what was "
    "expected; the model is as before then, and time and memory are bounded.",
    case=case,
    short=400,
    long=100_000,
)
