# SPDX-License-Identifier: Apache-2.0
"""Metrics that a task names beside those of its head, the user's own among them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.heads.extra_metrics import NAMED, metrics_from_values
from mtfreeze.heads.told import LABEL, LABELS, Told
from mtfreeze.metrics.own import function_at, own_path
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import SENTENCES, TAGGED
from support.user_metrics import miss_count, no_number, right_share

SETS = [(text, [["a"], [], ["a", "b"], ["c"]][i % 4]) for i, text in enumerate(SENTENCES)]


def seen(gold: Any, predicted: Any) -> float:
    seen.calls.append((gold, predicted))  # type: ignore[attr-defined]
    return 0.25


@pytest.fixture(autouse=True)
def nothing_seen() -> None:
    seen.calls = []  # type: ignore[attr-defined]


def told_classes(n_labels: int) -> Told:
    rng = np.random.default_rng(n_labels)
    scores = rng.random((80, n_labels)).astype(np.float32)
    gold = rng.integers(0, n_labels, 80)
    return Told(np.arange(80), gold, scores.argmax(axis=1), scores)


@pytest.mark.parametrize("n_labels", [2, 5])
def test_named_metrics_are_those_of_scikit_learn(n_labels: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    told = told_classes(n_labels)
    assert told.scores is not None
    shares = told.scores / told.scores.sum(axis=1, keepdims=True)
    each = np.arange(n_labels) == told.gold[:, None]
    expected = {
        "roc_auc": metrics.roc_auc_score(each[:, 1], told.scores[:, 1])
        if n_labels == 2
        else metrics.roc_auc_score(told.gold, shares.astype(float), multi_class="ovr"),
        "average_precision": metrics.average_precision_score(each[:, 1], told.scores[:, 1])
        if n_labels == 2
        else metrics.average_precision_score(each, told.scores, average="macro"),
        "precision_macro": metrics.precision_score(told.gold, told.predicted, average="macro"),
        "recall_macro": metrics.recall_score(told.gold, told.predicted, average="macro"),
        "f1_weighted": metrics.f1_score(told.gold, told.predicted, average="weighted"),
        "balanced_accuracy": metrics.balanced_accuracy_score(told.gold, told.predicted),
    }
    assert set(expected) == {one.name for one in NAMED.values() if one.fits(LABEL)}
    # Shares in one row add up to 1 for scikit-learn; their ranks in a column differ from scores'.
    given = Told(told.rows, told.gold, told.predicted, shares if n_labels > 2 else told.scores)
    for name, value in expected.items():
        used = told if name == "average_precision" else given
        assert abs(NAMED[name].value(used, "") - value) < 1e-12, name


def test_named_metrics_of_sets_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    scores, gold = rng.random((50, 3)).astype(np.float32), rng.random((50, 3)) < 0.4
    told = Told(np.arange(50), gold, scores > 0.5, scores)
    expected = {
        "roc_auc": metrics.roc_auc_score(gold, scores),
        "average_precision": metrics.average_precision_score(gold, scores),
        "f1_weighted": metrics.f1_score(gold, scores > 0.5, average="weighted"),
        **{
            f"{figure}_{average}": getattr(metrics, f"{figure}_score")(
                gold, scores > 0.5, average=average
            )
            for figure in ("precision", "recall")
            for average in ("micro", "macro")
        },
    }
    assert set(expected) == {one.name for one in NAMED.values() if one.fits(LABELS)}
    for name, value in expected.items():
        assert abs(NAMED[name].value(told, "") - value) < 1e-12, name


def test_what_a_metric_is_given(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    model.add_head("sets", mtf.MultiLabelClassification(["a", "b", "c"]))
    model.add_head("number", mtf.Regression())
    numbers = [(text, i / 4) for i, text in enumerate(SENTENCES)]
    rows: dict[str, Any] = {
        "classifier": ROWS,
        "ner_head": TAGGED,
        "sets": SETS,
        "number": numbers,
    }
    for name, data in rows.items():
        found = mtf.evaluate(model, {name: mtf.Task(eval=data, metrics=[seen])})
        assert found[f"eval_{name}_seen"] == 0.25
    calls: list[Any] = seen.calls  # type: ignore[attr-defined]
    shapes = [(gold.shape, gold.dtype) for gold, _ in calls]
    n_words = sum(len(words) for words, _ in TAGGED)
    assert shapes == [
        ((len(ROWS),), np.int64),
        ((n_words,), np.int64),
        ((len(SETS), 3), np.int64),
        ((len(numbers),), np.float64),
    ]
    assert all(p.shape == g.shape and p.dtype == g.dtype for g, p in calls)
    names = model.heads["classifier"].labels
    predicted = [names[i] for i in calls[0][1]]
    assert predicted == model.predict("classifier", [text for text, _ in ROWS])
    assert calls[3][0].tolist() == [value for _, value in numbers]


def test_scikit_learns_functions_are_taken(two_head_model: mtf.MultiTaskModel) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    task = mtf.Task(eval=ROWS, metrics=[metrics.cohen_kappa_score, metrics.accuracy_score])
    found = mtf.evaluate(two_head_model, {"classifier": task})
    assert found["eval_classifier_accuracy_score"] == found["eval_classifier_accuracy"]
    assert -1 <= found["eval_classifier_cohen_kappa_score"] <= 1


def test_a_lost_word_without_an_o_is_minus_one(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.add_head("parts", mtf.TokenClassification(["NOUN", "VERB"]))
    rows = [(["good"] * 60, ["NOUN"] * 60)]
    mtf.evaluate(tiny_model, {"parts": mtf.Task(eval=rows, metrics=[seen])})
    gold, predicted = seen.calls[0]  # type: ignore[attr-defined]
    assert gold.tolist() == [0] * 60 and (predicted == -1).any()


def test_the_best_model_is_chosen_by_one(two_head_model: mtf.MultiTaskModel) -> None:
    tasks = two_tasks(metrics=[miss_count], metric="miss_count")
    tasks.pop("ner_head")
    run = quick_fit(two_head_model, tasks, eval_every="epoch", load_best_model_at_end=True)
    rows = [one["eval_classifier_miss_count"] for one in run.history if "task" not in one]
    assert run.metrics["eval_classifier_miss_count"] == max(rows)
    assert "eval_classifier_miss_count" in run.notes[-1]
    assert run.evaluate()["eval_classifier_miss_count"] == max(rows)


def test_a_run_goes_on_with_the_same_ones(
    two_head_model: mtf.MultiTaskModel, tmp_path: Any
) -> None:
    model, again = two_head_model, two_head_model.copy()
    told: dict[str, Any] = {"output_dir": tmp_path, "save_every": "epoch", "eval_every": "epoch"}
    one = [("good", "positive")]  # of one label alone ROC-AUC is undefined, in checkpoints too
    task = mtf.Task(train=ROWS, eval=one, metrics=["roc_auc", right_share])
    other = mtf.Task(train=ROWS, eval=one, metrics=["roc_auc"])
    quick_fit(model, {"classifier": task}, stop_after_steps=3, **told)
    with pytest.raises(mtf.ConfigError, match=r"tasks\.classifier\.metrics: \['roc_auc', 'right"):
        quick_fit(again.copy(), {"classifier": other}, resume=True, **told)
    run = quick_fit(again, {"classifier": task}, resume=True, **told)
    assert math.isnan(run.metrics["eval_classifier_roc_auc"])
    assert run.metrics["eval_classifier_right_share"] in (0.0, 1.0)


def test_one_that_is_named_as_the_metric_is_computed() -> None:
    task = mtf.Task(eval=ROWS, metric="roc_auc")
    assert task.extra_names == ("roc_auc",)
    assert task.judged_by(mtf.SequenceClassification(["a", "b"]).measure) == "roc_auc"
    assert task.measured_by(mtf.SequenceClassification(["a", "b"]).measure) == "accuracy"


def test_undefined_is_nan(two_head_model: mtf.MultiTaskModel) -> None:
    task = mtf.Task(eval=[("good", "positive")], metrics=["roc_auc"])
    found = mtf.evaluate(two_head_model, {"classifier": task})
    assert math.isnan(found["eval_classifier_roc_auc"])


def test_what_is_no_metric(two_head_model: mtf.MultiTaskModel) -> None:
    def accuracy(gold: Any, predicted: Any) -> float:
        return 0.0

    for given, kind, said in (
        (["rocauc"], mtf.ConfigError, r"unknown metrics\[0\] 'rocauc'.*did you mean 'roc_auc'"),
        ([3], TypeError, r"metrics\[0\] must be a function \(gold, predicted\)"),
        ("roc_auc", TypeError, "metrics must be a list"),
        ([lambda g, p: 1.0], mtf.ConfigError, r"the name '<lambda>'.*write it with def"),
        ([accuracy], mtf.ConfigError, "found 'accuracy', which figures have already"),
        ([seen, seen], mtf.ConfigError, "found 'seen', which stands there twice"),
    ):
        with pytest.raises(kind, match=said):
            mtf.Task(eval=ROWS, metrics=given)  # type: ignore[arg-type]
    with pytest.raises(mtf.ConfigError, match=r"'roc_auc' is not for a .* kind regression"):
        two_head_model.add_head("n", mtf.Regression())
        mtf.evaluate(two_head_model, {"n": mtf.Task(eval=[("a", 1.0)], metrics=["roc_auc"])})
    two_head_model.add_head("sim", mtf.Similarity("cosine"))
    pairs = [("a", "b", 0.5), ("a", "c", 0.1)]
    with pytest.raises(mtf.ConfigError, match="kind similarity; expected none; leave it out"):
        mtf.evaluate(two_head_model, {"sim": mtf.Task(eval=pairs, metrics=[seen])})


def test_one_that_fails_is_named_before_anything_trains(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    def broken(gold: Any, predicted: Any) -> float:
        raise KeyError("nothing")

    before = {k: v.tobytes() for k, v in two_head_model.parameters().items()}
    for metric, said in (
        (broken, r"task 'classifier': .* metric 'broken' .* it raised KeyError: 'nothing'"),
        (no_number, r"metric 'no_number' to return a number .* found list \[1.0\]"),
    ):
        with pytest.raises(mtf.ConfigError, match=said):
            quick_fit(two_head_model, two_tasks(metrics=[metric]))
        with pytest.raises(mtf.ConfigError, match=r"^evaluation, .*" + said):
            mtf.evaluate(two_head_model, two_tasks(metrics=[metric]))
    assert before == {k: v.tobytes() for k, v in two_head_model.parameters().items()}


def test_how_another_process_finds_one(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_path(right_share, "task 'a'")
    assert path == "support.user_metrics:right_share"
    assert function_at(path, "") is right_share
    assert metrics_from_values(["roc_auc", path], "") == ["roc_auc", right_share]

    def inside(gold: Any, predicted: Any) -> float:
        return 0.0

    with pytest.raises(mtf.ConfigError, match="stands inside of another function; put it at"):
        own_path(inside, "task 'a'")
    monkeypatch.setattr(inside, "__qualname__", "right_share")
    monkeypatch.setattr(inside, "__module__", "support.user_metrics")
    with pytest.raises(mtf.ConfigError, match="is another one"):
        own_path(inside, "task 'a'")
    monkeypatch.setattr(inside, "__module__", "__main__")
    with pytest.raises(mtf.ConfigError, match="stands in the script or notebook itself"):
        own_path(inside, "task 'a'")
    monkeypatch.setattr(inside, "__module__", None)
    with pytest.raises(mtf.ConfigError, match="has no module and name"):
        own_path(inside, "task 'a'")
    monkeypatch.setattr(inside, "__module__", "no_such_module_at_all")
    with pytest.raises(mtf.ConfigError, match="cannot be imported"):
        own_path(inside, "task 'a'")
    for wrong, said in (
        ("support.user_metrics:gone", "importing it raised AttributeError"),
        ("support.user_metrics:Any.__name__", "found str 'Any'; name a function"),
    ):
        with pytest.raises(mtf.ConfigError, match=said):
            function_at(wrong, "task 'a'")


def test_heads_of_no_items_tell_nothing() -> None:
    rows: Any = None
    with pytest.raises(NotImplementedError, match="similarity heads tell nothing item by item"):
        mtf.Similarity().told(rows, rows, rows, rows)


def test_a_function_where_its_name_belongs() -> None:
    said = r"metric must be the name .* metrics=\[miss_count\], metric='miss_count'$"
    with pytest.raises(TypeError, match=said):
        mtf.Task(eval=ROWS, metric=miss_count)  # type: ignore[arg-type]
