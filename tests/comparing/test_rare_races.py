# SPDX-License-Identifier: Apache-2.0
"""Races off the beaten track: what is left on disk, warm-up of later phases, words, Ctrl-C."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.comparing import worker
from mtfreeze.comparing.arguments import check_plans, take_start
from mtfreeze.comparing.comparison_folder import ComparisonFolder
from mtfreeze.comparing.race_data import check_judges, going_on, with_legs
from mtfreeze.comparing.race_plan import race_facts
from mtfreeze.comparing.race_result import NeedsMore, RaceEntry, RaceResult, _whole_seconds
from mtfreeze.comparing.race_settings import Candidate, read_race
from mtfreeze.comparing.race_words import race_sentences
from mtfreeze.comparing.scenarios import read_modes
from support.damaging_runs import damage_checkpoints
from support.made_up_comparisons import World, runs
from support.small_tasks import ROWS
from support.texts import TAGGED

MANY = [row for _ in range(10) for row in ROWS]
SETTINGS: dict[str, Any] = {"epochs": 1, "batch_size": 10, "start": "cold", "progress": False}


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with one head."""
    return tiny_model.add_head("mood", mtf.SequenceClassification(["negative", "positive"]))


def entry(name: str, **changes: Any) -> RaceEntry:
    """Return what a candidate became that ran to its end, or as `changes` say."""
    made = RaceEntry(name, 40, True, (), None, "", {"mood": 0.5}, {}, 1.0, 1.0, 2.0)
    return replace(made, **changes)


def result(**changes: Any) -> RaceResult:
    """Return a race of two candidates, the first of them chosen."""
    entries = {name: entry(name) for name in ("one", "other")}
    return replace(RaceResult("one", (), entries, {"mood": 50}, 0.01, (), 4.0, 8.0), **changes)


def test_true_means_a_race_as_it_is_by_default() -> None:
    assert read_race(True) == mtf.Race()
    assert read_race(False) is None is read_race(None)


def test_the_earlier_name_of_start_does_not_contradict_it() -> None:
    with (
        pytest.warns(DeprecationWarning),
        pytest.raises(mtf.ConfigError, match="says start='cold'"),
    ):
        take_start({"warm_start": None}, {"epochs": 1})


def test_tags_that_are_all_alike_can_still_judge(two_head_model: mtf.MultiTaskModel) -> None:
    """One row of tags has many answers; one text has one."""
    tagged = {"ner_head": mtf.Task(TAGGED, [TAGGED[0]] * 40)}
    check_judges(two_head_model, tagged)
    same = {"classifier": mtf.Task(ROWS, [ROWS[0]] * 40)}
    with pytest.raises(mtf.DataError, match="found all 40 rows of 'classifier'"):
        check_judges(two_head_model, same)


def test_a_checkpoint_beyond_a_rung_goes(tmp_path: Path) -> None:
    """It is of rungs that lay elsewhere, and would be scored as if it were of this one."""
    kept = tmp_path / "checkpoints" / "step-00000020"
    kept.mkdir(parents=True)
    assert going_on(tmp_path, 20)["stop_after_steps"] == 20 and kept.is_dir()
    going_on(tmp_path, 19)
    assert not kept.exists()


def test_without_a_race_no_leg_is_added(tmp_path: Path) -> None:
    run = runs(World())[0]
    place = ComparisonFolder(tmp_path)
    place.keep_race(None)
    assert with_legs(run, place) is run


def test_no_rung_lies_in_the_warm_up_of_a_later_phase(model: mtf.MultiTaskModel) -> None:
    schedule = mtf.FreezeSchedule().phase(freeze="backbone", steps=10)
    schedule = schedule.phase(freeze="none", steps=30, warmup_steps=5)
    given = {"mood": mtf.Task(MANY, MANY[:50])}
    settings = {"batch_size": 10, "start": "cold"}
    plans = check_plans(model, given, {}, read_modes(model, [("late", schedule)], None), settings)
    race = mtf.Race(rungs=(0.2, 0.3, 0.5), rows=40)
    steps = race_facts(model, given, race, plans, 0).candidates["late"].steps
    assert steps == (8, 15, 20)  # 12 would be the second step of the warm-up, 11 to 15


def test_a_run_without_steps_of_its_own_takes_what_it_took() -> None:
    run = replace(
        runs(World())[0], seconds=3.0, history=[{"task": "mood", "step": 2, "seconds": 1.0}]
    )
    assert _whole_seconds(run, Candidate(10, 2, (2,))) == 3.0
    assert _whole_seconds(run, Candidate(10, 0, (2,))) == 10.0


def test_words_of_a_race() -> None:
    assert (
        "chose nobody"
        in race_sentences(
            result(chosen=None, entries={"one": entry("one", values={}, error="no room")})
        )[0]
    )
    assert "is not over" in race_sentences(result(chosen=None))[0]
    needs = NeedsMore("mood", ("other",), 50, 0, 0)
    for rows, seeds, words in [
        (0, 0, "mood: other cannot be told apart from one at 50 rows with one seed; others may"),
        (900, 0, "at 50 rows; 1 point needs about 900 rows"),
        (900, 4, "needs about 900 rows or 4 seeds"),
    ]:
        said = race_sentences(result(needs=(replace(needs, rows=rows, seeds=seeds),)))
        assert any(words in line for line in said), said


def test_a_race_prints_and_draws_itself(tmp_path: Path) -> None:
    race = result(table=("one  chosen",), sentences=("race: one is chosen",))
    assert str(race) == "one  chosen\n\nrace: one is chosen"
    assert race.value_words == "value"
    assert result(n_rows={"mood": 50, "tags": 50}).value_words == "mean over tasks"
    assert "one" in race.plot(tmp_path / "race.svg").read_text("utf-8")


def test_ctrl_c_among_pilots_is_the_end(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> Any:
        raise worker.Interrupted("Ctrl-C ended the comparison; call it again to go on")

    monkeypatch.setattr(worker, "fit", interrupted)
    tasks = {"mood": mtf.Task(MANY * 4, MANY[:50])}
    settings = {**SETTINGS, "batch_size": 1, "race": mtf.Race(pilot_steps=40, rows=40)}
    found = mtf.compare(model, tasks, ["none"], **settings)
    assert found.interrupted and found.pilots is None
    assert found.settings["tasks"]["mood"]["train"] == 40  # nothing ran over all 400 rows


def test_a_damaged_checkpoint_costs_its_steps_alone(
    model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = {"mood": mtf.Task(MANY[:30], MANY[:50])}
    settings = {**SETTINGS, "race": mtf.Race(rungs=(0.5,), rows=50), "learning_rate": 1e-3}
    whole = mtf.compare(model, tasks, ["none"], **settings)
    damage_checkpoints(tmp_path / "out", monkeypatch)
    found = mtf.compare(model, tasks, ["none"], output_dir=tmp_path / "out", **settings)
    assert not found.failed and found.runs[-1].scenario == "none"
    assert found.runs[-1].tasks["mood"].metrics == whole.runs[-1].tasks["mood"].metrics


def test_what_fit_refuses_ends_a_run_that_has_not_begun(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a checkpoint there is nothing that could be damaged."""

    def refused(*_: Any, **__: Any) -> Any:
        raise mtf.ConfigError("no such setting")

    monkeypatch.setattr(worker, "fit", refused)
    tasks = {"mood": mtf.Task(MANY[:20], MANY[:20])}
    found = mtf.compare(model, tasks, ["none"], seeds=1, **SETTINGS)
    assert "no such setting" in found.failed["none"]
