# SPDX-License-Identifier: Apache-2.0
"""``load_best_model_at_end``: what is kept, what is handed back, what is said."""

from __future__ import annotations

import math
import os
import signal
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.training.best_model import BestModel, Judge
from mtfreeze.training.callbacks import Context
from support.bits import bits, changed
from support.small_tasks import quick_fit, two_tasks

FS = mtf.FreezeSchedule
METRIC = "eval_classifier_loss"


class Keeper(mtf.Callback):
    """Keeps the weights and the figure of every evaluation."""

    def __init__(self) -> None:
        self.found: list[tuple[int, float, dict[str, bytes]]] = []

    def on_evaluate(self, context: Context) -> None:
        weights = bits(context.model.parameters())
        self.found.append((context.step, context.metrics[METRIC], weights))


def best_run(model: mtf.MultiTaskModel, keeper: Keeper, **changes: Any) -> Any:
    settings = {
        "epochs": 6,
        "learning_rate": 0.3,  # far too much: the loss goes up and down
        "lr_schedule": "constant",
        "eval_every": 2,
        "load_best_model_at_end": True,
        "metric_for_best_model": "classifier_loss",
        "callbacks": [keeper],
    }
    return quick_fit(model, **{**settings, **changes})


@pytest.mark.parametrize("mode", ["none", "backbone", "backbone[:2]"])
def test_the_best_model_is_handed_back(two_head_model: mtf.MultiTaskModel, mode: str) -> None:
    keeper = Keeper()
    two_head_model.freeze(mode)
    run = best_run(two_head_model, keeper)
    step, value, weights = min(keeper.found, key=lambda one: (one[1], one[0]))
    assert step < 30, "the last model is the best; the test shows nothing"
    assert run.best_step == step
    assert changed(weights, two_head_model.parameters()) == []
    assert run.metrics["best_step"] == step
    assert run.metrics[METRIC] == value == mtf.evaluate(two_head_model, two_tasks())[METRIC]
    assert run.n_steps == 30
    assert run.notes[-1] == f"best model: step {step}, classifier_loss {value:.4f}; restored"
    assert run.frozen.ok and run.verify_frozen().ok
    assert f"the model after step {step}" in repr(run)


def test_greater_is_better_turns_it_round(two_head_model: mtf.MultiTaskModel) -> None:
    keeper = Keeper()
    run = best_run(two_head_model, keeper, greater_is_better=True)
    assert run.best_step == max(keeper.found, key=lambda one: one[1])[0]


@pytest.mark.parametrize("greater", [False, True])
def test_what_is_no_number_is_never_better(greater: bool) -> None:
    judge, nan = Judge("loss", ("loss",), greater), math.nan
    assert not any(judge.better(nan, old) for old in (None, nan, 1.0))
    assert judge.better(1.0, None) and judge.better(1.0, nan)
    assert judge.better(2.0, 1.0) == greater and judge.better(1.0, 2.0) != greater


def test_by_default_the_mean_of_what_tasks_are_judged_by(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    run = best_run(two_head_model, Keeper(), metric_for_best_model=None)
    rows = [row for row in run.history if METRIC in row]
    figures = [(row["eval_classifier_accuracy"] + row["eval_ner_head_f1"]) / 2 for row in rows]
    assert run.best_step == rows[figures.index(max(figures))]["step"]
    assert "mean of eval_classifier_accuracy, eval_ner_head_f1" in run.notes[-1]


def test_only_what_trains_is_copied(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[set[str]] = []
    real = BestModel.consider

    def spy(self: BestModel, model: Any, state: Any) -> bool:
        better = real(self, model, state)
        kept.append(set(state.best_params))
        return better

    monkeypatch.setattr(BestModel, "consider", spy)
    schedule = FS().phase(train="heads", epochs=1).phase(train=["heads", "layers[2]"], epochs=1)
    best_run(two_head_model, Keeper(), epochs=None, freeze_schedule=schedule)
    chosen = two_head_model.select("heads", "layers[2]")
    expected = {k for k, one in zip(two_head_model.param_keys, chosen, strict=True) if one}
    assert all(keys == expected for keys in kept)


def test_across_phases(two_head_model: mtf.MultiTaskModel) -> None:
    """The best step may lie in an earlier phase: what only a later one trained goes back too."""
    keeper = Keeper()
    schedule = (
        FS()
        .phase(train="heads", epochs=1, learning_rate=1e-3)
        .phase(freeze="none", epochs=3, learning_rate=3.0, warmup_steps=0)
    )
    run = best_run(
        two_head_model, keeper, epochs=None, freeze_schedule=schedule, eval_every="epoch"
    )
    step, _, weights = min(keeper.found, key=lambda one: (one[1], one[0]))
    assert step == 5, "the best model lies in the last phase; the test shows nothing"
    assert run.best_step == step
    assert changed(weights, two_head_model.parameters()) == []
    assert all(phase.frozen.ok for phase in run.phases)


def test_with_early_stopping(two_head_model: mtf.MultiTaskModel) -> None:
    keeper = Keeper()
    stopping = mtf.EarlyStopping("classifier_loss", patience=3)
    run = best_run(two_head_model, keeper, epochs=20, callbacks=[keeper, stopping])
    assert run.stopped is not None
    step, _, weights = min(keeper.found, key=lambda one: (one[1], one[0]))
    assert run.best_step == step == run.n_steps - 6
    assert changed(weights, two_head_model.parameters()) == []


def test_an_interrupted_run_keeps_the_last_model(two_head_model: mtf.MultiTaskModel) -> None:
    after: dict[str, bytes] = {}

    class Interrupter(mtf.Callback):
        def on_step_end(self, context: Context) -> None:
            if context.step == 9:
                after.update(bits(context.model.parameters()))
                os.kill(os.getpid(), signal.SIGINT)

    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run = best_run(two_head_model, Keeper(), callbacks=[Interrupter()])
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert run.interrupted
    assert run.best_step is None
    assert changed(after, two_head_model.parameters()) == []


def test_without_it_the_last_model_stays(two_head_model: mtf.MultiTaskModel) -> None:
    keeper = Keeper()
    run = best_run(two_head_model, keeper, load_best_model_at_end=False, metric_for_best_model=None)
    assert run.best_step is None
    assert "best_step" not in run.metrics
    assert changed(keeper.found[-1][2], two_head_model.parameters()) == []
