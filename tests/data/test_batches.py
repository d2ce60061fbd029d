# SPDX-License-Identifier: Apache-2.0
"""Data order and mixing: deterministic, complete, independent between tasks."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from mtfreeze import Task
from mtfreeze.data import Examples
from mtfreeze.data.batches import (
    MIXING,
    Group,
    Step,
    epoch_batches,
    group_tasks,
    plan_epoch,
    steps_per_epoch,
)
from mtfreeze.data.order import permutation
from mtfreeze.errors import ConfigError, DataError


def texts(n: int, name: str = "t") -> list[tuple[str, int]]:
    return [(f"{name}{i}", i % 2) for i in range(n)]


def two_tasks(mixing: str, sizes: tuple[int, int] = (23, 7)) -> list[Group]:
    tasks = {"a": Task(train=texts(sizes[0], "a")), "b": Task(train=texts(sizes[1], "b"))}
    return group_tasks(tasks, mixing)


def seen(steps: list[Step]) -> dict[str, Counter[int]]:
    """Count how often each task meets each row."""
    counts: dict[str, Counter[int]] = {}
    for part in (part for step in steps for part in step):
        for task in part.tasks:
            counts.setdefault(task, Counter()).update(part.rows.tolist())
    return counts


def plain(steps: list[Step]) -> list[list[tuple[tuple[str, ...], list[int]]]]:
    return [[(part.tasks, part.rows.tolist()) for part in step] for step in steps]


FIXED = [7, 8, 3, 9, 1, 4, 5, 0, 2, 6]
"""The order of one key, as every release must give it: training runs repeat by it."""


def test_permutation_is_fixed_for_ever() -> None:
    assert permutation(10, 0, "rows", "classifier", 0, 0).tolist() == FIXED
    assert permutation(0, 1).shape == (0,)
    assert sorted(permutation(1000, 7)) == list(range(1000))
    assert permutation(100, 1, 2).tolist() != permutation(100, 1, "2").tolist()
    assert permutation(100, 1, 23).tolist() != permutation(100, 12, 3).tolist()


def test_permutation_is_uniform() -> None:
    places = np.array([permutation(6, seed).argmax() for seed in range(3000)])
    counts = np.bincount(places, minlength=6)
    assert (abs(counts - 500) < 5 * np.sqrt(500)).all()


def test_batches_cover_every_row_once_and_keep_the_last() -> None:
    batches = epoch_batches(23, 5, seed=0, task="a", epoch=0)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(np.concatenate(batches)) == list(range(23))


def test_order_depends_on_seed_task_and_epoch_only() -> None:
    def order(**key: Any) -> list[int]:
        use = {"seed": 0, "task": "a", "epoch": 0, **key}
        return list(np.concatenate(epoch_batches(50, 8, **use)))

    orders = [order(), order(seed=1), order(task="b"), order(epoch=1)]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    assert order() == orders[0]
    assert list(np.concatenate(epoch_batches(50, 3, 0, "a", 0))) == orders[0]


def test_further_passes_are_new_orders() -> None:
    batches = epoch_batches(5, 2, 0, "a", 0, n_batches=7)
    assert [len(batch) for batch in batches] == [2, 2, 1, 2, 2, 1, 2]
    first, second = np.concatenate(batches[:3]), np.concatenate(batches[3:6])
    assert sorted(first) == sorted(second) == list(range(5))
    assert first.tolist() != second.tolist()


@pytest.mark.parametrize("mixing", MIXING)
def test_plans_repeat_and_count_their_steps(mixing: str) -> None:
    groups = two_tasks(mixing)
    steps = plan_epoch(groups, 4, mixing, seed=3, epoch=2)
    assert plain(steps) == plain(plan_epoch(groups, 4, mixing, seed=3, epoch=2))
    assert plain(steps) != plain(plan_epoch(groups, 4, mixing, seed=4, epoch=2))
    assert plain(steps) != plain(plan_epoch(groups, 4, mixing, seed=3, epoch=3))
    assert len(steps) == steps_per_epoch(groups, 4, mixing)
    assert plan_epoch([], 4, mixing, 0, 0) == []
    assert steps_per_epoch([], 4, mixing) == 0


def test_proportional_meets_every_row_once() -> None:
    steps = plan_epoch(two_tasks("proportional"), 4, "proportional", seed=0, epoch=0)
    assert seen(steps) == {"a": Counter(range(23)), "b": Counter(range(7))}
    assert len(steps) == 6 + 2
    assert {len(step) for step in steps} == {1}


def test_proportional_places_batches_anywhere() -> None:
    groups = two_tasks("proportional", (40, 40))
    places = Counter[int]()
    for epoch in range(200):
        steps = plan_epoch(groups, 4, "proportional", seed=0, epoch=epoch)
        places.update(i for i, (part,) in enumerate(steps) if part.tasks == ("b",))
    assert sorted(places) == list(range(20))
    assert all(60 <= count <= 140 for count in places.values())


def test_one_tasks_order_does_not_depend_on_the_others() -> None:
    alone = group_tasks({"a": Task(train=texts(23, "a"))})
    rows = [p.rows.tolist() for (p,) in plan_epoch(alone, 4, "proportional", 0, 1)]
    for mixing in MIXING:
        steps = plan_epoch(two_tasks(mixing), 4, mixing, 0, 1)
        mixed = [p.rows.tolist() for step in steps for p in step if p.tasks == ("a",)]
        assert mixed == rows


def test_round_robin_takes_turns_and_starts_the_smaller_over() -> None:
    steps = plan_epoch(two_tasks("round_robin"), 4, "round_robin", seed=0, epoch=0)
    assert [part.tasks for (part,) in steps] == [("a",), ("b",)] * 6
    counts = seen(steps)
    assert counts["a"] == Counter(range(23))
    assert counts["b"] == Counter(dict.fromkeys(range(7), 3))


def test_joint_has_a_batch_of_every_task_in_each_step() -> None:
    steps = plan_epoch(two_tasks("joint"), 4, "joint", seed=0, epoch=0)
    assert [tuple(part.tasks for part in step) for step in steps] == [(("a",), ("b",))] * 6
    counts = seen(steps)
    assert counts["a"] == Counter(range(23))
    assert set(counts["b"].values()) == {3}


def several(n: int) -> list[dict[str, Any]]:
    return [
        {"text": f"t{i}", "labels": {"a": i % 2, **({"b": i % 3} if i % 4 == 0 else {})}}
        for i in range(n)
    ]


@pytest.mark.parametrize("shared", [True, False])
def test_rows_with_several_labels_are_one_group_in_joint_mixing(shared: bool) -> None:
    data = Examples.from_rows(several(10)) if shared else several(10)
    tasks = {"a": Task(train=data), "b": Task(train=data), "c": Task(train=texts(4, "c"))}
    groups = group_tasks(tasks, "joint")
    assert [group.tasks for group in groups] == [("a", "b"), ("c",)]
    assert groups[0].rows.tolist() == list(range(10))
    steps = plan_epoch(groups, 5, "joint", 0, 0)
    assert seen(steps)["a"] == Counter(range(10))
    assert [len(step) for step in steps] == [2, 2]


def test_other_mixings_give_each_task_its_labelled_rows() -> None:
    tasks = {"a": Task(train=several(10)), "other": Task(train=several(10), label="b")}
    for mixing in ("proportional", "round_robin"):
        groups = group_tasks(tasks, mixing)
        assert [group.tasks for group in groups] == [("a",), ("other",)]
        assert groups[1].rows.tolist() == [0, 4, 8]
    assert seen(plan_epoch(group_tasks(tasks), 2, "proportional", 0, 0))["other"] == Counter(
        [0, 4, 8]
    )


def test_joint_groups_take_rows_that_any_task_labels() -> None:
    rows: list[Any] = [
        {"text": "x", "labels": {"a": 1}},
        {"text": "y", "labels": {"c": 1}},
        {"text": "z", "labels": {"b": 1}},
    ]
    groups = group_tasks({"a": Task(train=rows), "b": Task(train=rows)}, "joint")
    assert groups[0].rows.tolist() == [0, 2]


def test_tasks_without_training_data_take_no_part() -> None:
    tasks = {"a": Task(eval=texts(3)), "b": Task(train=texts(3))}
    assert [group.tasks for group in group_tasks(tasks)] == [("b",)]


def test_errors() -> None:
    groups = two_tasks("joint")
    with pytest.raises(ConfigError, match=r"unknown mixing 'proportonal'.*mean 'proportional'"):
        plan_epoch(groups, 4, "proportonal", 0, 0)
    for size in (0, -1):
        with pytest.raises(ConfigError, match=f"batch_size must be at least 1; found {size}"):
            plan_epoch(groups, size, "joint", 0, 0)
    for wrong in (2.5, "4", None, True):
        with pytest.raises(TypeError, match="batch_size must be a whole number; found"):
            steps_per_epoch(groups, wrong, "joint")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="task 'q': expected training rows with a label for 'q'"):
        group_tasks({"q": Task(train=several(4))})
