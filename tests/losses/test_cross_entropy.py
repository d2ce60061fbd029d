# SPDX-License-Identifier: Apache-2.0
"""`mtf.CrossEntropy`: class weights, smoothing and focus train and evaluate as their formulas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.cli.job import parse_config
from mtfreeze.comparing.task_files import tasks_from_values, tasks_to_values
from mtfreeze.errors import ConfigError
from mtfreeze.losses.from_dict import loss_from_dict
from support.bits import bits
from support.small_tasks import ROWS, quick_fit
from support.texts import TAGGED

LOSSES = [
    mtf.CrossEntropy(class_weights="balanced"),
    mtf.CrossEntropy(class_weights={"positive": 3.0}, label_smoothing=0.2),
    mtf.CrossEntropy(focal=2.0),
    mtf.CrossEntropy(class_weights={"negative": 0.25}, focal=0.5),
]
UNEQUAL = ROWS + [row for row in ROWS if row[1] == "positive"]


def by_hand(loss: mtf.CrossEntropy, labels: list[str], codes: Any) -> Any:
    """Return the same loss as a function of one's own, written down independently."""
    names = np.array(labels)[codes]
    if loss.class_weights == "balanced":
        w = {one: len(names) / (len(set(names)) * (names == one).sum()) for one in set(names)}
    else:
        w = dict(loss.class_weights or {})
    weights = np.array([w.get(one, 1.0) for one in labels])

    def value(z: Any, targets: Any) -> float:
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        own = log_p[np.arange(len(z)), targets]
        e = loss.label_smoothing
        rows = -(1 - e) * weights[targets] * (1 - np.exp(own)) ** loss.focal * own
        rows -= e / z.shape[1] * (weights * log_p).sum(axis=1)
        return float(rows.sum() / weights[targets].sum())

    def function(outputs: Any, targets: Any) -> tuple[float, Any]:
        z = outputs.astype(np.float64)
        gradient = np.zeros_like(z)
        for at in np.ndindex(*z.shape):
            ends = []
            for h in (1e-6, -1e-6):
                moved = z.copy()
                moved[at] += h
                ends.append(value(moved, targets))
            gradient[at] = (ends[0] - ends[1]) / 2e-6
        return value(z, targets), gradient

    return function


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("budget", [4096, 12])
def test_a_step_is_that_of_the_formula(
    two_head_model: mtf.MultiTaskModel, loss: mtf.CrossEntropy, budget: int
) -> None:
    model = two_head_model
    labels = list(model.heads["classifier"].labels)
    codes = np.array([labels.index(label) for _, label in UNEQUAL])
    own = by_hand(loss, labels, codes)
    found, expected = (
        model.gradients({"classifier": mtf.Task(train=UNEQUAL, loss=one)}, token_budget=budget)
        for one in (loss, own)
    )
    for key, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[key], rtol=2e-3, atol=1e-6, err_msg=key)
    means = [
        model.copy().step({"classifier": mtf.Task(train=UNEQUAL, loss=one)}, learning_rate=0.0)
        for one in (loss, own)
    ]
    assert means[0].losses == pytest.approx(means[1].losses, rel=1e-6)
    tasks = [{"classifier": mtf.Task(train=UNEQUAL, eval=ROWS, loss=one)} for one in (loss, own)]
    scored = [mtf.evaluate(model, one)["eval_classifier_loss"] for one in tasks]
    assert scored[0] == pytest.approx(scored[1], rel=1e-6)


def test_words_take_it_beside_a_loss_of_ones_own(two_head_model: mtf.MultiTaskModel) -> None:
    """The backward pass then runs apart, and divides by the weights of the whole step."""

    def nothing(outputs: Any, targets: Any) -> tuple[float, Any]:
        return 0.0, np.zeros_like(outputs)

    loss = mtf.CrossEntropy(class_weights="balanced", label_smoothing=0.1)
    words = mtf.Task(train=TAGGED, loss=loss)
    alone = two_head_model.gradients({"ner_head": words})
    both = {"ner_head": words, "classifier": mtf.Task(train=ROWS, loss=nothing)}
    beside = two_head_model.gradients(both)
    for key, gradient in alone.items():
        np.testing.assert_allclose(beside[key], gradient, rtol=1e-4, atol=1e-7, err_msg=key)


def test_usual_settings_give_the_bits_of_no_loss(two_head_model: mtf.MultiTaskModel) -> None:
    runs = []
    for loss in (None, mtf.CrossEntropy()):
        model = two_head_model.copy()
        tasks = {
            "classifier": mtf.Task(train=ROWS, eval=ROWS, loss=loss),
            "ner_head": mtf.Task(train=TAGGED, loss=loss),
        }
        quick_fit(model, tasks)
        runs.append(bits(model.parameters()))
    assert runs[0] == runs[1]


