# SPDX-License-Identifier: Apache-2.0
"""Reports label by label, confusion of every head of labels, and rows that are most wrong."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.evaluating.report import report_of
from mtfreeze.evaluating.top_losses import TopLosses
from mtfreeze.heads.told import Told
from mtfreeze.pictures.confusion import confusion_figure
from support.figure_parts import words_of
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import SENTENCES, TAGGED

SETS = [(text, [["a"], [], ["a", "b"], ["b"]][i % 4]) for i, text in enumerate(SENTENCES)]
PAIRS = [(one, SENTENCES[0], ["no", "yes"][i % 2]) for i, one in enumerate(SENTENCES)]


@pytest.fixture
def model(two_head_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    two_head_model.add_head("sets", mtf.MultiLabelClassification(["a", "b", "never"]))
    two_head_model.add_head("pairs", mtf.PairClassification(["no", "yes"], encode="siamese"))
    two_head_model.add_head("chain", mtf.TokenClassification(["N", "V"], crf=True))
    two_head_model.add_head("number", mtf.Regression())
    return two_head_model


def every_task() -> dict[str, mtf.Task]:
    plain = [(words, ["NV"[len(word) % 2] for word in words]) for words, _ in TAGGED]
    return {
        **two_tasks(),
        "sets": mtf.Task(eval=SETS),
        "pairs": mtf.Task(eval=PAIRS),
        "chain": mtf.Task(eval=plain),
        "number": mtf.Task(eval=[(text, i / 4) for i, text in enumerate(SENTENCES)]),
    }


def rows_of(tasks: dict[str, mtf.Task], model: mtf.MultiTaskModel, name: str) -> mtf.Examples:
    """Return the evaluation rows of a task as its head reads them."""
    data = tasks[name].eval
    assert data is not None
    return model.heads[name].spec.rows(data)


def classes(tasks: dict[str, mtf.Task], model: mtf.MultiTaskModel, name: str) -> Any:
    """Return gold and predicted names by the model's own answers."""
    data = rows_of(tasks, model, name)
    given = model.predict(name, [row.content for row in data])
    gold: list[Any] = [row.label for row in data]
    if name == "chain":
        return [tag for row in gold for tag in row], [tag for row in given for tag in row]
    return gold, given


@pytest.mark.parametrize("name", ["classifier", "pairs", "chain"])
def test_a_report_is_that_of_scikit_learn(model: mtf.MultiTaskModel, name: str) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    tasks = every_task()
    found = mtf.evaluate(model, tasks)
    report, labels = found.report(name), model.heads[name].labels
    gold, predicted = classes(tasks, model, name)
    gold = [labels[one] if isinstance(one, int) else one for one in gold]
    theirs = metrics.classification_report(gold, predicted, output_dict=True, zero_division=0)
    for label in labels:
        expected = theirs.get(label) or {"f1-score": 0.0, "precision": 0.0, "recall": 0.0}
        for key in ("precision", "recall"):
            assert report.labels[label][key] == pytest.approx(expected[key], abs=1e-12)
        assert report.labels[label]["f1"] == pytest.approx(expected["f1-score"], abs=1e-12)
        assert report.labels[label]["support"] == gold.count(label)
    for ours, key in (("macro", "macro avg"), ("weighted", "weighted avg")):
        assert report.averages[ours]["f1"] == pytest.approx(theirs[key]["f1-score"], abs=1e-12)
    assert report.accuracy == pytest.approx(theirs["accuracy"])
    assert report.accuracy == pytest.approx(found[f"eval_{name}_accuracy"])
    if name == "classifier":
        assert report.averages["macro"]["f1"] == pytest.approx(found["eval_classifier_f1_macro"])
        shares = model.predict_proba(name, SENTENCES)[:, 1]
        right = [one == labels[1] for one in gold]
        for key, theirs_of in (
            ("roc_auc", metrics.roc_auc_score),
            ("average_precision", metrics.average_precision_score),
        ):
            assert abs(report.labels[labels[1]][key] - theirs_of(right, shares)) < 1e-12
    assert name in repr(report) and "weighted average" in repr(report)
    assert "<td>weighted average</td>" in report._repr_html_()
    assert json.loads(json.dumps(report.to_dict()))["task"] == name


