# SPDX-License-Identifier: Apache-2.0
"""What drills have in common: seeded cases, as many as wanted, an outcome that names what failed.

A drill is a module ``tests/drills/<name>.py`` with a constant ``DRILL``. Beside it
``test_drills.py`` runs every drill for a few cases, ``run.py`` (``make drills``) for as many as the
drill says, or for hours, and keeps what came out for ``docs/reliability.md``.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).resolve().parents[1] / "drills"
MAX_FAILURES = 20
"""After so many the drill ends: the reader has enough to begin with."""


class Drill(NamedTuple):
    """One promise, and how it is tried.

    Attributes
    ----------
    promise : str
        One sentence: what holds, whatever a case does.
    case : callable
        ``case(seed)`` tries once and returns None where the promise held, else a sentence that
        says what did not. Everything random in it comes from `seed` alone.
    short : int
        Cases of a quick run: at most some 15 seconds of one core.
    long : int
        Cases of ``make drills``.
    missing : callable or None, optional
        Returns why the drill cannot run on this machine, or None.
    """

    promise: str
    case: Callable[[int], str | None]
    short: int
    long: int
    missing: Callable[[], str | None] | None = None


class Outcome(NamedTuple):
    """What became of the cases: how many, which failed (seed and sentence), how long it took."""

    tries: int
    failures: list[tuple[int, str]]
    seconds: float


def names() -> list[str]:
    """Return the names of all drills, in order."""
    return sorted(
        path.stem for path in FOLDER.glob("*.py") if "\nDRILL = " in path.read_text("utf-8")
    )


def find(name: str) -> Drill:
    """Import the drill of that name."""
    drill = importlib.import_module(f"drills.{name}").DRILL
    assert isinstance(drill, Drill)
    return drill


def run(
    drill: Drill, tries: int, *, seed: int = 0, until: float | None = None, tell: bool = False
) -> Outcome:
    """Run cases seed, seed + 1 .. until there are `tries`, too many failed, or the time is over.

    `until` is a value of `time.monotonic`. An exception that a case lets out is a failure too.
    """
    began = time.monotonic()
    failures: list[tuple[int, str]] = []
    done = 0
    while done < tries and (until is None or time.monotonic() < until):
        try:
            said = drill.case(seed + done)
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
        if said is not None:
            failures.append((seed + done, said[:500]))
            if tell:
                print(f"  case {seed + done}: {said[:500]}", flush=True)
            if len(failures) >= MAX_FAILURES:
                break
        done += 1
    return Outcome(done, failures, time.monotonic() - began)
