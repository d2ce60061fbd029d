# SPDX-License-Identifier: Apache-2.0
"""`mtf.Distillation`: a teacher's logits beside the labels, as the formula has it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.comparing.task_files import tasks_from_values, tasks_to_values
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.steps.task_losses import with_logits
from support.bits import bits
from support.small_tasks import ROWS, quick_fit
from support.texts import TAGGED

LOGITS = np.random.default_rng(4).normal(0, 2, (len(ROWS), 2)).astype(np.float32)


def log_softmax(z: Any) -> Any:
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def by_hand(temperature: float, alpha: float) -> Any:
    """Return the loss as a function of one's own over all rows in order."""

    def function(outputs: Any, targets: Any) -> tuple[float, Any]:
        z, t = outputs.astype(np.float64), temperature
        log_q, log_s, log_p = log_softmax(LOGITS / t), log_softmax(z / t), log_softmax(z)
        q, n = np.exp(log_q), len(z)
        soft = t * t * (q * (log_q - log_s)).sum() / n
        hard = -log_p[np.arange(n), targets].mean()
        gradient = alpha * t * (np.exp(log_s) - q)
        gradient += (1 - alpha) * (np.exp(log_p) - np.eye(2)[targets])
        return alpha * soft + (1 - alpha) * hard, gradient / n

    return function


@pytest.mark.parametrize(("temperature", "alpha"), [(2.0, 0.5), (4.0, 1.0), (0.5, 0.2)])
def test_a_step_is_that_of_the_formula(
    two_head_model: mtf.MultiTaskModel, temperature: float, alpha: float
) -> None:
    described = mtf.Distillation(LOGITS, temperature=temperature, alpha=alpha)
    losses = (described, by_hand(temperature, alpha))
    tasks: list[dict[str, Any]] = [
        {"classifier": mtf.Task(train=ROWS, loss=one), "ner_head": mtf.Task(train=TAGGED)}
        for one in losses
    ]
    found, expected = (two_head_model.gradients(one) for one in tasks)
    for key, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[key], rtol=1e-4, atol=1e-6, err_msg=key)
    steps = [two_head_model.copy().step(one, learning_rate=0.0).losses for one in tasks]
    assert steps[0] == pytest.approx(steps[1], rel=1e-6)


def test_rows_keep_their_logits_wherever_they_stand(two_head_model: mtf.MultiTaskModel) -> None:
    """A teacher that is certain of the other label turns the student round."""
    other = np.array([[9.0, -9.0] if label == "positive" else [-9.0, 9.0] for _, label in ROWS])
    loss = mtf.Distillation(other, temperature=1.0, alpha=1.0)
    task = mtf.Task(train=ROWS, eval=ROWS, loss=loss)
    run = quick_fit(two_head_model, {"classifier": task}, epochs=25, learning_rate=3e-3)
    assert run.metrics["eval_classifier_accuracy"] <= 0.2
    plain = mtf.evaluate(two_head_model, {"classifier": mtf.Task(eval=ROWS)})
    assert run.metrics["eval_classifier_loss"] == plain["eval_classifier_loss"]  # of the labels


def test_a_model_teaches_what_its_logits_do(two_head_model: mtf.MultiTaskModel) -> None:
    teacher = two_head_model.copy()
    quick_fit(teacher, {"classifier": mtf.Task(train=ROWS)})
    logits = teacher.forward([text for text, _ in ROWS], ["classifier"])["classifier"]
    before, weights = bits(teacher.parameters()), []
    for one in (teacher, logits):
        student = two_head_model.copy()
        quick_fit(student, {"classifier": mtf.Task(train=ROWS, loss=mtf.Distillation(one))})
        weights.append(bits(student.parameters()))
    assert weights[0] == weights[1] and bits(teacher.parameters()) == before


def test_it_is_values_to_files(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    loss = mtf.Distillation(LOGITS, alpha=0.25)
    tasks = {"classifier": mtf.Task(train=ROWS, eval=ROWS, loss=loss)}
    again = tasks_from_values(json.loads(json.dumps(tasks_to_values(tasks))))["classifier"].loss
    assert isinstance(again, mtf.Distillation)
    assert again.facts() == loss.facts() and again.teacher.tobytes() == LOGITS.tobytes()
    other = mtf.Distillation(LOGITS + 1, alpha=0.25)
    assert other.facts() != loss.facts()
    settings: dict[str, Any] = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}
    found = mtf.compare(
        two_head_model, tasks, ["backbone"], start=settings, progress=False, **settings
    )
    assert not found.failed
    taught = {"classifier": mtf.Task(train=ROWS, loss=mtf.Distillation(two_head_model))}
    with pytest.raises(ConfigError, match="logits of the teacher, which a file can hold"):
        tasks_to_values(taught)


