# SPDX-License-Identifier: Apache-2.0
"""A warm-up that leaves nothing to learn, or never ends, is said before the run, once."""

from __future__ import annotations

from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.planning.rate_clock import SCHEDULES, RateClock
from support.bits import bits
from support.small_tasks import ROWS, quick_fit

NOTHING = "nothing is learned: its only step is the first of the warm-up"


def notes(model: mtf.MultiTaskModel, **settings: Any) -> list[str]:
    tasks = {"classifier": mtf.Task(train=ROWS)}
    run = quick_fit(model, tasks, batch_size=len(ROWS), **settings)
    return [note for note in run.notes if "warm-up" in note]


@pytest.mark.parametrize("kind", SCHEDULES)
def test_a_step_without_a_rate_is_said_and_no_other(kind: str) -> None:
    for n_warmup in range(4):
        for n_steps in range(1, 5):
            clock = RateClock(kind, 7, n_steps, n_warmup)
            rates = [clock.factor(7 + step) for step in range(n_steps)]
            said = clock.warmup_notes(7, n_steps)
            assert any(NOTHING in one for one in said) == (not any(rates))
            low = n_warmup >= n_steps and any(rates)
            assert any("rates rise to" in one for one in said) == low
            assert low <= (max(rates) < 1)


def test_without_steps_there_is_nothing_to_say() -> None:
    assert RateClock("linear", 0, 0, 0).warmup_notes(0, 0) == []
    assert RateClock("linear", 0, 0, 5).warmup_notes(0, 0) == []


def test_a_run_of_one_step(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    (note,) = notes(two_head_model, epochs=1)
    assert note.startswith(NOTHING)
    assert bits(two_head_model.parameters()) == before
    assert notes(two_head_model, epochs=1, warmup_ratio=0.0) == []
    assert bits(two_head_model.parameters()) != before


def test_a_warm_up_longer_than_the_run(two_head_model: mtf.MultiTaskModel) -> None:
    (note,) = notes(two_head_model, epochs=3, warmup_steps=500)
    assert note.startswith("the warm-up takes 500 steps and there are 3: rates rise to 0.4 % of")
    assert notes(two_head_model, epochs=3, warmup_steps=2) == []


def test_phases_say_it_of_themselves(two_head_model: mtf.MultiTaskModel) -> None:
    schedule = mtf.FreezeSchedule().phase(epochs=1, train="heads").phase(epochs=1, train="all")
    (note,) = notes(two_head_model, epochs=None, freeze_schedule=schedule)
    assert note.startswith(f'phase 1/2 "heads": {NOTHING}')
    long = mtf.FreezeSchedule()
    for train in ("heads", "all"):
        long = long.phase(epochs=2, train=train, warmup_ratio=1.0)
    first, second = notes(two_head_model, epochs=None, freeze_schedule=long)
    assert first.startswith('phase 1/2 "heads": the warm-up takes 2 steps and there are 2')
    assert second.startswith('phase 2/2 "all": the warm-up takes 2 steps')
    whole = notes(two_head_model, epochs=None, freeze_schedule=schedule, warmup_steps=9)
    assert [note.split(":")[1][:12] for note in whole] == [" nothing is ", " the warm-up"]
