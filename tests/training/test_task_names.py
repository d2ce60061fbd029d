# SPDX-License-Identifier: Apache-2.0
"""A task may have any name that a head may have, that of an argument or of a figure too."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtfreeze as mtf
from support.bits import bits
from support.small_tasks import ROWS

# Arguments of functions that are handed figures by task, and names in rows of the history.
NAMES = [
    *("n", "self", "figures", "cls", "name", "model", "tasks", "seed", "step", "epoch", "phase"),
    *("task", "loss", "clip", "grad_norm", "frozen", "seconds", "train", "eval", "total", "mean"),
    *("weight", "learning_rate", "metrics", "labels", "rows", "words", "text", "progress"),
]


@pytest.mark.parametrize("mixing", ["proportional", "joint"])
def test_any_name_trains_and_comes_back(
    tiny_model: mtf.MultiTaskModel, tmp_path: Path, mixing: str, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = {}
    for name in NAMES:
        tiny_model.add_head(name, mtf.SequenceClassification(["negative", "positive"]))
        tasks[name] = mtf.Task(train=ROWS[:2], eval=ROWS[:2])
    run = mtf.fit(
        tiny_model.freeze("backbone"),
        tasks,
        epochs=1,
        batch_size=2,
        mixing=mixing,
        loss_weighting="uncertainty",
        output_dir=tmp_path / "out",
        save_every="epoch",
    )
    assert "100%" in capsys.readouterr().err
    steps = [row for row in run.history if "task" in row]
    assert [row["step"] for row in steps] == list(range(1, run.n_planned + 1))
    for row in steps:
        parts = row["task"].split("+")
        assert row["epoch"] == row["phase"] == 1
        assert 0 < row["clip"] <= 1 and row["frozen"].startswith("backbone")
        assert row["loss"] == pytest.approx(sum(row[f"{one}_loss"] for one in parts), rel=1e-6)
    assert {f"eval_{name}_accuracy" for name in NAMES} <= set(run.metrics)
    assert set(tiny_model.predict_all(["a film"])) == set(NAMES)
    loaded = mtf.MultiTaskModel.from_pretrained(tmp_path / "out")
    assert bits(loaded.parameters()) == bits(tiny_model.parameters())
