# SPDX-License-Identifier: Apache-2.0
"""A race: who is dropped, that what finishes has the bits of a comparison without one, resuming."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.comparing import worker
from mtfreeze.comparing.race_data import held_out
from support.damaging_runs import damage_checkpoints
from support.small_tasks import ROWS

MANY = [row for _ in range(5) for row in ROWS]
MODES = ["backbone", "backbone[:2]", "none", mtf.BitFit()]
SETTINGS: dict[str, Any] = {"epochs": 4, "batch_size": 10, "learning_rate": 1e-3, "progress": False}
HARSH = mtf.Race(level=0.5, tolerance=0.0)
"""Drops whoever is behind by a row, so that some are dropped on few rows."""


def tasks(**changes: Any) -> dict[str, mtf.Task]:
    """Return one task with 50 rows to judge by."""
    given = {"train": MANY[:20], "eval": MANY, **changes}
    return {"classifier": mtf.Task(**given)}


def raced(model: mtf.MultiTaskModel, modes: Sequence[Any] = MODES, **changes: Any) -> Any:
    """Compare quietly, in a race unless `changes` say otherwise."""
    options = {**SETTINGS, "race": mtf.Race(), **changes}
    model.remove_head("ner_head")
    try:
        return mtf.compare(model, options.pop("tasks", None) or tasks(), modes, **options)
    finally:
        model.add_head("ner_head", mtf.TokenClassification(["O", "B-x"]))


def bits(run: Any) -> list[Any]:
    """Return all that must be equal with a race and without: everything but times and bytes."""
    times = ("seconds", "peak_bytes")
    history = [{k: v for k, v in row.items() if k not in times} for row in run.history]
    scores = {name: (one.metrics, one.counts.tolist()) for name, one in run.tasks.items()}
    return [run.scenario, run.seed, scores, run.drift, history, run.trained, run.frozen_ok]


def test_what_finishes_has_the_bits_of_a_comparison_without_a_race(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    whole = raced(two_head_model, race=False, seeds=1)
    found = raced(two_head_model, race=mtf.Race(level=0.999))
    assert {run.seed for run in found.runs} == {0}
    assert found.scenarios == whole.scenarios  # all went on
    assert [bits(run) for run in found.runs] == [bits(run) for run in whole.runs]
    entries = found.race.entries
    assert [len(one.rungs) for one in entries.values()] == [0, 2, 2, 2]
    assert not entries["backbone"].raced and entries["none"].raced
    steps = [rung.step for rung in entries["none"].rungs]
    assert 0 < steps[0] < steps[1] < entries["none"].n_steps == 20 + 8
    for name in whole.scenarios[2:]:
        assert entries[name].value == whole.figures(name).tasks["classifier"].mean
    assert whole.race is None and "race" not in whole.to_dict()


def test_who_is_behind_is_dropped_and_does_not_train_on(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    found = raced(two_head_model, race=HARSH, output_dir=tmp_path / "out")
    race = found.race
    dropped = [name for name, one in race.entries.items() if one.dropped_at is not None]
    assert dropped and race.chosen not in dropped
    assert "backbone" not in dropped  # heads are paid for
    for name in dropped:
        entry = race.entries[name]
        assert name not in found.scenarios and not entry.finished
        last = entry.rungs[-1]
        assert entry.dropped_at == last.step < entry.n_steps
        assert last.verdict.dropped and "behind" in entry.why
        assert 0 < entry.seconds < entry.full_seconds
    assert found.n_missing == 0 and not found.interrupted
    assert min(race.spent_seconds, race.full_seconds) > 0
    assert not list((tmp_path / "out" / "runs").iterdir())  # no checkpoint is left
    text = str(found)
    assert f"race: {race.chosen} is chosen" in text
    assert f"dropped at step {race.entries[dropped[0]].dropped_at}" in text
    assert "% of about" in text


def test_the_folder_holds_the_race(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    out = tmp_path / "out"
    found = raced(two_head_model, race=HARSH, output_dir=out)
    values = found.race.to_dict()
    assert json.loads(json.dumps(values)) == values
    assert mtf.Comparison.load(out).race.to_dict() == values
    assert found.to_dict()["race"] == values
    again = raced(two_head_model, race=HARSH, output_dir=out)
    assert again.race.to_dict() == values  # nothing ran again: the times are the same
    page = found.to_html(tmp_path / "report.html").read_text("utf-8")
    assert "The race" in page and "mtf.Race(" in page
    # Without a race the same folder becomes a whole comparison.
    whole = raced(two_head_model, race=False, seeds=1, output_dir=out)
    assert whole.race is None and len(whole.scenarios) == 2 + len(MODES)
    assert mtf.Comparison.load(out).race is None


@pytest.mark.long
def test_goes_on_after_ctrl_c(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = raced(two_head_model, race=HARSH)
    out, calls = tmp_path / "out", [0]
    fit = worker.fit

    def interrupted(*given: Any, **named: Any) -> Any:
        calls[0] += 1
        run = fit(*given, **named)
        if calls[0] == 5:  # a rung
            raise worker.Interrupted("Ctrl-C ended the comparison; call it again to go on")
        return run

    monkeypatch.setattr(worker, "fit", interrupted)
    cut = raced(two_head_model, race=HARSH, output_dir=out)
    assert cut.interrupted and cut.race.chosen is None
    assert "is not over" in str(cut)
    assert list((out / "runs").iterdir())
    monkeypatch.setattr(worker, "fit", fit)
    done = raced(two_head_model, race=HARSH, output_dir=out)
    assert [bits(run) for run in done.runs] == [bits(run) for run in whole.runs]
    assert done.race.chosen == whole.race.chosen
    assert not list((out / "runs").iterdir())


@pytest.mark.long
def test_a_damaged_checkpoint_costs_its_steps_alone(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = raced(two_head_model, ["none"])
    damage_checkpoints(tmp_path / "out", monkeypatch)
    found = raced(two_head_model, ["none"], output_dir=tmp_path / "out")
    assert not found.failed
    assert [bits(run) for run in found.runs] == [bits(run) for run in whole.runs]


@pytest.mark.long
def test_further_seeds_are_for_those_that_finished(two_head_model: mtf.MultiTaskModel) -> None:
    found = raced(two_head_model, race=HARSH, seeds=2)
    dropped = {name for name, one in found.race.entries.items() if one.dropped_at is not None}
    left = [name for name in found.race.entries if name not in dropped]
    assert dropped
    ran = [(run.scenario, run.seed) for run in found.runs if run.scenario in found.race.entries]
    assert ran == [(name, seed) for name in left for seed in (0, 1)]
    assert found.n_missing == 0


class Failing(Executor):
    """Runs jobs here, but those of one scenario that pause fail as a full disk does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def submit(self, function: Any, /, *given: Any, **named: Any) -> Future[Any]:
        """Run at once."""
        done: Future[Any] = Future()
        if given[1] == self.name and given[4] is not None:
            done.set_exception(OSError(28, "No space left on device"))
        else:
            done.set_result(function(*given, **named))
        return done


