# SPDX-License-Identifier: Apache-2.0
"""How a run begins: which heads start alone, for how long, at which rates, and what it leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.planning.rate_clock import RateClock
from mtfreeze.planning.run_plan import RunPlan, plan_run
from mtfreeze.planning.settings import check_settings
from mtfreeze.planning.start import count_start_steps
from support.bits import bits
from support.small_tasks import ROWS, StopAt, two_tasks

pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")

SETTINGS: dict[str, Any] = {"epochs": 2, "batch_size": 4, "progress": False}


def plan(model: mtf.MultiTaskModel, **changes: Any) -> RunPlan:
    """Plan a run as `fit` would, with batches of 4: 3 + 2 steps an epoch."""
    return plan_run(model, two_tasks(), check_settings(**{"batch_size": 4, **changes}))


def drawn(phase: Any) -> list[Any]:
    return [[(part.group, part.rows.tolist()) for part in one.step] for one in phase.steps]


@pytest.mark.parametrize(
    ("per_epoch", "steps"), [(1, 10), (5, 50), (6, 60), (59, 60), (70, 70), (121, 120), (9999, 120)]
)
def test_how_long_heads_start_alone(per_epoch: int, steps: int) -> None:
    """An epoch, from 60 to 120 steps, and no more than ten epochs."""
    assert count_start_steps(per_epoch) == steps


def test_a_run_is_the_same_behind_its_start(two_head_model: mtf.MultiTaskModel) -> None:
    """Epochs, rows, rates and clock are those of a cold run; the start comes before epoch 1."""
    cold, warm = plan(two_head_model, start="cold"), plan(two_head_model)
    assert not cold.starts and cold.own == cold.phases
    start, own = warm.phases
    assert warm.starts and warm.own == [own] and not warm.scheduled
    assert (start.name, start.number, own.number, own.name) == ("start", 1, 2, cold.phases[0].name)
    assert (len(start.steps), own.first_step, warm.n_epochs) == (50, 50, 3)
    assert {one.number for one in start.steps} == {0}
    assert [one.ends_epoch for one in start.steps] == [False] * 49 + [True]
    assert [one.number for one in own.steps] == [1] * 5 + [2] * 5 + [3] * 5
    assert drawn(own) == drawn(cold.phases[0])
    assert own.rates.groups == cold.phases[0].rates.groups
    assert [own.clock.factor(50 + n) for n in range(15)] == [
        cold.phases[0].clock.factor(n) for n in range(15)
    ]
    keys = two_head_model.param_keys
    trains = {key for key, rate in zip(keys, start.rates.learning_rate, strict=True) if rate}
    assert trains == {key for key in keys if not key.startswith("backbone.")}
    assert set(start.rates.learning_rate) == {0.0, 1e-2}
    assert start.clock == RateClock("linear", 0, 50, 5)


def test_what_a_run_asks_for_is_not_for_its_start(two_head_model: mtf.MultiTaskModel) -> None:
    given = {"learning_rate": 5e-5, "weight_decay": 0.5, "warmup_steps": 500, "layer_decay": 2.0}
    start = plan(two_head_model, lr_schedule="constant", **given).phases[0]
    usual = plan(two_head_model).phases[0]
    assert (start.rates.learning_rate == usual.rates.learning_rate).all()
    assert (start.rates.weight_decay == usual.rates.weight_decay).all()
    assert start.clock == usual.clock


def test_settings_of_the_start(two_head_model: mtf.MultiTaskModel) -> None:
    given = {"epochs": 2, "batch_size": 2, "learning_rate": {"heads": 0.5}, "weight_decay": 0.25,
             "warmup_ratio": 0.0, "lr_schedule": "constant"}  # fmt: skip
    start = plan(two_head_model, start=given).phases[0]
    assert len(start.steps) == 2 * (5 + 3)
    assert set(start.rates.learning_rate) == {0.0, 0.5}
    assert set(start.rates.weight_decay) == {0.0, 0.25}
    assert start.clock == RateClock("constant", 0, 16, 0)
    assert len(plan(two_head_model, start={"steps": 7}).phases[0].steps) == 7


@pytest.mark.parametrize(
    ("frozen", "heads"),
    [
        (("backbone",), None),
        (("all",), None),
        (("classifier", "ner_head"), None),
        (("classifier",), {"ner_head"}),
        (("backbone[:2]",), {"classifier", "ner_head"}),
        (("*.bias",), {"classifier", "ner_head"}),
    ],
)
def test_which_heads_start_alone(
    two_head_model: mtf.MultiTaskModel, frozen: tuple[str, ...], heads: set[str] | None
) -> None:
    found = plan(two_head_model.freeze(*frozen))
    assert found.starts == (heads is not None)
    if heads is not None:
        start = found.phases[0]
        assert set(start.trained) == heads
        # What the run freezes is frozen in its start, biases of heads too.
        assert two_head_model.freeze_state().frozen <= start.freeze.frozen


def test_heads_that_were_trained_go_on_as_they_are(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.mark_trained(["classifier"])
    assert set(plan(two_head_model).phases[0].trained) == {"ner_head"}
    two_head_model.mark_trained(["ner_head"])
    assert not plan(two_head_model).starts


def test_schedules_begin_like_modes(two_head_model: mtf.MultiTaskModel) -> None:
    first = mtf.FreezeSchedule().phase(freeze="backbone[:2]", epochs=1)
    found = plan(two_head_model, freeze_schedule=first)
    mode = plan(two_head_model.freeze("backbone[:2]"), epochs=1)
    assert found.starts and drawn(found.phases[0]) == drawn(mode.phases[0])
    assert drawn(found.phases[1]) == drawn(mode.phases[1])
    two_head_model.unfreeze()
    for schedule in (mtf.FreezeSchedule.gradual(), mtf.FreezeSchedule.probe_then_tune()):
        assert not plan(two_head_model, freeze_schedule=schedule).starts


def test_adapters_stand_still_in_the_start(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.freeze("backbone")
    two_head_model.add_lora(rank=2)
    found = plan(two_head_model)
    assert found.starts and not any("lora" in key for key in found.phases[0].rates.groups)
    assert found.phases[1].rates.groups["lora"] == 5e-4


def test_precision_of_the_run_is_that_of_its_start(wide_folder: Any) -> None:
    model = mtf.MultiTaskModel.from_pretrained(wide_folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    tasks = {"classifier": mtf.Task(train=ROWS)}
    start = plan_run(model, tasks, check_settings(precision="bf16")).phases[0]
    assert start.freeze.bf16 == start.freeze.frozen
    start = plan_run(model, tasks, check_settings()).phases[0]
    assert not start.freeze.bf16


def test_nothing_of_the_backbone_moves_in_the_start(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    state = two_head_model.freeze_state()
    seen: list[tuple[int, int]] = []

    class Epochs(mtf.Callback):
        def on_epoch_end(self, context: Any) -> None:
            seen.append((context.epoch, context.step))

    calls = [Epochs(), StopAt(50)]
    run = mtf.fit(two_head_model, two_tasks(), **SETTINGS, callbacks=calls)
    after = bits(two_head_model.parameters())
    moved = {key for key in before if before[key] != after[key]}
    assert moved == {key for key in before if not key.startswith("backbone.")}
    assert two_head_model.freeze_state() == state
    assert seen == [(0, 50)] and run.stopped == "reached"
    rows = [row for row in run.history if "task" in row]
    assert {(row["epoch"], row["phase"], row["phase_name"]) for row in rows} == {(0, 1, "start")}
    assert any(
        "start: first classifier, ner_head alone on the frozen backbone, 50 steps" in note
        for note in run.notes
    )


def test_a_head_that_fits_is_not_thrown_back(two_head_model: mtf.MultiTaskModel) -> None:
    """The moments of the start go on, so the first steps after it are no leap."""
    task = {"classifier": mtf.Task(train=ROWS * 8, eval=ROWS)}
    given = {"epochs": 2, "batch_size": 8, "progress": False, "eval_every": 1}
    drawn = mtf.evaluate(two_head_model, task)["eval_classifier_loss"]
    run = mtf.fit(two_head_model, task, start={"epochs": 30}, **given)
    seen = [row for row in run.history if "eval_classifier_loss" in row]
    # One evaluation of the start, at its end; then one a step.
    assert [row["step"] for row in seen] == [300, *range(301, 321)]
    fitted, *later = [row["eval_classifier_loss"] for row in seen]
    assert fitted < drawn and max(later) < fitted + 0.1 * (drawn - fitted)


@pytest.mark.parametrize(
    ("start", "error", "said"),
    [
        ("warm", mtf.ConfigError, "unknown start 'warm'; expected one of 'heads', 'cold'"),
        (None, TypeError, "'heads', 'cold', or settings"),
        ({"epoch": 1}, TypeError, "epochs"),
        ({"epochs": 0}, mtf.ConfigError, "epochs"),
        ({"epochs": 1, "steps": 1}, mtf.ConfigError, "must have one length"),
        ({"learning_rate": {}}, mtf.ConfigError, "empty mapping"),
        ({"learning_rate": {"backbone": 1e-3}}, mtf.ConfigError, "without a rate"),
        ({"lr_schedule": "linea"}, mtf.ConfigError, "linear"),
    ],
)
def test_starts_that_cannot_be(
    two_head_model: mtf.MultiTaskModel, start: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        mtf.fit(two_head_model, two_tasks(), **SETTINGS, start=start)


def test_biases_alone_and_adapters_have_rates_of_their_own(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    two_head_model.freeze("backbone").unfreeze("re:backbone.*bias")
    found = plan(two_head_model).own[0]
    assert found.rates.groups == {"backbone": 1e-3, "heads": 1e-3}
    assert any("0.001, since of it only biases and norms train" in one for one in found.notes)
    two_head_model.unfreeze("layers[2]")
    assert plan(two_head_model).own[0].rates.groups["backbone"] == 5e-5
    # A mapping that a comparison shares need not name the adapter that one of its modes has.
    two_head_model.freeze("backbone")
    two_head_model.add_lora(rank=2)
    given = {"backbone": 1e-5, "heads": 1e-4}
    assert plan(two_head_model, learning_rate=given).own[0].rates.groups == {
        "lora": 5e-4,
        "heads": 1e-4,
    }
    named = {**given, "lora": 0.25}
    assert plan(two_head_model, learning_rate=named).own[0].rates.groups["lora"] == 0.25
    rates = plan(two_head_model, learning_rate={**given, "all": 0.125}).own[0].rates.learning_rate
    assert set(np.unique(rates)) == {0.0, 0.125}
