# SPDX-License-Identifier: Apache-2.0
"""Multi-label heads: lists of labels in, lists of labels out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data import Examples, read_csv, read_jsonl, read_tsv
from support.bits import bits
from support.texts import SENTENCES, TAGGED

TOPICS = ["long", "food", "plain"]
SETS = [["long"] * (len(text) > 20) + ["food"] * ("food" in text) + ["plain"] for text in SENTENCES]
ROWS = list(zip(SENTENCES, [[], *SETS[1:]], strict=True))
SETTINGS: dict[str, Any] = {"batch_size": 4, "learning_rate": 3e-3, "progress": False}


def codes(rows: Any, **arguments: Any) -> Any:
    """Return the targets of rows, (n, 3)."""
    spec = mtf.MultiLabelClassification(TOPICS, **arguments)
    return spec.targets(Examples.from_rows(rows), "topics", "topics").flat()


# ---- rows ----------------------------------------------------------------------------------------


def test_lists_of_names_and_positions_and_one_name() -> None:
    rows = [
        ("a", ["food", "long"]), ("b", [2]), ("c", []), ("d", "food"), ("e", [0, "plain"]),
        {"text": "f", "labels": {"topics": ["plain"]}}, {"text": "g", "labels": {"other": "x"}},
    ]  # fmt: skip
    named = [row for row in rows if isinstance(row, tuple)]
    expected = [[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 1, 0], [1, 0, 1]]
    np.testing.assert_array_equal(codes(named), expected)
    found = codes(rows[5:])
    np.testing.assert_array_equal(found[0], [0, 0, 1])
    assert np.isnan(found[1]).all()  # no target


def test_rows_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("one\tfood|long\ntwo\t|\nthree\tplain\n", "utf-8")
    (tmp_path / "b.csv").write_text('text,label\none,"food, long"\ntwo,","\nthree,plain\n', "utf-8")
    lines = [
        {"text": "one", "labels": ["food", "long"]},
        {"text": "two", "label": []},
        {"text": "three", "label": ["plain"]},
    ]
    (tmp_path / "c.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    expected = [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
    for file, arguments in (
        (read_tsv(tmp_path / "a.tsv"), {}),
        (read_csv(tmp_path / "b.csv", text="text", label="label"), {"separator": ","}),
        (read_jsonl(tmp_path / "c.jsonl"), {}),
    ):
        np.testing.assert_array_equal(codes(file, **arguments), expected)


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (["food", "fod"], r"row 0 of .*unknown label 'fod'.*did you mean 'food'"),
        (["food", "food"], "each label once; found 'food' twice"),
        ("food|food", "found 'food' twice"),
        ([0, 3], "from 0 to 2; found 3"),
        ([0.5, 1.0], "found float 0.5"),
        ("food/long", "unknown label 'food/long'"),
    ],
)
def test_labels_that_do_not_fit(label: Any, message: str) -> None:
    with pytest.raises(mtf.DataError, match=message):
        codes([("a", label)])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"labels": []}, mtf.ConfigError, "label"),
        ({"threshold": 0}, mtf.ConfigError, "above 0 and below 1; found 0"),
        ({"threshold": "0.5"}, TypeError, "threshold must be a number; found str"),
        ({"separator": " "}, mtf.ConfigError, "more than spaces"),
        ({"separator": 1}, TypeError, "separator"),
    ],
)
def test_descriptions_that_do_not_hold(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mtf.MultiLabelClassification(**{"labels": TOPICS, **arguments})


def test_other_heads_say_what_several_labels_need(tiny_model: mtf.MultiTaskModel) -> None:
    tiny_model.add_head("classifier", mtf.SequenceClassification(["food", "long"]))
    with pytest.raises(mtf.DataError, match=r"found 2 labels; use a MultiLabelClassification"):
        tiny_model.step({"classifier": [("a", ["food", "long"])]}, learning_rate=1e-3)


def test_types_of_entities_as_labels() -> None:
    found = mtf.entity_types(TAGGED)
    assert found.kind == "text" and len(found) == len(TAGGED)
    for row, (words, tags) in zip(found, TAGGED, strict=True):
        kinds = {tag[2:] for tag in tags if tag != "O"}
        assert (row.text, set(row.label or ())) == (" ".join(words), kinds)
    for rows, message in (
        ([("a text", "label")], "found a text or one label"),
        ([(["a"], [0])], "found positions"),
    ):
        with pytest.raises(mtf.DataError, match=message):
            mtf.entity_types(rows)


# ---- a model -------------------------------------------------------------------------------------


@pytest.fixture
def model(tiny_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """Return the tiny BERT with a head for topics."""
    return tiny_model.add_head("topics", mtf.MultiLabelClassification(TOPICS, dropout=0.0))


def topic_task(**options: Any) -> dict[str, mtf.Task]:
    return {"topics": mtf.Task(train=ROWS, eval=ROWS, **options)}


def test_a_step_is_that_of_the_formula(model: mtf.MultiTaskModel) -> None:
    """Beside the same loss as a function: value, gradients and evaluation."""

    def by_hand(outputs: Any, targets: Any) -> tuple[float, Any]:
        z = outputs.astype(np.float64)
        p = 1 / (1 + np.exp(-z))
        value = -(targets * np.log(p) + (1 - targets) * np.log(1 - p)).mean()
        return value, (p - targets) / z.size

    rows = [{"text": text, "labels": {"topics": one}} for text, one in ROWS]
    rows[3]["labels"] = {"other": "x"}  # type: ignore[assignment]
    data = Examples.from_rows(rows)
    found, expected = (
        model.gradients({"topics": mtf.Task(train=data, loss=one)}) for one in (None, by_hand)
    )
    for key, gradient in found.items():
        np.testing.assert_allclose(gradient, expected[key], rtol=1e-4, atol=1e-7, err_msg=key)
    losses = [
        mtf.evaluate(model, {"topics": mtf.Task(eval=data, loss=one)})["eval_topics_loss"]
        for one in (None, by_hand)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


@pytest.mark.parametrize("frozen", ["none", "backbone"])
def test_it_learns(model: mtf.MultiTaskModel, frozen: str, tmp_path: Path) -> None:
    model.freeze(frozen)
    held = bits({k: v for k, v in model.parameters().items() if k.startswith("backbone")})
    before = mtf.evaluate(model, topic_task())
    run = mtf.fit(model, topic_task(), epochs=20, **SETTINGS)
    assert run.metrics["eval_topics_loss"] < 0.6 * before["eval_topics_loss"]
    assert run.metrics["eval_topics_f1_micro"] > 0.8
    if frozen == "backbone":
        now = bits({k: v for k, v in model.parameters().items() if k.startswith("backbone")})
        assert now == held
    answers, shares = model.predict("topics", SENTENCES), model.predict_proba("topics", SENTENCES)
    assert answers == [[TOPICS[j] for j in range(3) if row[j] >= 0.5] for row in shares]
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert again.heads["topics"].spec == model.heads["topics"].spec
    assert again.predict("topics", SENTENCES) == answers


def test_it_is_compared(model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.DataError, match="rows with the same; there is nothing to tell apart"):
        same = mtf.Task(train=[("a", ["food"]), ("b", ["food"])], eval=ROWS)
        mtf.compare(model, {"topics": same}, ["backbone"])
    start = {"epochs": 1, "batch_size": 4, "learning_rate": 1e-3}
    found = mtf.compare(
        model, topic_task(metric="f1_samples"), ["backbone"], seeds=1, start=start, epochs=1,
        **SETTINGS,
    )  # fmt: skip
    assert not found.failed and "samples F1" in str(found)
