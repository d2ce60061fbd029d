# SPDX-License-Identifier: Apache-2.0
"""A plan is a rule: steps are drawn as they are asked for, and too many are refused at once."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.data.batches import group_tasks, plan_epoch
from mtfreeze.planning.phase_steps import MOST_STEPS, PhaseSteps
from mtfreeze.planning.run_plan import plan_run
from mtfreeze.planning.settings import check_settings
from support.small_tasks import ROWS, quick_fit, two_tasks

GROUPS = group_tasks({"t": mtf.Task(train=ROWS)})


def steps(first_epoch: int, n_steps: int) -> tuple[PhaseSteps, list[int]]:
    """Return steps, three an epoch, and the list of the epochs that get drawn."""
    drawn: list[int] = []

    def draw(epoch: int) -> Any:
        drawn.append(epoch)
        return plan_epoch(GROUPS, 4, "proportional", 0, epoch)

    per_epoch = len(plan_epoch(GROUPS, 4, "proportional", 0, 0))
    return PhaseSteps(draw, first_epoch, per_epoch, n_steps), drawn


def rows(planned: Any) -> list[list[int]]:
    return [part.rows.tolist() for part in planned.step]


def test_steps_are_those_of_the_epochs() -> None:
    found, drawn = steps(2, 7)
    each = [plan_epoch(GROUPS, 4, "proportional", 0, epoch) for epoch in (2, 3, 4)]
    expected = [[part.rows.tolist() for part in step] for one in each for step in one][:7]
    assert [rows(one) for one in found] == expected
    assert drawn == [2, 3, 4][: len(drawn)]
    assert len(found) == 7 and found.n_epochs == len(drawn)
    per_epoch = len(each[0])
    ends = [(i + 1) % per_epoch == 0 or i == 6 for i in range(7)]
    assert [one.ends_epoch for one in found] == ends
    assert [one.epoch for one in found] == [2 + i // per_epoch for i in range(7)]


def test_any_step_is_found_without_those_before_it() -> None:
    found, drawn = steps(0, 900_000)
    assert found[-1].ends_epoch and rows(found[899_999]) == rows(found[-1])
    assert len(drawn) == 1
    following = found.following(600_000)
    assert rows(next(following)) == rows(found[600_000])
    assert [rows(one) for one in found[5:7]] == [rows(found[5]), rows(found[6])]
    with pytest.raises(IndexError):
        found[900_000]


def test_a_phase_without_steps_is_empty() -> None:
    found = PhaseSteps(lambda epoch: [], 0, 0, 0)
    assert (list(found), len(found), found.n_epochs, bool(found)) == ([], 0, 0, False)


@pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
@pytest.mark.parametrize("epochs", [2**20, 2**31, 2**62])
def test_too_many_epochs_are_refused_before_anything_is_drawn(
    epochs: int, two_head_model: mtf.MultiTaskModel
) -> None:
    schedule = mtf.FreezeSchedule
    phases = (
        {"epochs": epochs},
        {"freeze_schedule": schedule().phase(train="heads", epochs=epochs)},
        {"freeze_schedule": schedule().phase(train="heads", steps=epochs)},
        {"freeze_schedule": schedule.gradual(every=epochs)},
        {"epochs": epochs, "freeze_schedule": schedule().phase(train="heads")},
    )
    for arguments in phases:
        with pytest.raises(mtf.ConfigError, match=f"at most {MOST_STEPS:,} steps; found"):
            quick_fit(two_head_model, **{"epochs": None, **arguments})
    two_head_model.freeze()  # nothing trains: no step, and still so many epochs
    with pytest.raises(mtf.ConfigError, match="at most 1,000,000 steps"):
        quick_fit(two_head_model, epochs=epochs)


def test_a_long_plan_takes_no_memory(two_head_model: mtf.MultiTaskModel) -> None:
    tasks, settings = two_tasks(), check_settings(epochs=150_000, batch_size=4, eval_every=1)
    plan_run(two_head_model, tasks, settings)  # what is made once
    tracemalloc.start()
    plan = plan_run(two_head_model, tasks, settings)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert plan.own[0].first_step == 50
    assert plan.n_steps == 50 + 750_000 and peak < 2**20
