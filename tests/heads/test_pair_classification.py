# SPDX-License-Identifier: Apache-2.0
"""Heads that label pairs of texts: rows, sequences, training, answers, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.inputs.row_encoding import JOINT, PLAIN
from mtfreeze.training.costs import total_costs
from support.small_tasks import quick_fit
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

NAMES = ["yes", "no"]
PAIRS = list(zip(SENTENCES, SENTENCES[1:] + SENTENCES[:1], strict=True))
ROWS = [(*pair, NAMES[i % 2]) for i, pair in enumerate(PAIRS)]


@pytest.fixture(params=["joint", "siamese"])
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
    assert first.cache.n_texts + first.cache.n_reused and first.frozen.ok
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
        ("ab", DataError, "give two texts a row"),
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
    with pytest.raises(ConfigError, match=r"encode .*did you mean .joint."):
        mtf.PairClassification(NAMES, encode="joined")


def test_heads_of_texts_refuse_pairs(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(DataError, match=r"row 0 of train: expected one text, or words; found 3"):
        two_head_model.step({"classifier": mtf.Task(train=ROWS)}, learning_rate=1e-3)


# Texts apart


@pytest.fixture
def siamese(tiny_folder: Path) -> mtf.MultiTaskModel:
    """Return the tiny BERT with a siamese head without dropout."""
    made = mtf.MultiTaskModel.from_pretrained(tiny_folder)
    spec = mtf.PairClassification(["a", "b", "c"], encode="siamese", dropout=0.0)
    return made.add_head("nli", spec)


THREE = [(*pair, "abc"[i % 3]) for i, pair in enumerate(PAIRS)]


def softmax_loss(model: mtf.MultiTaskModel) -> tuple[float, dict[str, Any], Any]:
    """Return loss, gradients of the head and of the pooled vectors, in float64, by the formula."""
    texts = [text for pair in PAIRS for text in pair]
    x = model.forward(texts, ["pooled"])["pooled"].astype(np.float64)
    u, v = x[0::2], x[1::2]
    features = np.concatenate([u, v, np.abs(u - v)], axis=1)
    weight = model.parameters()["nli.weight"].astype(np.float64)
    z = features @ weight.T + model.parameters()["nli.bias"].astype(np.float64)
    p = np.exp(z - z.max(axis=1, keepdims=True))
    p /= p.sum(axis=1, keepdims=True)
    gold = np.array(["abc".index(label) for *_, label in THREE])
    every = np.arange(len(gold))
    value = -np.log(p[every, gold]).mean()
    dz = p.copy()
    dz[every, gold] -= 1
    dz /= len(gold)
    du, dv, apart = np.split(dz @ weight, 3, axis=1)
    side = np.sign(u - v) * apart
    dx = np.empty_like(x)
    dx[0::2], dx[1::2] = du + side, dv - side
    return float(value), {"nli.weight": dz.T @ features, "nli.bias": dz.sum(axis=0)}, dx


def test_it_is_the_softmax_loss_of_both_vectors_and_their_distance(
    siamese: mtf.MultiTaskModel,
) -> None:
    value, of_head, of_pooled = softmax_loss(siamese)
    result = siamese.copy().step({"nli": THREE}, learning_rate=1e-3, dropout=False)
    assert result.losses["nli"] == pytest.approx(value, rel=1e-5)
    found = siamese.gradients({"nli": THREE})
    for key, expected in of_head.items():
        np.testing.assert_allclose(found[key], expected, atol=1e-6, rtol=1e-4)
    siamese.add_head("plain", mtf.SequenceClassification(["a", "b"], dropout=0.0))
    texts = [text for pair in PAIRS for text in pair]
    injected = siamese.gradients(
        {"plain": mtf.Task(train=[(text, "a") for text in texts], weight=0.0)},
        injections={"pooled": of_pooled.astype(np.float32)},
    )
    for key, expected in injected.items():
        if key.startswith("backbone."):
            np.testing.assert_allclose(found[key], expected, atol=2e-6, rtol=1e-3, err_msg=key)


@pytest.mark.parametrize("budget", [1, 15, 60])
def test_no_cut_parts_a_pair(siamese: mtf.MultiTaskModel, budget: int) -> None:
    siamese.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    texts = list(zip(SENTENCES[:3], LABELS, strict=False))
    batch = {"classifier": texts, "nli": THREE}
    whole = siamese.gradients(batch)
    for key, values in siamese.gradients(batch, token_budget=budget).items():
        np.testing.assert_allclose(values, whole[key], atol=1e-6, rtol=1e-4, err_msg=key)


def test_a_pair_has_the_same_bits_in_any_batch(siamese: mtf.MultiTaskModel) -> None:
    many = siamese.predict_proba("nli", PAIRS * 40)
    for i, pair in enumerate(PAIRS):
        assert np.array_equal(siamese.predict_proba("nli", [pair])[0], many[i])
    assert np.array_equal(many, np.tile(many[: len(PAIRS)], (40, 1)))


def test_a_text_of_several_pairs_is_computed_once(siamese: mtf.MultiTaskModel) -> None:
    siamese.freeze("backbone")
    run = quick_fit(siamese, {"nli": mtf.Task(train=THREE, eval=THREE[:5])}, cache="memory")
    assert run.cache.n_texts + run.cache.n_reused == len(SENTENCES)
    alone = quick_fit(
        siamese, {"nli": mtf.Task(train=[(a, a, c) for a, _, c in THREE])}, cache="memory"
    )
    assert alone.cache.n_texts + alone.cache.n_reused == len(SENTENCES)


def test_half_a_pair_is_refused_by_the_core(siamese: mtf.MultiTaskModel) -> None:
    encoded = siamese.encoder.encode_texts(SENTENCES[:2])
    batch: Any = encoded.pack().for_core()
    for pairs, message in (
        ([0, 0, 1], "sequence 1 is the last and has one of the pairs"),
        ([0, 2, 2], "sequence 0 has 2 pairs, the model takes at most 1"),
    ):
        batch["offsets"] = {**batch["offsets"], "pairs": np.array(pairs)}
        with pytest.raises(ValueError, match=message):
            siamese._core.forward(batch, ["nli"])


@pytest.mark.parametrize("freeze", ["none", "backbone"])
def test_flops_are_those_that_the_core_counts(siamese: mtf.MultiTaskModel, freeze: str) -> None:
    siamese.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    siamese.freeze(freeze)
    texts = list(zip(SENTENCES, LABELS, strict=True))
    tasks = {
        "nli": mtf.Task(train=THREE, eval=THREE),
        "classifier": mtf.Task(train=texts, eval=texts),
    }
    given = {"batch_size": 4, "learning_rate": 1e-3, "epochs": 1, "mixing": "joint"}
    total = mtf.estimate(siamese, tasks, cache=False, progress=False, **given).total
    _core.count_flops(True)
    try:
        run = mtf.fit(siamese, tasks, cache=False, progress=False, **given)
        counted = _core.flops()
    finally:
        _core.count_flops(False)
    costs = total_costs(run.costs)
    assert costs.forward_flops + costs.eval_flops == counted.forward > 0
    assert (costs.dx_flops, costs.dw_flops) == (counted.dx, counted.dw)
    assert total.forward_flops + total.eval_flops == counted.forward
    assert (total.dx_flops, total.dw_flops) == (counted.dx, counted.dw)


def test_rows_are_read_once(model: mtf.MultiTaskModel) -> None:
    assert model.predict_all(iter(PAIRS))["nli"] == model.predict("nli", iter(PAIRS))
    assert len(model.forward(iter(PAIRS))["nli"]) == len(PAIRS)


def test_advice_and_estimates_take_pairs(model: mtf.MultiTaskModel) -> None:
    tasks = {"nli": mtf.Task(train=ROWS * 3, eval=ROWS)}
    assert mtf.estimate(model, tasks, epochs=1, progress=False).seconds > 0
    assert mtf.recommend(model, tasks, progress=False).schedule is not None
    assert quick_fit(model, tasks, group_by_length=True).metrics["eval_nli_loss"] > 0


@pytest.mark.parametrize(("encode", "space"), [("joint", "sequences"), ("siamese", "pairs")])
def test_a_head_says_what_it_has_a_row_of_outputs_for(
    tiny_model: mtf.MultiTaskModel, encode: str, space: str
) -> None:
    model = tiny_model.add_head("pair", mtf.PairClassification(["a", "b"], encode=encode))
    (found,) = (info.space for info in model._core.outputs() if info.name == "pair")
    assert model.heads["pair"].space == found == space


def test_one_pair_is_no_list_of_them(two_head_model: mtf.MultiTaskModel) -> None:
    two_head_model.add_head("pairs", mtf.PairClassification(["no", "yes"]))
    with pytest.raises(TypeError, match="expected a list"):
        two_head_model.forward("one text", ["pairs"])