def test_a_run_reads_each_label_once(
    two_head_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    read = mtf.SequenceClassification.targets

    def spied(spec: Any, rows: Any, *given: Any) -> Any:
        seen.append(len(rows))
        return read(spec, rows, *given)

    monkeypatch.setattr(mtf.SequenceClassification, "targets", spied)
    loss = mtf.CrossEntropy(class_weights="balanced")
    task = mtf.Task(train=UNEQUAL, eval=ROWS, loss=loss)
    run = quick_fit(two_head_model, {"classifier": task}, epochs=1)
    assert sorted(seen) == sorted([len(UNEQUAL), len(ROWS)])
    seen.clear()  # alone, an evaluation reads what the balance is taken from, to the same figure
    assert mtf.evaluate(two_head_model, {"classifier": task}).items() <= run.metrics.items()
    assert sorted(seen) == sorted([len(UNEQUAL), len(ROWS)])


def test_it_is_values_to_files() -> None:
    for loss in LOSSES:
        assert loss_from_dict(json.loads(json.dumps(loss.to_dict())), "loss") == loss
    tasks = {"classifier": mtf.Task(train=ROWS, eval=ROWS, loss=LOSSES[1])}
    again = tasks_from_values(json.loads(json.dumps(tasks_to_values(tasks))))
    assert again["classifier"].loss == LOSSES[1]
    assert "CrossEntropy(class_weights={'positive': 3.0}" in repr(again["classifier"])
    section = {"kind": "cross_entropy", "label_smoothing": 0.1}
    raw = {"model": {"name": "m"}, "data": {"classifier": {"train": "t.tsv", "loss": section}}}
    assert parse_config(raw).data["classifier"]["loss"] == mtf.CrossEntropy(label_smoothing=0.1)


def test_a_checkpoint_asks_for_the_same_loss(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path
) -> None:
    def fit(loss: mtf.CrossEntropy, folder: str, **settings: Any) -> Any:
        tasks = {"classifier": mtf.Task(train=ROWS, loss=loss)}
        model = two_head_model.copy()
        run = quick_fit(model, tasks, output_dir=tmp_path / folder, save_every=1, **settings)
        return bits(model.parameters()), run

    whole, _ = fit(LOSSES[1], "whole", keep_checkpoints=9)
    checkpoint = tmp_path / "whole" / "checkpoints" / "step-00000001"
    assert fit(LOSSES[1], "again", resume=checkpoint)[0] == whole
    with pytest.raises(ConfigError, match=r"tasks\.classifier\.loss"):
        fit(LOSSES[2], "other", resume=checkpoint)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"class_weights": "even"}, TypeError, "class_weights must be 'balanced' or map labels"),
        ({"class_weights": [1.0, 2.0]}, TypeError, "found list"),
        ({"class_weights": {0: 1.0}}, TypeError, "must name labels"),
        ({"class_weights": {"positive": "2"}}, TypeError, "must be a number; found str"),
        ({"class_weights": {"positive": 0}}, ConfigError, "above 0; found 0.*without a label"),
        ({"class_weights": {"positive": float("inf")}}, ConfigError, "finite"),
        ({"label_smoothing": 1.0}, ConfigError, "at least 0 and below 1; found 1.0"),
        ({"label_smoothing": -0.1}, ConfigError, "found -0.1"),
        ({"label_smoothing": None}, TypeError, "label_smoothing must be a number"),
        ({"focal": 101}, ConfigError, "at most 100; found 101"),
        ({"focal": float("nan")}, ConfigError, "found nan"),
        ({"focal": 2, "label_smoothing": 0.1}, ConfigError, "found both"),
    ],
)
def test_settings_that_do_not_hold(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mtf.CrossEntropy(**arguments)


def test_heads_and_labels_that_do_not_fit(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    model.add_head("score", mtf.Regression())
    named = mtf.CrossEntropy(class_weights={"positiv": 2.0})
    with pytest.raises(ConfigError, match=r"label in class_weights.*did you mean 'positive'"):
        model.step({"classifier": mtf.Task(train=ROWS, loss=named)}, learning_rate=1e-4)
    numbers = [("good", 1.0), ("bad", 0.0)]
    with pytest.raises(ConfigError, match="heads that choose one label; found 'score'"):
        model.step({"score": mtf.Task(train=numbers, loss=LOSSES[2])}, learning_rate=1e-4)
    with pytest.raises(ConfigError, match=r"key of a cross_entropy loss.*did you mean 'focal'"):
        loss_from_dict({"kind": "cross_entropy", "focl": 2}, "loss")
    with pytest.raises(ConfigError, match="kind of loss"):
        loss_from_dict({"kind": "hinge"}, "loss")
    with pytest.raises(TypeError, match=r"mtf.CrossEntropy\(...\)"):
        mtf.Task(train=ROWS, loss="cross_entropy")  # type: ignore[arg-type]
