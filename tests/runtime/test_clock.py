# SPDX-License-Identifier: Apache-2.0
"""Durations come from a clock that never jumps; the wall clock tells the age of files alone."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

import mtfreeze as mtf
from support.small_tasks import quick_fit

PACKAGE = Path(mtf.__file__).parent
AGES = {"cli/cache.py"}
"""Modules that compare the wall clock with the time stamps of files, where a user asks for it."""


def test_only_the_age_of_files_is_read_off_the_wall_clock() -> None:
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if "time.time()" in (text := path.read_text("utf-8")) or "from time import" in text
    }
    assert found == AGES


def test_a_clock_that_jumps_changes_no_duration(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumps = itertools.cycle([2e9, 1e9, 3e9])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    began = time.perf_counter()
    run = quick_fit(two_head_model.freeze("backbone"))
    whole = time.perf_counter() - began
    assert 0 < run.metrics["train_runtime"] <= whole
    assert all(0 <= phase.seconds <= whole for phase in run.costs)