def test_a_candidate_that_fails_is_reported_and_the_others_go_on(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    found = raced(two_head_model, executor=Failing("none"), race=mtf.Race(level=0.999))
    assert list(found.failed) == ["none"] and "No space left" in found.race.entries["none"].error
    assert "none failed: at step" in str(found)
    assert found.race.chosen is not None and found.race.entries["backbone[:2]"].finished


@pytest.mark.long
def test_same_bits_on_an_executor(two_head_model: mtf.MultiTaskModel) -> None:
    here = raced(two_head_model, race=HARSH)
    with ThreadPoolExecutor(1) as executor:
        there = raced(two_head_model, race=HARSH, executor=executor)
    assert [bits(run) for run in there.runs] == [bits(run) for run in here.runs]
    assert list(there.race.entries) == list(here.race.entries)
    for name, one in here.race.entries.items():
        assert there.race.entries[name].rungs == one.rungs


def test_drawn_rows_judge_all_alike(two_head_model: mtf.MultiTaskModel) -> None:
    """Of 60 rows 40 judge; heads that ran whole at once are scored on the same ones."""
    race = mtf.Race(rows=40, level=0.999)
    rows = [*MANY, *MANY[:10]]
    found = raced(two_head_model, ["backbone", "none"], race=race, tasks=tasks(eval=rows))
    assert found.race.n_rows == {"classifier": 40}
    rung = found.race.entries["none"].rungs[0].verdict.tasks["classifier"]
    assert rung.n_rows == 40
    assert len(found.runs[-1].tasks["classifier"].counts) == 60


def test_a_task_without_evaluation_rows_holds_out_a_quarter(
    two_head_model: mtf.MultiTaskModel, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [row for _ in range(4) for row in MANY]
    given = tasks(train=rows, eval=None)
    found = raced(
        two_head_model, ["backbone", "none"], tasks=given, epochs=1, batch_size=50, progress=True
    )
    assert found.settings["tasks"]["classifier"]["train"] == 150
    assert found.settings["tasks"]["classifier"]["eval"] == 50
    said = capsys.readouterr().out
    assert "50 of its 200 training rows, drawn by label, are held out" in said
    assert "fewer than 300 widen the intervals" in said
    assert given["classifier"].eval is None  # the caller's task is as it was
    first, _ = held_out(given, 0)
    second, _ = held_out(given, 1)
    one, other = first["classifier"].eval, second["classifier"].eval
    assert one is not None and other is not None
    assert one.labels() == other.labels()


SAME = [(text, "positive") for text, _ in MANY]


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"tasks": tasks(eval=MANY[:39])}, mtf.DataError, "at least 40 evaluation rows"),
        ({"tasks": tasks(eval=SAME)}, mtf.DataError, "with the same one"),
        ({"race": 3}, TypeError, r"mtf.Race\("),
        ({"race": {"tolerence": 0.1}}, TypeError, "tolerance"),
        ({"race": {"rungs": [0.5, 0.25]}}, mtf.ConfigError, "each above the one before"),
        ({"race": {"rungs": [1.0]}}, mtf.ConfigError, "below 1"),
        ({"race": {"rungs": []}}, mtf.ConfigError, "one fraction or more"),
        ({"race": {"rows": 39}}, mtf.ConfigError, "at least 40"),
        ({"race": {"level": 1}}, mtf.ConfigError, "level must be below 1"),
        ({"race": {"tolerance": -1}}, mtf.ConfigError, "tolerance"),
    ],
)  # fmt: skip
def test_bad_input_is_said_before_anything_runs(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, changes: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        raced(two_head_model, output_dir=tmp_path / "out", **changes)
    assert not (tmp_path / "out").exists()
