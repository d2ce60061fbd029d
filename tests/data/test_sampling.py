# SPDX-License-Identifier: Apache-2.0
"""How proportional mixing shares its steps among tasks: checked by counting steps and rows."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from mtfreeze import Task
from mtfreeze.data.batches import (
    SAMPLING,
    Group,
    Step,
    epoch_batches,
    group_tasks,
    plan_epoch,
    steps_per_epoch,
)
from mtfreeze.data.sampling import share_steps
from mtfreeze.errors import ConfigError

SIZES = {"large": 83, "middle": 30, "small": 5}


def groups_of(sizes: dict[str, int] = SIZES) -> list[Group]:
    rows = {name: [(f"{name}{i}", i % 2) for i in range(n)] for name, n in sizes.items()}
    return group_tasks({name: Task(train=own) for name, own in rows.items()})


def plan(epoch: int, sampling: str, temperature: float = 1.0, batch_size: int = 4) -> list[Step]:
    return plan_epoch(groups_of(), batch_size, "proportional", 0, epoch, sampling, temperature)


def n_steps(steps: list[Step]) -> dict[str, int]:
    return dict(Counter(part.tasks[0] for (part,) in steps))


def rows_in_turn(steps: list[Step], task: str) -> list[int]:
    return [row for (part,) in steps if part.tasks == (task,) for row in part.rows.tolist()]


def same(first: list[Step], second: list[Step]) -> bool:
    def rows(steps: list[Step]) -> list[Any]:
        return [[(part.tasks, part.rows.tolist()) for part in step] for step in steps]

    return rows(first) == rows(second)


def test_size_and_temperature_one_are_the_orders_of_before() -> None:
    for epoch in range(3):
        default = plan_epoch(groups_of(), 4, "proportional", 0, epoch)
        assert same(plan(epoch, "size"), default)
        assert same(plan(epoch, "temperature", 1.0), default)
        for name, n in SIZES.items():
            own = [row for batch in epoch_batches(n, 4, 0, name, epoch) for row in batch]
            assert rows_in_turn(default, name) == own


def test_equal_gives_each_task_as_many_steps() -> None:
    # 21 + 8 + 2 batches: 31 steps, of which one is left over for the task that stands first.
    assert n_steps(plan(0, "equal")) == {"large": 11, "middle": 10, "small": 10}


@pytest.mark.parametrize("temperature", [0.5, 2.0, 5.0])
def test_temperature_shares_in_proportion_to_a_power_of_the_rows(temperature: float) -> None:
    shares = n_steps(plan(0, "temperature", temperature))
    total = sum(n ** (1 / temperature) for n in SIZES.values())
    for name, n in SIZES.items():
        assert abs(shares[name] - max(1.0, 31 * n ** (1 / temperature) / total)) <= 1


def test_high_temperatures_come_near_equal_and_low_ones_keep_one_step() -> None:
    sizes, counts = [83, 30, 5], [21, 8, 2]
    equal = share_steps(sizes, counts, "equal")
    assert share_steps(sizes, counts, "temperature", 1e6) == equal
    assert share_steps(sizes, counts, "temperature", 1e-3) == [29, 1, 1]
    shares = [share_steps(sizes, counts, "temperature", t)[0] for t in (0.1, 0.5, 1, 2, 5, 100)]
    assert shares == sorted(shares, reverse=True)


def test_shares_add_up_and_follow_largest_remainders() -> None:
    for n_first in range(1, 40):
        for others in ([1], [7, 7], [1, 100, 3]):
            sizes = [n_first, *others]
            counts = [math.ceil(n / 4) for n in sizes]
            for temperature in (0.3, 1.7, 4.0):
                shares = share_steps(sizes, counts, "temperature", temperature)
                assert sum(shares) == sum(counts)
                assert min(shares) >= 1
    # 10 steps as 4 : 4 : 2 rows at T = 2: 3.69, 3.69, 2.61; the remainders .69 win.
    assert share_steps([4, 4, 2], [4, 4, 2], "temperature", 2.0) == [4, 4, 2]
    # 11 steps: 4.06, 4.06, 2.87.
    assert share_steps([4, 4, 2], [4, 4, 3], "temperature", 2.0) == [4, 4, 3]


@pytest.mark.parametrize(("sampling", "temperature"), [("equal", 1.0), ("temperature", 3.0)])
def test_every_row_is_met_before_any_is_met_again(sampling: str, temperature: float) -> None:
    epochs = [plan(epoch, sampling, temperature) for epoch in range(12)]
    for name, n in SIZES.items():
        met = [row for steps in epochs for row in rows_in_turn(steps, name)]
        passes = [met[i : i + n] for i in range(0, len(met), n)]
        assert len(passes) > 3
        assert all(sorted(one) == list(range(n)) for one in passes[:-1])
        assert len(set(passes[-1])) == len(passes[-1])
        assert all(one != other for one, other in pairwise(passes))


def test_an_epoch_needs_nothing_of_the_ones_before() -> None:
    """A run can be taken up at any epoch: plans are functions of (seed, epoch) alone."""
    alone = plan(5, "equal")
    for epoch in range(5):
        plan(epoch, "equal")
    assert same(plan(5, "equal"), alone)
    other_seed = plan_epoch(groups_of(), 4, "proportional", 1, 5, "equal")
    assert not same(other_seed, alone)


@pytest.mark.parametrize("sampling", SAMPLING)
@pytest.mark.parametrize("batch_size", [1, 3, 4, 100])
def test_the_number_of_steps_stays_that_of_size(sampling: str, batch_size: int) -> None:
    temperature = 2.5 if sampling == "temperature" else 1.0
    steps = plan(0, sampling, temperature, batch_size)
    expected = sum(math.ceil(n / batch_size) for n in SIZES.values())
    counted = steps_per_epoch(groups_of(), batch_size, "proportional", sampling, temperature)
    assert len(steps) == counted == expected
    assert set(n_steps(steps)) == set(SIZES)


@pytest.mark.parametrize("mixing", ["round_robin", "joint"])
def test_other_mixings_leave_nothing_to_share(mixing: str) -> None:
    groups = groups_of()
    for sampling in ("equal", "temperature"):
        with pytest.raises(ConfigError, match=f"found sampling='{sampling}' with mixing="):
            plan_epoch(groups, 4, mixing, 0, 0, sampling)
        with pytest.raises(ConfigError, match="use mixing='proportional' or sampling='size'"):
            steps_per_epoch(groups, 4, mixing, sampling)


def test_errors() -> None:
    with pytest.raises(ConfigError, match=r"unknown sampling 'temprature'.*mean 'temperature'"):
        plan(0, "temprature")
    with pytest.raises(TypeError, match=r"sampling must be one of 'size'.*found int 3"):
        plan(0, 3)  # type: ignore[arg-type]
    for wrong in (0, -1.0, math.inf, math.nan):
        with pytest.raises(ConfigError, match="temperature must be a finite number above 0"):
            plan(0, "temperature", wrong)
    for text in ("2", None, True):
        with pytest.raises(TypeError, match="temperature must be a number; found"):
            plan(0, "temperature", text)  # type: ignore[arg-type]
    for sampling in ("size", "equal"):
        with pytest.raises(ConfigError, match="temperature acts with sampling='temperature'"):
            plan(0, sampling, 2.0)
