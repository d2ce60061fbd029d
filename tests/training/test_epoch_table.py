# SPDX-License-Identifier: Apache-2.0
"""The table that grows while a run trains."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtfreeze as mtf
from support.detection import detector, scenes, write_detr_folder
from support.small_tasks import fresh, quick_fit


def rows_of(said: str) -> list[list[str]]:
    """Return the rows of the table, and its names, as words."""
    lines = [line.split() for line in said.splitlines()]
    return [line for line in lines if line[:1] == ["epoch"] or (line and all(map(is_number, line)))]


def is_number(word: str) -> bool:
    return word.replace(".", "", 1).isdigit()


def test_a_row_an_epoch_with_the_figures_of_the_history(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    two_head_model.freeze("backbone")
    run = quick_fit(two_head_model, epochs=3, progress=True, eval_every="epoch")
    names, *rows = rows_of(capsys.readouterr().out)
    assert " ".join(names).startswith("epoch step train loss classifier loss classifier accuracy")
    assert [row[:2] for row in rows] == [["1", "5"], ["2", "10"], ["3", "15"]]
    for at, row in enumerate(rows, start=1):
        losses = [one["loss"] for one in run.history if "loss" in one and one["epoch"] == at]
        (found,) = [one for one in run.history if one["step"] == at * 5 and "loss" not in one]
        shown = [sum(losses) / 5, found["eval_classifier_loss"], found["eval_classifier_accuracy"]]
        assert row[2:5] == [f"{value:.4f}" for value in shown]


def test_epochs_without_an_evaluation_have_their_loss_alone(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    two_head_model.freeze("backbone")
    quick_fit(two_head_model, epochs=2, progress=True)
    _, first, last = rows_of(capsys.readouterr().out)
    assert (len(first), first[:2], last[:2]) == (4, ["1", "5"], ["2", "10"])
    assert len(last) > len(first)


def test_a_run_that_goes_on_goes_on_with_the_table(
    tiny_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    how = {"epochs": 2, "eval_every": 3, "output_dir": tmp_path / "out", "start": "cold"}
    quick_fit(fresh(tiny_folder), **how)
    model = fresh(tiny_folder)
    how["output_dir"] = tmp_path / "paused"
    quick_fit(model, stop_after_steps=4, progress=True, **how)
    before = rows_of(capsys.readouterr().out)
    quick_fit(fresh(tiny_folder), resume=True, progress=True, **how)
    after = rows_of(capsys.readouterr().out)
    assert before[0] == after[0]
    assert [row[:2] for row in before[1:]] == [["1", "3"]]
    assert [row[:2] for row in after[1:]] == [["1", "5"], ["2", "6"], ["2", "9"], ["2", "10"]]


def test_each_phase_begins_with_the_names(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    schedule = mtf.FreezeSchedule().phase(epochs=1, train="heads").phase(epochs=1, train="all")
    quick_fit(two_head_model, epochs=None, freeze_schedule=schedule, progress=True)
    lines = capsys.readouterr().out.splitlines()
    for number in (1, 2):
        at = next(i for i, line in enumerate(lines) if line.startswith(f"phase {number}/2"))
        assert lines[at + 1].split()[0] == "epoch"


def test_figures_of_boxes_are_called_as_in_tables_of_comparisons(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = detector(write_detr_folder(tmp_path / "detr")).freeze("backbone")
    tasks = {"shapes": mtf.Task(train=scenes(4), eval=scenes(4, 1), metric="map_50")}
    settings = {"epochs": 1, "batch_size": 4, "start": "cold", "learning_rate": 1e-9}
    run = mtf.fit(model, tasks, eval_every="epoch", **settings)
    names, row = rows_of(capsys.readouterr().out)
    assert " ".join(names).endswith("shapes mAP at 0.5 seconds") and len(row) == 6
    assert run.metrics["eval_shapes_map_50"] == 0.0
    assert "shapes: mAP at 0.5 0.000 is no better than" in run.doubts[-1].text
    mtf.compare(model, tasks, ["backbone"], seeds=1, **settings)
    said = capsys.readouterr().out
    assert "shapes mAP at 0.5 0.000" in said and "map_50" not in said
