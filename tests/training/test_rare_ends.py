# SPDX-License-Identifier: Apache-2.0
"""Rare ends of training: an overflow, a few rows that are interrupted or cannot be told apart."""

from __future__ import annotations

import os
import signal
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.steps.by_hand import make_batch
from mtfreeze.training.logistic import fit_labels
from support.bits import bits, changed
from support.small_tasks import ROWS, quick_fit
from support.texts import SENTENCES

pytestmark = [
    pytest.mark.usefixtures("ctrl_c_is_heard"),
    pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning"),
]


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_gradient_that_overflows_is_named(two_head_model: mtf.MultiTaskModel) -> None:
    """The loss and what it gives back are finite; sums over rows are not."""

    def loss(outputs: Any, targets: Any) -> tuple[float, Any]:
        return 1.0, np.full(outputs.shape, 3e38, np.float32)

    before = bits(two_head_model.parameters())
    tasks = {"classifier": mtf.Task(train=ROWS, loss=loss)}
    with pytest.raises(mtf.TrainingError, match=r"step 1: .*the gradient of .* is not finite"):
        quick_fit(two_head_model, tasks)
    assert changed(before, two_head_model.parameters()) == []


def test_a_batch_that_is_made_is_taken_as_it_is(two_head_model: mtf.MultiTaskModel) -> None:
    batch = make_batch(two_head_model, {"classifier": ROWS[:3]})
    assert make_batch(two_head_model, batch) is batch
    both = [
        two_head_model.copy().step(data, learning_rate=1e-3)
        for data in (batch, {"classifier": ROWS[:3]})
    ]
    assert both[0].losses == both[1].losses


# ---- a few rows ----------------------------------------------------------------------------------

FEW: dict[str, Any] = {"progress": False, "learning_rate": 1e-3, "epochs": 1}
TOPICS = ["food", "phone"]


def test_an_interrupted_few_shot_leaves_the_head(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    interrupted = []

    def say(*arguments: Any, **named: Any) -> Any:
        interrupted.append(interrupt())
        return real(*arguments, **named)

    from mtfreeze.training import trainer

    real = trainer.run_step
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer, "run_step", say)
        run = mtf.few_shot(two_head_model, "classifier", ROWS, **FEW)
    assert (
        run.interrupted
        and interrupted
        and list(two_head_model.heads)
        == [
            "classifier",
            "ner_head",
        ]
    )
    assert not [
        key for key in changed(before, two_head_model.parameters()) if "backbone" not in key
    ]


def test_several_labels_of_a_few_rows(tiny_model: mtf.MultiTaskModel) -> None:
    model = tiny_model.add_head("topics", mtf.MultiLabelClassification(TOPICS))
    rows = [
        (text, [one for j, one in enumerate(TOPICS) if i >> j & 1])
        for i, text in enumerate(SENTENCES)
    ]
    run = mtf.few_shot(model, "topics", rows, rows, **FEW)
    assert run.metrics["eval_topics_f1_micro"] > 0.5 and model.heads["topics"].trained
    one_label = [(text, ["food"]) for text, _ in rows]
    with pytest.raises(mtf.DataError, match="10 labelled rows, none of 'phone'"):
        mtf.few_shot(model, "topics", one_label, **FEW)
    always = [(text, sorted({"food", *labels})) for text, labels in rows]
    with pytest.raises(mtf.DataError, match="10 labelled rows, all of 'food'"):
        mtf.few_shot(model, "topics", always, **FEW)


def test_several_selectors_move_what_they_name(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    train = ["backbone.layers[1]", "backbone.layers[2]"]
    mtf.few_shot(two_head_model, "classifier", ROWS, train=train, **FEW)
    moved = {
        key.rpartition(".layer.")[2][:1] for key in changed(before, two_head_model.parameters())
    }
    assert moved == {"1", "2", "c"}  # c: of the head


@pytest.mark.parametrize("train", [3, {"backbone"}])
def test_what_moves_is_a_selector_or_several(
    two_head_model: mtf.MultiTaskModel, train: Any
) -> None:
    with pytest.raises(TypeError, match=r"train must be a selector \(str\) or a list of them"):
        mtf.few_shot(two_head_model, "classifier", ROWS, train=train, **FEW)


@pytest.mark.parametrize("scale", [300, 1e5])
def test_the_regression_of_large_features_comes_to_its_minimum(scale: float) -> None:
    """Newton's step overshoots there and is halved; at the minimum the gradient is nothing."""
    x = np.random.default_rng(0).normal(size=(40, 3)) * scale
    there = x[:, :1] > 0
    weights, biases = fit_labels(x, there, True)
    shares = np.exp(-np.logaddexp(0, -(x @ weights.T + biases)))
    assert np.abs((shares - there).T @ x + weights).max() < 1e-9 * scale
