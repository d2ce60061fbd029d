# SPDX-License-Identifier: Apache-2.0
"""Mixing as a run shows it: which task each step trains, and what joint steps add up to."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data import IGNORE
from mtfreeze.steps.by_hand import make_batch
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import LABELS, TAGGED


def tasks_of(run: Any) -> list[str]:
    return [row["task"] for row in run.history if "task" in row]


def test_proportional_takes_every_batch_once_an_epoch(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(two_head_model, mixing="proportional")
    epochs = [[row["task"] for row in run.history if row.get("task") and row["epoch"] == e]
              for e in (1, 2)]  # fmt: skip
    # 10 rows and 5 rows in batches of 4: 3 and 2 batches, the short ones kept.
    assert [Counter(names) for names in epochs] == [{"classifier": 3, "ner_head": 2}] * 2
    rows = [row for row in run.history if "task" in row]
    assert sum(row["n_sequences"] for row in rows) == 2 * (len(ROWS) + len(TAGGED))


def test_round_robin_alternates_and_starts_over(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(two_head_model, mixing="round_robin")
    assert tasks_of(run) == ["classifier", "ner_head"] * 6


def test_joint_takes_a_batch_of_every_task(two_head_model: mtf.MultiTaskModel) -> None:
    run = quick_fit(two_head_model, mixing="joint")
    rows = [row for row in run.history if "task" in row]
    assert [row["task"] for row in rows] == ["classifier+ner_head"] * 6
    assert rows[0]["n_sequences"] == 8
    for row in rows:
        assert row["loss"] == pytest.approx(row["classifier_loss"] + row["ner_head_loss"])


def test_joint_loss_is_the_weighted_sum(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = two_tasks(weight=0.25)
    run = quick_fit(two_head_model, tasks, mixing="joint")
    for row in run.history:
        if "task" in row:
            expected = 0.25 * row["classifier_loss"] + row["ner_head_loss"]
            assert row["loss"] == pytest.approx(expected, rel=1e-12)


def test_rows_with_several_labels_are_encoded_once(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [
        {"words": words, "labels": {"classifier": label, "ner_head": tags}}
        for (words, tags), label in zip(TAGGED, LABELS, strict=False)
    ]
    tasks = {name: mtf.Task(train=rows) for name in ("classifier", "ner_head")}
    shared = quick_fit(two_head_model.copy(), tasks, mixing="joint", batch_size=5, epochs=1)
    step = shared.history[0]
    assert step["task"] == "classifier+ner_head"
    assert step["n_sequences"] == 5  # not 10: each row went through the backbone once
    assert step["classifier_loss"] > 0
    assert step["ner_head_loss"] > 0


def test_partly_labelled_rows_train_what_they_have(two_head_model: mtf.MultiTaskModel) -> None:
    rows: list[dict[str, Any]] = [
        {"words": words, "labels": {"ner_head": tags}} for words, tags in TAGGED
    ]
    rows[0]["labels"]["classifier"] = "positive"
    tasks = {name: mtf.Task(train=rows) for name in ("classifier", "ner_head")}
    labels = {one.head: one.targets for one in make_batch(two_head_model, tasks).losses}
    assert labels["classifier"].tolist() == [1, IGNORE, IGNORE, IGNORE, IGNORE]
    assert (labels["ner_head"] != IGNORE).sum() == sum(len(words) for words, _ in TAGGED)
    only = quick_fit(two_head_model, {"classifier": mtf.Task(train=rows)}, batch_size=5, epochs=1)
    assert only.history[0]["n_sequences"] == 1


def test_order_of_one_task_does_not_depend_on_another(two_head_model: mtf.MultiTaskModel) -> None:
    both = quick_fit(two_head_model.copy(), mixing="round_robin", epochs=1)
    alone = quick_fit(
        two_head_model.copy(),
        {"classifier": two_tasks()["classifier"]},
        mixing="round_robin",
        epochs=1,
    )
    tokens = [row["n_tokens"] for row in both.history if row.get("task") == "classifier"]
    assert tokens == [row["n_tokens"] for row in alone.history if "task" in row]


def test_seed_changes_the_order(two_head_model: mtf.MultiTaskModel) -> None:
    runs = [quick_fit(two_head_model.copy(), seed=seed, epochs=4) for seed in (0, 1)]
    tokens = [[row["n_tokens"] for row in run.history if "task" in row] for run in runs]
    assert tokens[0] != tokens[1]
    assert sum(tokens[0]) == sum(tokens[1])


@pytest.mark.parametrize("mixing", ["proportional", "round_robin"])
def test_weights_are_said_to_act_through_clipping(
    two_head_model: mtf.MultiTaskModel, mixing: str
) -> None:
    notes = quick_fit(two_head_model, two_tasks(weight=2.0), mixing=mixing).notes
    assert any("loss weights act mostly through clipping" in note for note in notes)


def test_joint_and_equal_weights_say_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    weighted = quick_fit(two_head_model, two_tasks(weight=2.0), mixing="joint", epochs=1)
    equal = quick_fit(two_head_model, epochs=1)
    for run in (weighted, equal):
        assert not any("clipping" in note for note in run.notes)


def test_joint_step_equals_the_sum_of_gradients(two_head_model: mtf.MultiTaskModel) -> None:
    """A joint step's gradient is the sum of what each task gives alone (dropout off)."""
    model = two_head_model
    batch = {"classifier": ROWS[:3], "ner_head": TAGGED[:2]}
    together = model.gradients(batch)
    single = [model.gradients({name: rows}) for name, rows in batch.items()]
    for key, value in together.items():
        parts = [one[key] for one in single if key in one]
        assert np.abs(value - sum(parts)).max() <= 1e-5 * max(1e-3, np.abs(value).max()), key