def test_a_comparison_asks_a_teacher_once(
    two_head_model: mtf.MultiTaskModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher = two_head_model.copy()
    teacher.add_head("wise", teacher.heads["classifier"].spec, seed=3)
    texts = [text for text, _ in ROWS]
    logits = teacher.forward(texts, ["wise"])["wise"]
    asked = []
    forward = type(teacher).forward

    def spied(model: Any, *given: Any, **options: Any) -> Any:
        asked.append(model)
        return forward(model, *given, **options)

    monkeypatch.setattr(type(teacher), "forward", spied)
    options: dict[str, Any] = {"seeds": 1, "epochs": 1, "learning_rate": 1e-3, "progress": False}
    found = []
    for place, taught in (
        ("model", mtf.Distillation(teacher, head="wise", alpha=0.9)),
        ("logits", mtf.Distillation(logits, alpha=0.9)),
    ):
        tasks = {"classifier": mtf.Task(train=ROWS, eval=ROWS, loss=taught)}
        old = {"ner_head": mtf.Task(eval=TAGGED)}
        folder = tmp_path / place
        done = mtf.compare(
            two_head_model, tasks, ["backbone"], old_tasks=old, output_dir=folder, **options
        )
        assert not done.failed and tasks["classifier"].loss is taught
        found.append((folder / "tasks.json").read_bytes())
    assert found[0] == found[1] and [one is teacher for one in asked].count(True) == 1
    again = {
        "classifier": mtf.Task(train=ROWS, eval=ROWS, loss=mtf.Distillation(logits, alpha=0.9))
    }
    mtf.compare(two_head_model, again, ["backbone"], old_tasks=old,
                output_dir=tmp_path / "model", **options)  # fmt: skip
    other = {"classifier": mtf.Task(train=ROWS, eval=ROWS, loss=mtf.Distillation(teacher))}
    with pytest.raises(ConfigError, match="holds another comparison: tasks differs"):
        mtf.compare(two_head_model, other, ["backbone"], old_tasks=old,
                    output_dir=tmp_path / "model", **options)  # fmt: skip
    stranger = {
        "classifier": mtf.Task(train=ROWS, eval=ROWS, loss=mtf.Distillation(teacher, head="x"))
    }
    with pytest.raises(ConfigError, match="expected a teacher with a head 'x'"):
        mtf.compare(two_head_model, stranger, ["backbone"], output_dir=tmp_path / "x", **options)
    assert not (tmp_path / "x").exists()
    n_asked = len(asked)  # evaluations go by the labels and ask no teacher
    only_scored = {"classifier": mtf.Task(eval=ROWS, loss=mtf.Distillation(teacher))}
    assert with_logits(two_head_model, only_scored)["classifier"].loss is None
    assert len(asked) == n_asked


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"teacher": "logits.npy"}, TypeError, "teacher must be a model, or its logits"),
        ({"teacher": [1.0, 2.0]}, TypeError, "array .rows, labels. of numbers"),
        ({"teacher": [[1.0], [2.0, 3.0]]}, TypeError, "array .rows, labels. of numbers"),
        ({"teacher": [[np.nan, 0.0]]}, DataError, "found 1 rows that are not, the first is row 0"),
        ({"temperature": 0}, ConfigError, "temperature must be finite and above 0; found 0"),
        ({"temperature": float("inf")}, ConfigError, "temperature must be finite"),
        ({"temperature": None}, TypeError, "temperature must be a number"),
        ({"alpha": 1.5}, ConfigError, "alpha must be from 0 to 1; found 1.5"),
        ({"alpha": float("nan")}, ConfigError, "alpha must be from 0 to 1"),
        ({"head": 3}, TypeError, "head of the teacher"),
    ],
)
def test_arguments_that_do_not_hold(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mtf.Distillation(**{"teacher": LOGITS, **arguments})


def test_teachers_and_heads_that_do_not_fit(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model

    def step(task: str, rows: Any, teacher: Any, **more: Any) -> None:
        loss = mtf.Distillation(teacher, **more)
        model.step({task: mtf.Task(train=rows, loss=loss)}, learning_rate=1e-4)

    with pytest.raises(DataError, match=r"shape \(10, 2\), a row for each .*; found \(9, 2\)"):
        step("classifier", ROWS, LOGITS[:9])
    with pytest.raises(DataError, match=r"found \(10, 3\)"):
        step("classifier", ROWS, np.zeros((10, 3)))
    with pytest.raises(ConfigError, match=r"choose one label a text; found 'ner_head'"):
        step("ner_head", TAGGED, LOGITS)
    with pytest.raises(ConfigError, match=r"a head 'other' of the labels .*; found no such head"):
        step("classifier", ROWS, model.copy(), head="other")
    other = model.copy()
    other.remove_head("classifier")
    other.add_head("classifier", mtf.SequenceClassification(["positive", "negative"]))
    with pytest.raises(ConfigError, match=r"found \['positive', 'negative'\]"):
        step("classifier", ROWS, other)