def test_a_report_of_sets(model: mtf.MultiTaskModel) -> None:
    found = mtf.evaluate(model, every_task())
    report = found.report("sets")
    for average in ("micro", "macro"):
        ours = report.averages[average]["f1"]
        assert ours == pytest.approx(found[f"eval_sets_f1_{average}"], abs=1e-12)
    assert report.accuracy == found["eval_sets_subset_accuracy"]
    assert math.isnan(report.labels["never"]["roc_auc"])
    assert report.to_dict()["labels"]["never"]["roc_auc"] is None  # type: ignore[index]
    defined = [one["roc_auc"] for one in report.labels.values() if one["roc_auc"] == one["roc_auc"]]
    assert report.averages["macro"]["roc_auc"] == pytest.approx(np.mean(defined))


def test_a_report_of_entities_is_that_of_seqeval() -> None:
    seqeval = pytest.importorskip("seqeval.metrics")
    from seqeval.scheme import IOB2

    names = ["O", "B-x", "I-x", "B-y", "I-y"]
    spec = mtf.TokenClassification(names)
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 7, 30)
    predicted = rng.integers(0, 5, lengths.sum())
    gold = np.where(rng.random(len(predicted)) < 0.5, predicted, rng.integers(0, 5, len(predicted)))
    rows = np.repeat(np.arange(30) * 2, lengths)  # rows without tags lie between
    scores = np.full((len(rows), 5), 0.2, np.float32)
    report = report_of("ner", spec, Told(rows, gold, predicted, scores))
    cuts = np.cumsum(lengths)[:-1]
    as_names = [
        [[names[i] for i in one] for one in np.split(codes, cuts)] for codes in (gold, predicted)
    ]
    theirs = seqeval.classification_report(
        *as_names, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
    )
    for kind in ("x", "y"):
        assert report.labels[kind]["f1"] == pytest.approx(theirs[kind]["f1-score"])
        assert report.labels[kind]["support"] == theirs[kind]["support"]
    for average in ("micro", "macro", "weighted"):
        for ours, key in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
            found = report.averages[average][ours]
            assert found == pytest.approx(theirs[f"{average} avg"][key]), average


def test_figures_stay_a_dict(model: mtf.MultiTaskModel) -> None:
    found = mtf.evaluate(model, two_tasks())
    assert isinstance(found, dict) and json.loads(json.dumps(found)) == found
    with pytest.raises(mtf.ConfigError, match="of one task with labels; found 'classifier', 'ner"):
        found.report()
    with pytest.raises(mtf.SelectorError, match=r"unknown task 'clasifier'.*'classifier'"):
        found.report("clasifier")
    number = mtf.evaluate(model, {"number": every_task()["number"]})
    with pytest.raises(mtf.ConfigError, match="found 'number', a regression head, which has none"):
        number.confusion("number")
    assert mtf.evaluate(model, {"sets": mtf.Task(eval=SETS)}).report().task == "sets"


