# SPDX-License-Identifier: Apache-2.0
"""The row `start` beside modes whose backbone is frozen whole: what is compared with what."""

from __future__ import annotations

from typing import Any

import numpy as np

import mtfreeze as mtf
from mtfreeze.comparing.comparison import Comparison
from mtfreeze.comparing.results import START, ScenarioRun, TaskScore
from support.small_tasks import two_tasks


def compared(model: mtf.MultiTaskModel, modes: list[str], epochs: int) -> mtf.Comparison:
    settings: dict[str, Any] = {"batch_size": 4, "learning_rate": 1e-3, "progress": False}
    return mtf.compare(model, two_tasks(), modes, seeds=1, epochs=epochs, **settings)


def test_heads_that_train_less_than_those_of_the_start_are_said(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    found = compared(two_head_model, ["backbone", "none"], 2)
    steps = {run.scenario: sum("task" in row for row in run.history) for run in found.runs}
    assert 0 < steps["backbone"] < steps["start"]
    (said,) = [one for one in found.sentences() if "of the heads, fewer" in one]
    assert said.startswith(f"backbone: {steps['backbone']} steps") and str(steps["start"]) in said
    factor = int(said.split("; ")[1].split()[0])
    assert steps["backbone"] * factor >= steps["start"] > steps["backbone"] * (factor - 1)
    shown = " ".join(str(found).split())
    assert said in shown
    long = compared(two_head_model, ["backbone"], 2 * factor)
    assert not [one for one in long.sentences() if "of the heads, fewer" in one]


def made_up(wrong: dict[str, int], steps: dict[str, int], start: str = "heads") -> Comparison:
    """Return a comparison of texts from how many of 200 answers are wrong, and steps, by row."""

    def run(name: str, n_wrong: int) -> ScenarioRun:
        right = np.roll(np.arange(200) >= n_wrong, 50 * list(wrong).index(name))
        counts = np.stack([np.ones(200, int), right], axis=1)
        found = {"accuracy": 1 - n_wrong / 200}
        score = TaskScore("sequence", "accuracy", ("no", "yes"), counts, found)
        rows = [{"task": "texts", "step": k, "epoch": 1 + k // 3} for k in range(steps[name])]
        n = {START: 770 * bool(steps[START]), "none": 9000}.get(name, 770)
        return ScenarioRun(
            name, 0, {"texts": score}, ("texts",), parameters_trained=n, history=rows
        )

    modes = [{"name": name} for name in wrong if name != START]
    settings = {"modes": modes, "seeds": [0], "tasks": {"texts": {}}, "start": start}
    return Comparison([run(*row) for row in wrong.items()], settings)


def test_heads_that_learned_too_little_are_said_before_the_table() -> None:
    wrong = {START: 40, "backbone": 100, "none": 38}
    found = made_up(wrong, {START: 30, "backbone": 9, "none": 9})
    (said,) = found.first_sentences()
    assert said.startswith("backbone: the heads learned too little")
    assert "9 steps" in said and "30" in said and "4 times as many epochs (21 more steps)" in said
    assert " ".join(str(found).split()).startswith(said)
    assert found.table()._repr_html_().startswith("<p>backbone: the heads")
    assert found.sentences().count(said) == 1 and "fewer than" not in "".join(found.sentences())
    as_good = made_up(wrong | {"backbone": 41}, {START: 30, "backbone": 9, "none": 9})
    assert as_good.first_sentences() == [] and "fewer than the 30" in "".join(as_good.sentences())
    long = made_up(wrong, {START: 30, "backbone": 30, "none": 9})
    assert long.first_sentences() == []


def test_cold_heads_that_learned_nothing_are_said_before_the_table() -> None:
    wrong, few = {START: 90, "backbone": 85, "none": 95}, {START: 0, "backbone": 9, "none": 9}
    (said,) = made_up(wrong, few, "cold").first_sentences()
    assert said.startswith("nothing learned shows") and "about 30 steps and had 9" in said
    assert "4 times as many epochs (21 more steps)" in said
    assert made_up(wrong | {"none": 20}, few, "cold").first_sentences() == []
    assert made_up(wrong, few | {"none": 60}, "cold").first_sentences() == []
    assert made_up(wrong, few).first_sentences() == []  # heads that were trained before
