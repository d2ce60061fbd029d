# SPDX-License-Identifier: Apache-2.0
"""Whether a run fits into memory: priced before it as it is measured in it, and what does fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.estimating import estimator
from mtfreeze.estimating.memory import training_peak
from mtfreeze.estimating.peaks import CorePeak
from mtfreeze.pricing.memory_fit import MemoryFit, MemoryVariant
from mtfreeze.training.prepare import prepare
from support.small_tasks import two_tasks
from support.texts import TAGS

RUN = {"epochs": 1, "batch_size": 4, "cache": False, "progress": False}


def priced(model: mtf.MultiTaskModel, **options: Any) -> int:
    """Return what plans alone say that a run takes."""
    arguments = estimator._complete(1, {**RUN, **options})
    del arguments["progress"]
    return training_peak(model.copy(), prepare(model, two_tasks(), **arguments))


@pytest.mark.parametrize("frozen", ["none", "backbone[:2]", "backbone"])
def test_plans_say_what_a_run_takes(frozen: str, two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model if frozen == "none" else two_head_model.freeze(frozen)
    before = priced(model)
    run = mtf.fit(model, two_tasks(), **RUN)
    measured = max(one.peak_bytes for one in run.costs)
    # What plans themselves take, some 80 kB, is a tenth of so small a model.
    assert before == pytest.approx(measured, rel=0.15) and before < measured


def test_other_models_of_the_process_change_no_figure(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = priced(two_head_model)
    measured = mtf.fit(two_head_model.copy(), two_tasks(), **RUN).costs[0].peak_bytes
    others: list[mtf.MultiTaskModel] = [two_head_model.copy()]
    add = CorePeak.add_batches

    def beside(self: CorePeak, *args: Any, **options: Any) -> None:
        others.clear()  # one goes while this one is looked at
        add(self, *args, **options)

    monkeypatch.setattr(CorePeak, "add_batches", beside)
    assert priced(two_head_model) == alone

    class Joins(mtf.Callback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            others.append(two_head_model.copy())

    run = mtf.fit(two_head_model.copy(), two_tasks(), callbacks=[Joins()], **RUN)
    assert others and run.costs[0].peak_bytes == measured


def test_an_estimate_says_whether_it_fits(two_head_model: mtf.MultiTaskModel) -> None:
    found = mtf.estimate(two_head_model, two_tasks(), **RUN)
    assert found.memory.fits and found.memory.inference_fits and not found.memory.variants
    assert found.memory.training_bytes == found.peak_bytes
    assert "memory: training fits: needs" in str(found)
    assert json.loads(json.dumps(found.to_dict()))["memory"]["fits"] is True


def test_what_fits_is_priced_as_the_run_is(two_head_model: mtf.MultiTaskModel) -> None:
    whole = priced(two_head_model)
    half = priced(two_head_model.copy().freeze("backbone[:1]"))
    assert half < whole
    found = mtf.estimate(two_head_model, two_tasks(), memory=whole - 1, **RUN).memory
    by_name = {one.says: one.n_bytes for one in found.variants}
    assert found.fits is False and by_name["model.freeze('backbone[:1]')"] == half
    assert by_name["fit(token_budget=256)"] == priced(two_head_model, token_budget=256)
    adapted = two_head_model.copy().freeze("backbone").add_lora(rank=8)
    assert by_name["model.freeze('backbone').add_lora(rank=8)"] == priced(adapted)
    said = found.lines()
    assert "training does not fit" in said[0] and "model.freeze('backbone[:1]')" in said[1]


def test_nothing_fits_into_a_byte(two_head_model: mtf.MultiTaskModel) -> None:
    found = mtf.estimate(two_head_model, two_tasks(), memory=1, **RUN).memory
    assert found.inference_fits is False
    assert [one.says for one in found.inference_variants] == ["model.freeze(precision='int8')"]
    said = found.lines()
    assert "nothing that was priced for training fits; the least is" in said[1]
    assert "nothing that was priced for inference fits" in said[2]


def test_no_step_is_timed_that_does_not_fit(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtfreeze.estimating.memory.free_memory", lambda: 1000)
    with pytest.raises(MemoryError, match=r"does not fit: needs .*nothing was timed"):
        mtf.estimate(two_head_model, two_tasks(), **RUN)
    assert mtf.estimate(two_head_model, two_tasks(), memory=1000, **RUN).seconds > 0


def test_where_nothing_is_known_it_is_said(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mtfreeze.estimating.memory.free_memory", lambda: None)
    found = mtf.estimate(two_head_model, two_tasks(), **RUN).memory
    assert found.fits is None and found.inference_fits is None
    assert "pass memory= bytes" in found.lines()[0]


def test_words_of_what_fits() -> None:
    variants = (MemoryVariant("a", 30), MemoryVariant("b", 10), MemoryVariant("c", 5))
    found = MemoryFit(50, 5, 20, variants)
    assert str(found) == (
        "memory: training does not fit: needs 50 B of 20 B free; inference fits: 5 B; "
        "training fits with b (10 B), or c (5 B)"
    )


def test_packed_weights_of_evaluation_count(wide_folder: Path) -> None:
    """In another precision what is inferred has packed copies of its own."""
    model = mtf.MultiTaskModel.from_pretrained(wide_folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    run = {**RUN, "precision": "bf16"}
    with_eval = mtf.estimate(model, two_tasks(), **run).memory
    without = {name: mtf.Task(one.train) for name, one in two_tasks().items()}
    assert with_eval.training_bytes > mtf.estimate(model, without, **run).memory.training_bytes


def test_what_a_pin_rules_out_is_not_said(two_head_model: mtf.MultiTaskModel) -> None:
    """A schedule that trains what would be frozen is no run of the frozen model."""
    schedule = mtf.FreezeSchedule().phase(train="backbone", epochs=1)
    run = {**RUN, "freeze_schedule": schedule}
    del run["epochs"]
    found = mtf.estimate(two_head_model, two_tasks(), memory=1, **run).memory
    said = [one.says for one in found.variants]
    assert said and not [one for one in said if "freeze('backbone'" in one], said
