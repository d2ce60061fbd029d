# SPDX-License-Identifier: Apache-2.0
"""Candidates that train long race on pilots, and what is chosen is trained on all rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.job_file import job_of, job_text
from mtfreeze.comparing.race_data import held_out
from mtfreeze.comparing.repeat import python_call
from support.made_up_comparisons import SCENARIOS, comparison
from support.small_tasks import ROWS

MANY = [row for _ in range(13) for row in ROWS]
SETTINGS: dict[str, Any] = {"epochs": 1, "batch_size": 1, "start": "cold", "progress": False}


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with one head."""
    return tiny_model.add_head("mood", mtf.SequenceClassification(["negative", "positive"]))


def tasks(n_rows: int) -> dict[str, mtf.Task]:
    """Return one task with so many training rows and 50 to judge by."""
    return {"mood": mtf.Task((MANY * 10)[:n_rows], MANY[:50])}


def test_the_chosen_one_alone_is_trained_on_all_rows(
    model: mtf.MultiTaskModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    race = mtf.Race(pilot_steps=40, rows=40)
    settings = {**SETTINGS, "modes": ["backbone", "none"], "race": race}
    given = tasks(400)
    found = mtf.compare(
        model, given, output_dir=tmp_path / "kept", **{**settings, "progress": True}
    )
    out = capsys.readouterr().out
    assert "race: on pilots first, whole schedules of about 40 steps over 40 of 400 rows" in out
    assert found.pilots is not None and found.race is found.pilots.race
    entries = found.race.entries
    assert {one.n_steps for one in entries.values()} == {40}
    assert found.scenarios == ["majority", "start", found.race.chosen]
    run = found.runs[-1]
    alone = mtf.compare(
        model, given, **{**settings, "modes": [found.race.chosen], "race": False}, seeds=1
    )
    assert run.tasks["mood"].metrics == alone.runs[-1].tasks["mood"].metrics
    assert any(line.startswith("race: on pilots") for line in found.sentences())
    again = mtf.Comparison.load(tmp_path / "kept")
    assert again.race is not None and again.race.chosen == found.race.chosen
    assert again.n_missing == 0 and not again.interrupted
    for one in (found, again):  # whoever repeats it repeats the race
        job = job_of(one.settings)
        assert job is not None
        assert (job["modes"], job["race"]) == (["backbone", "none"], race.to_dict())
        assert list(job["data"]["mood"]) == ["train", "eval"]
        assert "# That is the race on pilots" in (job_text(one.settings) or "")
        assert "pilot_steps=40" in python_call(one.settings)


def test_a_teacher_teaches_pilots_their_own_rows(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.comparing import compare as module

    class Reached(Exception):
        """Pilots begin."""

    def begin(_: object, pilots: dict[str, mtf.Task], *__: object) -> Any:
        raise Reached(pilots["mood"])

    monkeypatch.setattr(module, "_by_pilots", begin)
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate((MANY * 10)[:400])]
    logits = np.arange(800, dtype=np.float32).reshape(400, 2)
    task = mtf.Task(rows, MANY[:50], loss=mtf.Distillation(logits))
    race = mtf.Race(pilot_steps=40, rows=40)
    with pytest.raises(Reached) as caught:
        mtf.compare(model, {"mood": task}, ["backbone", "none"], race=race, **SETTINGS)
    (pilot,) = caught.value.args
    assert len(pilot.train) == 40
    numbers = [int(row.text.rpartition(" ")[2]) for row in pilot.train]
    assert (pilot.loss.teacher == logits[numbers]).all()


def test_a_teacher_teaches_what_a_race_does_not_hold_out() -> None:
    rows = [(f"{text} {i}", label) for i, (text, label) in enumerate(MANY[:40])]
    logits = np.arange(80, dtype=np.float32).reshape(40, 2)
    found, _ = held_out({"mood": mtf.Task(rows, loss=mtf.Distillation(logits))}, seed=3)
    task: Any = found["mood"]
    numbers = [int(row.text.rpartition(" ")[2]) for row in task.train]
    assert len(numbers) == 30 and len(task.eval) == 10
    assert (task.loss.teacher == logits[numbers]).all()


@pytest.mark.parametrize(
    ("n_rows", "changes"),
    [
        (400, {"race": mtf.Race(pilot_steps=0, rows=40)}),  # none are wanted
        (400, {"race": mtf.Race(pilot_steps=41, rows=40)}),  # they cost more than a tenth
        (320, {"race": mtf.Race(pilot_steps=31, rows=40)}),  # too few rows
        (400, {"race": mtf.Race(pilot_steps=40, rows=40), "epochs": None,
               "freeze_schedule": mtf.FreezeSchedule().phase(freeze="none", steps=400)}),
    ],
)  # fmt: skip
def test_no_pilots_where_they_would_not_pay(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch, n_rows: int, changes: dict[str, Any]
) -> None:
    from mtfreeze.comparing import compare as module

    class Reached(Exception):
        """An ordinary race begins."""

    def begin(*_: object) -> Any:
        raise Reached

    monkeypatch.setattr(module, "first_lines", begin)
    settings = {**SETTINGS, **changes}
    modes: list[Any] = ["backbone", "none"]
    if (schedule := settings.pop("freeze_schedule", None)) is not None:
        modes = ["backbone", ("steps", schedule)]
    with pytest.raises(Reached):
        mtf.compare(model, tasks(n_rows), modes, **settings)


def test_a_mode_keeps_its_look_where_it_alone_is_trained_on_all_rows() -> None:
    pilots = comparison(60, seeds=(0,))
    runs = [run for run in pilots.runs if run.scenario in ("start", "none")]
    found = mtf.Comparison(runs, {**pilots.settings, "modes": [{"name": "none"}]})
    assert found.mode_order == ["none"]
    found.pilots = pilots
    assert found.mode_order == list(SCENARIOS)
