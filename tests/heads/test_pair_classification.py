# SPDX-License-Identifier: Apache-2.0
"""Heads that label pairs of texts: rows, sequences, training, answers, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.inputs.row_encoding import JOINT, PLAIN
from support.small_tasks import quick_fit
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

NAMES = ["yes", "no"]
PAIRS = list(zip(SENTENCES, SENTENCES[1:] + SENTENCES[:1], strict=True))
ROWS = [(*pair, NAMES[i % 2]) for i, pair in enumerate(PAIRS)]


@pytest.fixture(params=["joint"])
def model(request: Any, tiny_folder: Path) -> mtf.MultiTaskModel:
    """Return the tiny BERT with the head ``nli`` for pairs, read in each of the ways."""
    made = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    made.add_head("nli", mtf.PairClassification(NAMES, encode=request.param))
    return made


def test_rows_of_every_form_are_the_same(model: mtf.MultiTaskModel) -> None:
    spec = model.heads["nli"].spec
    forms: list[Any] = [
        ROWS,
        [(pair, label) for *pair, label in ROWS],
        [{"premise": a, "hypothesis": b, "label": label} for a, b, label in ROWS],
        [{"texts": [a, b], "label": label} for a, b, label in ROWS],
        {"text": [r[0] for r in ROWS], "text_pair": [r[1] for r in ROWS], "label": NAMES * 5},
        [(a, b, NAMES.index(label)) for a, b, label in ROWS],
    ]
    tables = [spec.rows(mtf.Examples.from_rows(rows)) for rows in forms]
    for rows in tables:
        assert [row.texts for row in rows] == PAIRS
        codes = spec.targets(rows, "nli", "nli").flat()
        assert codes.tolist() == [0, 1] * 5
        assert spec.rows(rows) is rows


def test_it_learns(model: mtf.MultiTaskModel) -> None:
    tasks = {"nli": mtf.Task(train=ROWS, eval=ROWS)}
    before = mtf.evaluate(model, tasks)
    run = quick_fit(model, tasks, epochs=30, learning_rate=3e-3)
    assert run.metrics["eval_nli_loss"] < before["eval_nli_loss"] / 2
    assert model.predict("nli", PAIRS) == [label for *_, label in ROWS]
    shares = model.predict_proba("nli", [list(pair) for pair in PAIRS])
    assert np.allclose(shares.sum(axis=1), 1, atol=1e-6) and shares.shape == (10, 2)


def test_a_pair_is_no_two_texts_in_the_other_order(model: mtf.MultiTaskModel) -> None:
    there = model.predict_proba("nli", PAIRS)
    back = model.predict_proba("nli", [pair[::-1] for pair in PAIRS])
    assert not np.allclose(there, back, atol=1e-4)


def test_it_is_saved_and_loaded(model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    assert again.heads["nli"].spec == model.heads["nli"].spec
    assert np.array_equal(again.predict_proba("nli", PAIRS), model.predict_proba("nli", PAIRS))


@pytest.mark.parametrize("mixing", ["joint", "proportional", "round_robin"])
def test_it_trains_beside_heads_that_read_texts(model: mtf.MultiTaskModel, mixing: str) -> None:
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    texts = list(zip(SENTENCES, LABELS, strict=True))
    tasks = {
        "classifier": mtf.Task(train=texts, eval=texts),
        "nli": mtf.Task(train=ROWS, eval=ROWS),
        "ner_head": mtf.Task(train=TAGGED, eval=TAGGED),
    }
    run = quick_fit(model, tasks, mixing=mixing)
    assert {"eval_nli_accuracy", "eval_classifier_accuracy", "eval_ner_head_f1"} <= set(run.metrics)
    assert run.metrics == mtf.evaluate(model, tasks) | {
        key: value for key, value in run.metrics.items() if not key.startswith("eval_")
    }


@pytest.mark.parametrize("freeze", ["backbone", "backbone[:2]"])
def test_stored_features_give_the_same_bits(
    model: mtf.MultiTaskModel, freeze: str, tiny_folder: Path
) -> None:
    model.freeze(freeze)
    other = model.copy()
    tasks = {"nli": mtf.Task(train=ROWS, eval=ROWS)}
    first = quick_fit(model, tasks, cache="memory")
    second = quick_fit(other, tasks, cache=False)
    assert first.cache.n_texts and first.frozen.ok
    for key, value in model.parameters().items():
        assert np.array_equal(value, other.parameters()[key]), key
    assert first.metrics["eval_nli_loss"] == second.metrics["eval_nli_loss"]


def test_a_pair_is_encoded_as_the_tokenizer_does(tiny_model: mtf.MultiTaskModel) -> None:
    encoded = tiny_model.encoder.encode_pairs([("the film", "was good"), ("the " * 50, "bad")])
    types = encoded.pack([0]).inputs["token_types"].tolist()
    assert types == [0, 0, 0, 0, 1, 1, 1]
    assert encoded.truncated.tolist() == [False, True] and encoded.lengths.tolist() == [7, 40]
    last = tiny_model.encoder.encode_texts(["bad"])[0][1]
    assert encoded[1][-2] == last, "the longer text loses its tokens first"


def test_tasks_share_a_pass_only_if_they_read_rows_alike(model: mtf.MultiTaskModel) -> None:
    from mtfreeze.data.batches import group_tasks
    from mtfreeze.steps.batch import check_tasks

    model.add_head("other", mtf.PairClassification(["x", "y"]))
    rows = mtf.Examples.from_rows(
        [{"texts": [a, b], "labels": {"nli": c, "other": "x"}} for a, b, c in ROWS]
    )
    tasks = check_tasks(model, {name: mtf.Task(train=rows) for name in ("nli", "other")})
    groups = group_tasks(tasks, "joint")
    alike = model.heads["nli"].spec.encoding == JOINT
    assert [group.tasks for group in groups] == (
        [("nli", "other")] if alike else [("nli",), ("other",)]
    )
    assert JOINT != PLAIN


def test_all_heads_are_asked_that_read_such_rows(model: mtf.MultiTaskModel) -> None:
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    with pytest.warns(mtf.OtherRowsWarning, match="'nli' reads; found answers of 'classifier'"):
        assert list(model.predict_all(SENTENCES)) == ["classifier"]
    with pytest.warns(mtf.OtherRowsWarning, match="several texts each are not what 'classifier'"):
        assert list(model.predict_all(PAIRS)) == ["nli"]
    with pytest.raises(DataError, match="text 0: expected a pair of texts; found one"):
        model.predict_all(SENTENCES, heads=["nli", "classifier"])
    with pytest.warns(mtf.OtherRowsWarning):
        assert set(model.forward(PAIRS)) == {"pooled", "nli"}


GOOD = ROWS[0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD, ("a", "", "yes")], r"row 1 of train: expected 3 texts .* text 2 is empty"),
        ([GOOD, ("a", "  ", 0)], r"row 1 of train: expected 2 texts .* text 2 is empty"),
        ([("a", "yes")], r"row 0 of train: expected two texts and a label.*the label 'yes'"),
        ([("a", "b", "c", "yes")], r"row 0 of train: .*found 4 texts with no label"),
        ([("a", "b", "maybe")], r"unknown label 'maybe'"),
        ([("a", "b", 2)], r"label index of head 'nli' from 0 to 1; found 2"),
        ([("a", "b", 0.5)], r"label name \(str\) or index \(int\); found float 0.5"),
        ([("a", "b", None)], r"expected training rows with a label"),
        ([GOOD, ("a", 7)], r"rows of one kind"),
        ([{"text": "a", "hypothesis": "b", "label": "yes"}], r"found a second one, 'hypothesis'"),
        ([{"texts": ["a"], "label": "yes"}], r"expected two texts at least; found 1"),
        (
            [{"texts": ["a", "b"], "label": "yes", "score": 1.0}],
            r"found 'label', 'score'",
        ),
        ([(["a b", "c d", "e f"], 0)], r"found three texts with the label"),
        ([(["a", "b"], ["yes", "no"])], r"found words with 2 tags"),
    ],
)
def test_what_is_no_pair_is_refused(
    model: mtf.MultiTaskModel, rows: list[Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        model.step({"nli": mtf.Task(train=rows)}, learning_rate=1e-3)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([("a", None, "yes")], TypeError, "text 2 of 3 is None"),
        ([("a", b"b", "yes")], TypeError, "text 2 of 3 is bytes"),
        ([{"texts": "ab", "label": "yes"}], TypeError, "'texts' to be a list of texts; found str"),
        ([{"premise": "a", "hypothesis": 3, "label": "yes"}], DataError, "expected the key text"),
    ],
)
def test_texts_of_other_types_are_refused(
    rows: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mtf.Task(train=rows)


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        (["a", "b"], DataError, "text 0: expected a pair of texts; found one"),
        ([("a", "")], DataError, "text 0: expected 2 texts .* text 2 is empty"),
        ([("a", "b", "c")], DataError, "text 0: .*pair of texts; found 3 texts"),
        ([("a", "b"), ("a",)], DataError, "text 1: expected two texts at least; found 1"),
        ([("a", None)], TypeError, "text 0: .*text 2 of 2 is None"),
        ([3], TypeError, "text 0"),
        ("ab", TypeError, "put it into a list"),
    ],
)
def test_questions_that_are_no_pairs_are_refused(
    model: mtf.MultiTaskModel, asked: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        model.predict("nli", asked)


def test_one_text_twice_is_a_pair(model: mtf.MultiTaskModel) -> None:
    assert len(model.predict("nli", [("good", "good")])) == 1
    assert model.predict("nli", []) == []


def test_other_ways_to_encode_are_named() -> None:
    with pytest.raises(ConfigError, match="encode must be one of|did you mean 'joint'"):
        mtf.PairClassification(NAMES, encode="joined")


def test_heads_of_texts_refuse_pairs(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(DataError, match=r"row 0 of train: expected one text, or words; found 3"):
        two_head_model.step({"classifier": mtf.Task(train=ROWS)}, learning_rate=1e-3)
