# SPDX-License-Identifier: Apache-2.0
"""``Task(sampling="balanced")``: each label as often as another, from the seed alone."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.task_files import tasks_from_values, tasks_to_values
from mtfreeze.data.balanced import balanced_order
from mtfreeze.data.batches import epoch_batches, group_tasks, plan_epoch, steps_per_epoch
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.planning.run_plan import plan_run
from mtfreeze.planning.settings import FitSettings
from mtfreeze.training.run_facts import describe_run, differences
from support.bits import bits
from support.small_tasks import ROWS, fresh, quick_fit
from support.texts import TAGGED

UNEVEN = [(f"text {n}", "rare" if n in (3, 14) else "often") for n in range(17)]


def drawn(epoch: int, rows: Any = UNEVEN, **settings: Any) -> list[list[int]]:
    task = mtf.Task(train=rows, sampling="balanced")
    arguments = {"batch_size": 5, "mixing": "proportional", "seed": 0, **settings}
    steps = plan_epoch(group_tasks({"t": task}), epoch=epoch, **arguments)
    return [part.rows.tolist() for step in steps for part in step]


@pytest.mark.parametrize("n", [2, 3, 17, 100])
@pytest.mark.parametrize("n_classes", [1, 2])
def test_each_class_as_often_as_another(n: int, n_classes: int) -> None:
    codes = np.minimum(np.arange(n), n_classes - 1)
    for number in range(3):
        counts = np.bincount(codes[balanced_order(codes, number, 0, "t")], minlength=n_classes)
        assert counts.sum() == n and counts.max() - counts.min() <= 1


def test_rows_of_a_label_are_all_met_before_one_is_met_again() -> None:
    codes = np.array([0] * 13 + [1] * 4)
    passes = [balanced_order(codes, number, 7, "t") for number in range(8)]
    for code, size in ((0, 13), (1, 4)):
        own = [row for order in passes for row in order.tolist() if codes[row] == code]
        for begin in range(0, len(own) - size + 1, size):
            assert len(set(own[begin : begin + size])) == size


def test_epochs_are_as_long_as_without() -> None:
    even = mtf.Task(train=UNEVEN)
    plain = plan_epoch(group_tasks({"t": even}), 5, "proportional", 0, 0)
    assert [len(batch) for batch in drawn(0)] == [len(step[0].rows) for step in plain]
    for epoch in range(3):
        labels = Counter(UNEVEN[row][1] for row in chain(*drawn(epoch)))
        assert labels == {"often": 9, "rare": 8}
    assert drawn(0) == drawn(0) != drawn(1)
    assert drawn(0) != drawn(0, seed=1)


def test_an_order_does_not_follow_from_that_of_the_rows_names() -> None:
    """Codes are those of sorted names, not of whichever label comes first."""
    codes = group_tasks({"t": mtf.Task(train=UNEVEN, sampling="balanced")})[0].classes
    assert codes is not None
    assert [UNEVEN[row][1] for row in np.flatnonzero(codes == 0)] == ["often"] * 15


@pytest.mark.parametrize("mixing", ["round_robin", "joint"])
def test_a_task_that_starts_over_within_an_epoch(mixing: str) -> None:
    tasks = {
        "t": mtf.Task(train=UNEVEN, sampling="balanced"),
        "long": mtf.Task(train=[(f"row {n}", n % 2) for n in range(40)]),
    }
    groups = group_tasks(tasks, mixing)
    steps = plan_epoch(groups, 5, mixing, 0, 1)
    rows = [row for step in steps for part in step if part.group == 0 for row in part.rows.tolist()]
    assert steps_per_epoch(groups, 5, mixing) == len(steps)
    first, second = rows[:17], rows[17:34]
    assert Counter(UNEVEN[row][1] for row in first) == {"often": 9, "rare": 8}
    assert Counter(UNEVEN[row][1] for row in second) == {"often": 9, "rare": 8}
    assert sorted(first) != sorted(second)


def test_in_joint_mixing_it_has_a_group_of_its_own() -> None:
    both = [{"text": text, "labels": {"a": label, "b": "x"}} for text, label in UNEVEN]
    rows = mtf.Examples.from_rows(both)
    shared = group_tasks({"a": mtf.Task(rows), "b": mtf.Task(rows)}, "joint")
    assert [one.tasks for one in shared] == [("a", "b")]
    for first, second in (("balanced", "rows"), ("rows", "balanced")):
        tasks = {"a": mtf.Task(rows, sampling=first), "b": mtf.Task(rows, sampling=second)}
        assert [one.tasks for one in group_tasks(tasks, "joint")] == [("a",), ("b",)]


def test_with_batches_of_similar_length() -> None:
    lengths = np.arange(17, dtype=np.int64)
    codes = np.array([0] * 15 + [1] * 2)
    batches = epoch_batches(17, 5, 0, "t", 0, lengths=lengths, codes=codes)
    assert Counter(codes[np.concatenate(batches)].tolist()) == {0: 9, 1: 8}


def test_rows_without_a_label_are_left_out() -> None:
    rows = mtf.read_table(
        {"text": ["a", "b", "c", "d"], "mood": ["x", "", "x", "y"], "topic": ["p"] * 4},
        label=["mood", "topic"],
    )
    task = mtf.Task(rows, label="mood", sampling="balanced")
    steps = plan_epoch(group_tasks({"t": task}), 9, "proportional", 0, 0)
    found = steps[0][0].rows.tolist()
    assert len(found) == 3 and 1 not in found


def test_training_repeats_to_the_bit_and_goes_on(tiny_folder: Path, tmp_path: Path) -> None:
    def run(folder: Path | None = None, **others: Any) -> tuple[Any, Any]:
        model = fresh(tiny_folder, "backbone[:1]")
        tasks = {"classifier": mtf.Task(train=ROWS[:7], eval=ROWS, sampling="balanced")}
        arguments: dict[str, Any] = {"output_dir": folder, **others}
        return quick_fit(model, tasks, epochs=3, **arguments), bits(model.parameters())

    threads = mtf.get_threads()
    whole = run()[1]
    mtf.set_threads(2)
    try:
        assert run(cache=False)[1] == whole
    finally:
        mtf.set_threads(threads)
    run(tmp_path, stop_after_steps=3, save_every=1)
    resumed, weights = run(tmp_path, save_every=1, resume=True)
    assert weights == whole
    assert resumed.n_steps == 6
    plain = fresh(tiny_folder, "backbone[:1]")
    quick_fit(plain, {"classifier": mtf.Task(train=ROWS[:7], eval=ROWS)}, epochs=3)
    assert bits(plain.parameters()) != whole


def test_a_checkpoint_knows_how_rows_were_drawn(tiny_folder: Path) -> None:
    model = fresh(tiny_folder)
    found = []
    for sampling in ("rows", "balanced"):
        task = mtf.Task(train=ROWS, sampling=sampling)
        plan = plan_run(model, {"classifier": task}, FitSettings(epochs=1))
        found.append(describe_run(model, {"classifier": task}, plan))
    assert any("tasks.classifier.sampling" in line for line in differences(*found))


def test_jobs_of_comparisons_have_it() -> None:
    tasks = {"a": mtf.Task(ROWS, sampling="balanced"), "b": mtf.Task(ROWS)}
    found = tasks_from_values(tasks_to_values(tasks))
    assert {name: task.sampling for name, task in found.items()} == {"a": "balanced", "b": "rows"}
    assert "sampling='balanced'" in repr(tasks["a"]) and "sampling" not in repr(tasks["b"])


def test_what_has_no_label_to_draw_evenly(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(ConfigError, match=r"draws each label of whole rows .* TokenClassification"):
        two_head_model.step({"ner_head": mtf.Task(TAGGED, sampling="balanced")}, learning_rate=1e-3)
    numbers = mtf.Task([("a", 0.5), ("b", 1.5)], sampling="balanced")
    with pytest.raises(DataError, match=r"row 0 of train: expected one label .* found float 0.5"):
        group_tasks({"t": numbers})
    with pytest.raises(ConfigError, match=r"sampling of a task 'balance'.*did you mean 'balanced'"):
        mtf.Task(ROWS, sampling="balance")


def test_evaluations_are_over_rows_as_they_are(two_head_model: mtf.MultiTaskModel) -> None:
    plain, balanced = (
        mtf.evaluate(two_head_model, {"classifier": mtf.Task(eval=ROWS, sampling=how)})
        for how in ("rows", "balanced")
    )
    assert plain["eval_classifier_accuracy"] == balanced["eval_classifier_accuracy"]