def test_confusion_of_sets(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    found = mtf.evaluate(model, every_task()).confusion("sets")
    guesses = model.predict("sets", [text for text, _ in SETS])
    gold, predicted = (
        np.array([[name in one for name in found.labels] for one in rows])
        for rows in ([labels for _, labels in SETS], guesses)
    )
    assert (found.counts == metrics.multilabel_confusion_matrix(gold, predicted)).all()
    right = int((gold == predicted).sum())
    assert f"{right} of {gold.size} labels of texts right" in repr(found)
    pytest.importorskip("matplotlib")
    assert found.plot(tmp_path / "sets.png").read_bytes()[:4] == b"\x89PNG"
    assert mtf.plot_confusion(model, "sets", SETS, tmp_path / "same.png").exists()
    words = words_of(confusion_figure(found.counts, found.labels))
    assert "has it, missed" in words and f"never  ({gold[:, 2].sum()})" in words


def test_a_run_reports_on_its_model(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model
    loss = mtf.CrossEntropy(class_weights="balanced", label_smoothing=0.1)
    few = [*ROWS[:4], ROWS[4]]
    tasks = two_tasks(loss=loss)
    tasks["classifier"] = mtf.Task(train=few, eval=ROWS, loss=loss)
    run = quick_fit(model, tasks)
    now = run.evaluate()
    # With the weights of the training rows, which the run does not keep.
    assert now == {name: value for name, value in run.metrics.items() if name in now}
    assert all(task.train is None for task in run._tasks.values())
    assert run.report("classifier").accuracy == now["eval_classifier_accuracy"]
    assert run.confusion("ner_head").counts.sum() == sum(len(words) for words, _ in TAGGED)
    top = run.top_losses(3, task="classifier")
    assert [one.row for one in top] == [
        one.row for one in mtf.top_losses(model, tasks, 3, task="classifier")
    ]
    model.remove_head("ner_head")
    with pytest.raises(mtf.ConfigError, match="task 'ner_head' has no head"):
        run.evaluate()
    del tasks["ner_head"]
    tasks["classifier"] = tasks["classifier"].only_trained()
    with pytest.raises(mtf.DataError, match="a run with evaluation data; found tasks with train"):
        quick_fit(model, tasks).report()


def test_rows_that_are_most_wrong(model: mtf.MultiTaskModel) -> None:
    tasks = every_task()
    top = mtf.top_losses(model, tasks, 100)
    losses = [one.loss for one in top]
    assert losses == sorted(losses, reverse=True) and {one.task for one in top} == set(tasks)
    found = mtf.evaluate(model, tasks)
    for name in ("classifier", "sets", "number", "pairs"):
        each = [one.loss for one in top if one.task == name]
        data = tasks[name].eval
        assert data is not None and len(each) == len(data)
        assert np.mean(each) == pytest.approx(found[f"eval_{name}_loss"], rel=1e-6)
    for name in ("ner_head", "chain"):
        rows = [one for one in top if one.task == name]
        whole = sum(one.loss * len(one.words) for one in rows) / sum(len(r.words) for r in rows)
        assert whole == pytest.approx(found[f"eval_{name}_loss"], rel=1e-6)
    for one in top:
        content = rows_of(tasks, model, one.task)[one.row].content
        said = content if isinstance(content, str) else " ".join(map(str, content))
        assert one.text.replace(" | ", " ") == said
        answer: Any = model.predict(one.task, [content])[0]
        if one.task == "number":
            assert one.probability is None and one.predicted == pytest.approx((answer,))
        else:
            assert list(one.predicted) == list(answer) and 0 <= (one.probability or 0) <= 1


def test_how_they_are_shown(model: mtf.MultiTaskModel) -> None:
    top = mtf.top_losses(model, every_task(), 4, task="ner_head")
    assert repr(top).splitlines()[0].split() == [
        *("text", "row", "gold", "predicted", "probability", "loss")
    ]
    assert "task" in repr(mtf.top_losses(model, every_task(), 50)).splitlines()[0]
    assert len(top[:2]) == 2 and top[0].to_dict()["row"] == top[0].row
    assert top._repr_html_().count("<tr>") == 5
    assert json.loads(json.dumps(top.to_dicts()))[0]["text"] == top[0].text
    first = top[0]
    wrong = [gold for gold, guess in zip(first.gold, first.predicted, strict=True) if gold != guess]
    assert " ".join(wrong)[:20] in repr(top).splitlines()[2]


def test_rows_without_a_target_are_left_out(model: mtf.MultiTaskModel) -> None:
    rows = [
        {"text": "good", "labels": {"mood": "positive"}},
        {"text": "bad", "labels": {"topic": "x"}},
    ]
    task = mtf.Task(eval=rows, label="mood")
    assert [one.row for one in mtf.top_losses(model, {"classifier": task})] == [0]


def test_what_has_no_such_rows(model: mtf.MultiTaskModel) -> None:
    model.add_head("sim", mtf.Similarity("cosine"))
    tasks = {**two_tasks(), "sim": mtf.Task(eval=[("a", "b", 0.5), ("a", "c", 0.1)])}
    assert {one.task for one in mtf.top_losses(model, tasks)} == {"classifier", "ner_head"}
    with pytest.raises(mtf.ConfigError, match="heads that tell labels or numbers; found 'sim'"):
        mtf.top_losses(model, tasks, task="sim")
    with pytest.raises(mtf.SelectorError, match="unknown task 'clasifier'"):
        mtf.top_losses(model, tasks, task="clasifier")
    with pytest.raises(mtf.ConfigError, match="k must be at least 1; found 0"):
        mtf.top_losses(model, tasks, 0)


def test_no_row_has_a_target() -> None:
    none = TopLosses([])
    assert repr(none) == "no evaluation row with a target" and none.to_dicts() == []
