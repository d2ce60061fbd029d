# SPDX-License-Identifier: Apache-2.0
"""Advice about what finds boxes: candidates with prices, no probe that says nothing, a race."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.recommending import candidates
from mtfreeze.recommending.candidates import BOX_STEPS, candidates_for
from mtfreeze.recommending.findings import Findings
from support.detection import detector, scenes, write_detr_folder

pytest.importorskip("PIL.Image", reason="needs Pillow")

ROWS = scenes(48)
TASKS = {"shapes": mtf.Task(train=ROWS[:8], eval=ROWS[8:])}
BETWEEN = ["input_projection", "encoder", "queries", "decoder"]

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.notices.UntrainedHeadWarning")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> mtf.MultiTaskModel:
    return detector(write_detr_folder(tmp_path_factory.mktemp("advice") / "detr"))


def test_candidates_go_between_backbone_and_modules(model: mtf.MultiTaskModel) -> None:
    found = candidates_for(model, 40)
    assert list(found) == ["heads", "half", "none"]
    frozen = {}
    for name, one in found.items():
        (phase,) = one.schedule.resolve(model)
        frozen[name] = {
            unit.path.split(".")[0].split("[")[0] for unit in phase.units if unit.frozen
        }
        assert phase.epochs * -(-40 // 16) >= BOX_STEPS
    assert frozen == {"heads": {"backbone", *BETWEEN}, "half": {"backbone"}, "none": set()}


def test_what_no_probe_reads_is_priced_and_not_probed(model: mtf.MultiTaskModel) -> None:
    before = model.freeze_state()
    advice = mtf.recommend(model, TASKS, progress=False)
    assert (advice.name, [one.name for one in advice.alternatives]) == ("half", ["none", "heads"])
    assert 0 < advice.alternatives[1].seconds < advice.seconds < advice.alternatives[0].seconds
    assert advice.findings.scores == {} and advice.factors == ()
    facts = advice.findings.data["shapes"]
    boxes = [box.label for _, row in ROWS[:8] for box in row]
    assert facts.examples == {"blue": boxes.count("blue"), "red": boxes.count("red")}
    assert (facts.n_rows, facts.kind, facts.noun) == (8, "box", "image")
    assert [one.basis for one in advice.reasons] == ["data", "measured on boxes"]
    said = str(advice)
    assert "try_out=True" in said and "[measured on boxes: docs/images.md]" in said
    assert "boxes of each on average" in said and "Probes of" not in said and "LogME" not in said
    told = json.loads(json.dumps(advice.to_dict()))
    assert Findings.from_dict(told["findings"]).backbone.modules == tuple(BETWEEN)
    assert model.freeze_state() == before


@pytest.mark.long
def test_a_budget_takes_the_cheapest(model: mtf.MultiTaskModel) -> None:
    advice = mtf.recommend(model, TASKS, budget=1e-6, progress=False)
    assert advice.name == "heads"
    assert any(one.basis == "budget" for one in advice.reasons)


@pytest.mark.long
def test_the_race_decides_where_no_probe_can(
    model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "BOX_STEPS", 1)
    advice = mtf.recommend(model, TASKS, try_out=True, progress=False)
    assert advice.race is not None and set(advice.race.entries) == {"heads", "half", "none"}
    assert advice.reasons[0].basis == "measured here"
    settings: dict[str, Any] = {"freeze_schedule": advice.schedule, **advice.fit_arguments}
    run = mtf.fit(model.copy(), TASKS, progress=False, **settings)
    assert run.verify_frozen()


def test_what_cannot_be_advised_on_boxes(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    nothing = {"shapes": mtf.Task(train=[(picture, []) for picture, _ in ROWS[:4]])}
    with pytest.raises(mtf.DataError, match="needs training images with boxes"):
        mtf.recommend(model, nothing, progress=False)
    with pytest.raises(
        mtf.ConfigError, match=r"'decoder' between backbone and heads.*try_out=True"
    ):
        mtf.recommend(models=[model], tasks=TASKS, progress=False)
