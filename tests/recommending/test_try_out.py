# SPDX-License-Identifier: Apache-2.0
"""Advice that is tried out: the winner of a race is advised, within a budget, and pins hold."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.recommending import adviser
from mtfreeze.recommending.candidates import Candidate
from support.small_tasks import ROWS

MANY = [row for _ in range(4) for row in ROWS]


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with one head."""
    return tiny_model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))


@pytest.fixture(autouse=True)
def few_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave three candidates, so that the race is short."""
    make = adviser.candidates_for

    def three(*given: Any) -> dict[str, Candidate]:
        found = make(*given)
        return {name: found[name] for name in ("heads", "lora", "none")}

    monkeypatch.setattr(adviser, "candidates_for", three)


def three_of(model: mtf.MultiTaskModel) -> list[Candidate]:
    """Return the three, for runs of one epoch."""
    return list(adviser.candidates_for(model, 1).values())


def test_the_winner_is_advised(model: mtf.MultiTaskModel) -> None:
    tasks = {"classifier": mtf.Task(MANY, MANY)}
    advice = mtf.recommend(model, tasks, try_out=True, tolerance=0.0, progress=False)
    race = advice.race
    assert race is not None and list(race.entries) == ["heads", "lora", "none"]
    assert advice.name == race.chosen
    assert advice.seconds == race.entries[advice.name].seconds
    best = max(one.value for one in race.entries.values() if one.finished)
    assert race.entries[advice.name].value == best
    assert advice.reasons[0].sentence.startswith("In the race ")
    text = str(advice)
    assert f"race: {advice.name} is chosen" in text and "[measured here]" in text
    assert {one.name for one in advice.alternatives} == {
        name for name, one in race.entries.items() if one.finished and name != advice.name
    }
    assert {one.name: one.first_call for one in advice.alternatives}.get("lora", "(") != ""
    values = advice.to_dict()
    assert json.loads(json.dumps(values))["race"] == race.to_dict()
    if advice.first_call:
        exec(advice.first_call, {"model": model})
    run = mtf.fit(
        model, tasks, freeze_schedule=advice.schedule, progress=False, **advice.fit_arguments
    )
    assert run.verify_frozen()
    # What fit gives is what the race scored.
    value = run.metrics["eval_classifier_accuracy"]
    assert value == race.entries[advice.name].values["classifier"]


def test_without_try_out_nothing_trains(model: mtf.MultiTaskModel) -> None:
    advice = mtf.recommend(model, {"classifier": mtf.Task(MANY, MANY)}, progress=False)
    assert advice.race is None and "race" not in advice.to_dict()


def test_what_is_pinned_stays_frozen_in_the_race(model: mtf.MultiTaskModel) -> None:
    """With the whole backbone pinned all candidates train heads alone, and one is left of them."""
    model.freeze("backbone")
    tasks = {"classifier": mtf.Task(MANY, MANY)}
    advice = mtf.recommend(model, tasks, try_out=True, progress=False)
    assert advice.race is not None
    assert not any(one.raced for one in advice.race.entries.values())
    assert advice.name == "heads"


def test_a_budget_leaves_out_what_takes_longer(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.recommending import budget

    class Priced:
        memory, doubts = None, ()

        def __init__(self, seconds: float) -> None:
            self.seconds = seconds

    def price(model: Any, tasks: Any, *, freeze_schedule: Any, **settings: Any) -> Priced:
        whole = "backbone" in str(freeze_schedule.to_dict()["phases"][0]["freeze"])
        return Priced(1.0 if whole and model.adapter is None else 100.0)

    monkeypatch.setattr(budget, "estimate", price)
    tasks = {"classifier": mtf.Task(MANY, MANY)}
    advice = mtf.recommend(model, tasks, 50.0, try_out=True, progress=False)
    assert advice.race is not None and list(advice.race.entries) == ["heads"]
    assert advice.notes[0].startswith("lora did not race: about 100.0 s")
    assert advice.notes[1].startswith("none did not race: about 100.0 s")
    with pytest.raises(mtf.ConfigError, match=r"allows no candidate.*cheapest is heads"):
        mtf.recommend(model, tasks, 0.5, try_out=True, progress=False)


def test_too_few_rows_to_judge_by(model: mtf.MultiTaskModel) -> None:
    tasks = {"classifier": mtf.Task(MANY, MANY[:30])}
    with pytest.raises(mtf.DataError, match="at least 40 evaluation rows"):
        mtf.recommend(model, tasks, try_out=True, progress=False)


@pytest.mark.parametrize(
    ("changes", "error"),
    [({"try_out": 3}, TypeError), ({"try_out": True, "tolerance": 2.0}, mtf.ConfigError)],
)
def test_bad_settings_are_said(model: mtf.MultiTaskModel, changes: Any, error: Any) -> None:
    with pytest.raises(error, match=r"try_out|tolerance"):
        mtf.recommend(model, {"classifier": mtf.Task(MANY)}, progress=False, **changes)


def test_what_does_not_fit_does_not_race(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.recommending import budget, try_out

    def price(model: Any, tasks: Any, **settings: Any) -> Any:
        if model.adapter is not None:
            raise MemoryError("memory: training does not fit: needs 9 GB of 1 GB free")
        return SimpleNamespace(seconds=1.0, memory=None, doubts=())

    given = three_of(model), {"epochs": 1}
    tasks = {"classifier": mtf.Task(MANY, MANY)}
    monkeypatch.setattr(budget, "estimate", price)
    kept, left = try_out._within(budget.Limits(50.0), model, tasks, *given)
    assert [one.name for one in kept] == ["heads", "none"]
    assert left == ["lora did not race: training does not fit: needs 9 GB of 1 GB free"]
    lora = [one for one in given[0] if one.name == "lora"]
    with pytest.raises(MemoryError, match=r"^lora did not race: training does not fit"):
        try_out._within(budget.Limits(50.0), model, tasks, lora, {})


def test_no_more_is_priced_than_is_shown(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mtfreeze.recommending import budget
    from mtfreeze.runtime.progress import Reporter

    priced: list[str] = []

    def price(_: Any, __: Any, one: Candidate, *___: Any) -> budget.Priced:
        priced.append(one.name)
        return budget.Priced(one, SimpleNamespace(seconds=1.0))  # type: ignore[arg-type]

    monkeypatch.setattr(budget, "price", price)
    ranked = three_of(model)
    found = budget.choose(model, {}, ranked, {}, budget.Limits(), 1, Reporter(False))
    assert priced == ["heads", "lora"] and found.chosen.candidate is ranked[0]
    assert [one.candidate.name for one in found.others] == ["lora"]


@pytest.mark.parametrize(
    ("failed", "message"),
    [({"heads": "no room"}, "found none: heads: no room;"), ({}, "found none: Ctrl-C ended it;")],
)
def test_a_race_that_nobody_finishes(
    model: mtf.MultiTaskModel,
    monkeypatch: pytest.MonkeyPatch,
    failed: dict[str, str],
    message: str,
) -> None:
    from mtfreeze.recommending import try_out

    race = SimpleNamespace(race=SimpleNamespace(chosen=None), failed=failed)
    monkeypatch.setattr(try_out, "compare", lambda *_, **__: race)
    tasks = {"classifier": mtf.Task(MANY, MANY)}
    with pytest.raises(mtf.TrainingError, match=message):
        mtf.recommend(model, tasks, try_out=True, progress=False)
