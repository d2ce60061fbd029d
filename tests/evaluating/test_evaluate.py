# SPDX-License-Identifier: Apache-2.0
"""`evaluate`: figures against a plain computation from predictions and logits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.metrics.scores import entity_scores
from support.bits import bits, changed
from support.core_spy import CoreSpy
from support.small_tasks import ROWS, quick_fit, two_tasks
from support.texts import LABELS, SENTENCES, TAGGED, TAGS


def test_accuracy_and_f1_from_predictions(two_head_model: mtf.MultiTaskModel) -> None:
    metrics = mtf.evaluate(two_head_model, two_tasks())
    predicted = np.array(two_head_model.predict("classifier", SENTENCES))
    gold = np.array(LABELS)
    assert metrics["eval_classifier_accuracy"] == (predicted == gold).mean()
    scores = []
    for label in sorted({*predicted, *gold}):
        hits = ((predicted == label) & (gold == label)).sum()
        scores.append(2 * hits / ((predicted == label).sum() + (gold == label).sum()))
    assert metrics["eval_classifier_f1_macro"] == pytest.approx(np.mean(scores))


def test_loss_is_the_mean_over_rows(two_head_model: mtf.MultiTaskModel) -> None:
    shares = two_head_model.predict_proba("classifier", SENTENCES)
    codes = [["negative", "positive"].index(label) for label in LABELS]
    expected = -np.log(shares[np.arange(len(codes)), codes]).mean()
    metrics = mtf.evaluate(two_head_model, two_tasks())
    assert metrics["eval_classifier_loss"] == pytest.approx(expected, rel=1e-5)


def test_token_loss_is_the_mean_over_words(two_head_model: mtf.MultiTaskModel) -> None:
    shares = two_head_model.predict_proba("ner_head", [words for words, _ in TAGGED])
    logs = [
        np.log(rows[np.arange(len(tags)), [TAGS.index(tag) for tag in tags]])
        for rows, (_, tags) in zip(shares, TAGGED, strict=True)
    ]
    metrics = mtf.evaluate(two_head_model, two_tasks())
    assert metrics["eval_ner_head_loss"] == pytest.approx(-np.concatenate(logs).mean(), rel=1e-5)


def test_entities_from_predictions(two_head_model: mtf.MultiTaskModel) -> None:
    quick_fit(two_head_model, epochs=25, learning_rate=3e-3)
    metrics = mtf.evaluate(two_head_model, two_tasks())
    predicted = two_head_model.predict("ner_head", [words for words, _ in TAGGED])
    overall, _ = entity_scores([tags for _, tags in TAGGED], predicted)
    assert overall.n_predicted > 0
    for name in ("precision", "recall", "f1"):
        assert metrics[f"eval_ner_head_{name}"] == getattr(overall, name)


def test_lost_words_count_as_outside(two_head_model: mtf.MultiTaskModel) -> None:
    """60 words of which 38 fit: the other 22 are predicted O, right where the gold tag is O."""
    words = ["paris"] * 60
    inside = [(words, ["O"] * 38 + ["B-location"] * 22)]
    outside = [(words, ["O"] * 60)]
    figures = [
        mtf.evaluate(two_head_model, {"ner_head": mtf.Task(eval=rows)})
        for rows in (inside, outside)
    ]
    gained = figures[1]["eval_ner_head_accuracy"] - figures[0]["eval_ner_head_accuracy"]
    assert gained == pytest.approx(22 / 60)
    assert figures[0]["eval_ner_head_recall"] == 0.0
    # Words without a token have no loss either.
    assert figures[0]["eval_ner_head_loss"] == figures[1]["eval_ner_head_loss"]


def test_tags_that_are_no_entities_give_accuracy(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.add_head("pos", mtf.TokenClassification(["NOUN", "VERB"]))
    rows = [(["paris", "works"], ["NOUN", "VERB"]), (["paris"] * 60, ["NOUN"] * 60)]
    metrics = mtf.evaluate(tiny_model, {"pos": mtf.Task(eval=rows)})
    assert set(metrics) == {"eval_pos_loss", "eval_pos_accuracy"}
    predicted = tiny_model.predict_proba("pos", [words for words, _ in rows])
    right = (predicted[0].argmax(1) == [0, 1]).sum() + (predicted[1][:38].argmax(1) == 0).sum()
    assert metrics["eval_pos_accuracy"] == pytest.approx(right / 62)  # lost words are wrong


def test_frozen_heads_are_evaluated(two_head_model: mtf.MultiTaskModel) -> None:
    quick_fit(two_head_model, epochs=1)
    two_head_model.freeze("classifier")
    run = quick_fit(two_head_model, epochs=3, learning_rate=5e-3)
    assert {row["task"] for row in run.history if "task" in row} == {"ner_head"}
    assert "eval_classifier_accuracy" in run.metrics


def test_shared_texts_share_the_pass(
    tiny_model: mtf.MultiTaskModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        tiny_model.add_head(name, mtf.SequenceClassification(["negative", "positive"]))
    asked: list[list[str]] = []

    class Spy(CoreSpy):
        def forward(self, batch: Any, outputs: list[str]) -> Any:
            asked.append(list(outputs))
            return self.core.forward(batch, outputs)

    tasks = {name: mtf.Task(eval=list(ROWS)) for name in ("first", "second")}
    expected = mtf.evaluate(tiny_model, tasks)
    monkeypatch.setattr(tiny_model, "_core", Spy(tiny_model._core))
    assert mtf.evaluate(tiny_model, tasks) == expected
    assert asked == [["first", "second"]]


def test_evaluation_changes_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    before = bits(two_head_model.parameters())
    first = mtf.evaluate(two_head_model, two_tasks())
    assert mtf.evaluate(two_head_model, two_tasks()) == first
    assert changed(before, two_head_model.parameters()) == []


def test_partly_labelled_rows_count_where_labelled(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [
        {"text": text, "labels": {"classifier": label} if i < 4 else {}}
        for i, (text, label) in enumerate(ROWS)
    ]
    some = mtf.evaluate(two_head_model, {"classifier": mtf.Task(eval=rows)})
    four = mtf.evaluate(two_head_model, {"classifier": mtf.Task(eval=ROWS[:4])})
    assert some == pytest.approx(four)


def test_nothing_to_evaluate_is_an_error(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.DataError, match="found tasks with training data only"):
        mtf.evaluate(two_head_model, {"classifier": mtf.Task(train=ROWS)})


def test_a_metric_of_another_kind_of_head_is_refused(two_head_model: mtf.MultiTaskModel) -> None:
    task = mtf.Task(eval=ROWS, metric="map")
    with pytest.raises(mtf.ConfigError, match=r"unknown metric 'map' of a .* head; expected"):
        mtf.evaluate(two_head_model, {"classifier": task})
