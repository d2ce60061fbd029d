# SPDX-License-Identifier: Apache-2.0
"""`few_shot`: pairs of a few rows, then a logistic head; what it changes and what it leaves."""

from __future__ import annotations

from itertools import combinations_with_replacement
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.labelled_pairs import MOST_PAIRS, draw_pairs
from mtfreeze.errors import ConfigError, DataError, SelectorError
from mtfreeze.training.logistic import fit_classes, fit_labels
from support.bits import bits, changed
from support.texts import SENTENCES

NAMES = ["negative", "positive"]
ROWS = [(text, NAMES[i % 2]) for i, text in enumerate(SENTENCES)]
SETTINGS: dict[str, Any] = {"progress": False, "learning_rate": 1e-3}


@pytest.fixture
def model(two_head_model: mtf.MultiTaskModel) -> mtf.MultiTaskModel:
    """A model with two heads."""
    return two_head_model


# ---- pairs ---------------------------------------------------------------------------------------

LABELS = np.array([0, 1, 1, 2, 0, 1], np.int32)
MANY = np.array([[1, 0, 1], [0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]], np.float32)


def every_pair(labels: Any) -> dict[tuple[int, int], bool]:
    """Return all pairs and whether they are alike, written down independently."""

    def alike(i: int, j: int) -> bool:
        if labels.ndim == 1:
            return bool(labels[i] == labels[j])
        return bool(np.logical_and(labels[i], labels[j]).any())

    return {pair: alike(*pair) for pair in combinations_with_replacement(range(len(labels)), 2)}


@pytest.mark.parametrize("labels", [LABELS, MANY], ids=["one label", "several labels"])
@pytest.mark.parametrize("pairs", ["oversampling", "undersampling", "unique", 1, 7])
def test_pairs_are_as_many_as_said_and_alike_where_labels_are(labels: Any, pairs: Any) -> None:
    first, second, alike = draw_pairs(labels, pairs, seed=3)
    known = every_pair(labels)
    p, q = sum(known.values()), len(known) - sum(known.values())
    n = len(labels)
    wanted = {
        "oversampling": (max(p, q),) * 2, "undersampling": (min(p, q),) * 2, "unique": (p, q),
    }.get(pairs, (n * pairs if pairs in (1, 7) else 0,) * 2)  # fmt: skip
    assert (int(alike.sum()), int((~alike).sum())) == wanted
    drawn = list(zip(first.tolist(), second.tolist(), strict=True))
    assert all(known[pair] == one for pair, one in zip(drawn, alike.tolist(), strict=True))
    for kind, total in ((True, p), (False, q)):
        own = [pair for pair, one in zip(drawn, alike, strict=True) if one == kind]
        assert len(set(own[:total])) == min(len(own), total)  # all before any comes again
    both = min(wanted)
    assert alike[: 2 * both].tolist() == [True, False] * both  # by turns


def test_pairs_depend_on_the_seed_alone() -> None:
    one, again, other = (draw_pairs(LABELS, "unique", seed) for seed in (0, 0, 1))
    assert all(np.array_equal(*pair) for pair in zip(one, again, strict=True))
    assert not all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


def test_pairs_of_many_rows_take_no_room_for_all() -> None:
    """30,000 rows have 450 million pairs."""
    n = 30_000
    first, second, alike = draw_pairs((np.arange(n) % 3).astype(np.int32), 1, seed=0)
    assert len(first) == 2 * n and ((first % 3 == second % 3) == alike).all()
    assert len({*zip(first.tolist(), second.tolist(), strict=True)}) == 2 * n
    with pytest.raises(ConfigError, match="pairs=20"):
        draw_pairs(np.zeros(n, np.int32), "oversampling", seed=0)
    assert n * n / 2 > MOST_PAIRS


# ---- the head ------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_classes", [2, 3, 5])
@pytest.mark.parametrize("intercept", [True, False])
def test_the_regression_is_that_of_scikit_learn(n_classes: int, intercept: bool) -> None:
    linear = pytest.importorskip("sklearn.linear_model", reason="the reference")
    rng = np.random.default_rng(n_classes)
    x = rng.normal(size=(40, 6)) + 0.3
    y = np.arange(40) % n_classes
    weights, biases = fit_classes(x, y, n_classes, intercept)
    theirs = linear.LogisticRegression(fit_intercept=intercept, tol=1e-12, max_iter=10_000)
    z = x @ weights.T + biases
    p = np.exp(z - z.max(axis=1, keepdims=True))
    wanted = theirs.fit(x, y).predict_proba(x)
    np.testing.assert_allclose(p / p.sum(axis=1, keepdims=True), wanted, atol=1e-6)
    there = np.stack([y == 0, y > 0], axis=1)
    ours = fit_labels(x, there, intercept)[0]
    for row, column in zip(ours, there.T, strict=True):
        np.testing.assert_allclose(row, theirs.fit(x, column).coef_[0], atol=1e-5)


def test_it_learns_rows_that_can_be_told_apart(model: mtf.MultiTaskModel) -> None:
    run = mtf.few_shot(model, "classifier", ROWS, ROWS, epochs=3, **SETTINGS)
    assert run.metrics["eval_classifier_accuracy"] > 0.8
    assert run.history[-1]["eval_classifier_accuracy"] == run.metrics["eval_classifier_accuracy"]
    assert model.heads["classifier"].trained and list(model.heads) == ["classifier", "ner_head"]


def test_the_head_is_the_regression_on_what_it_reads(tiny_model: mtf.MultiTaskModel) -> None:
    for features, normalize in (("pooled", False), ("embedding", None)):
        spec = mtf.SequenceClassification(NAMES, features=features)
        model = tiny_model.copy().add_head("classifier", spec)
        mtf.few_shot(model, "classifier", ROWS, **SETTINGS)
        x = model.encode(SENTENCES, normalize_embeddings=normalize)
        weights, biases = fit_classes(x, np.arange(len(ROWS)) % 2, 2, intercept=True)
        found = model.parameters()
        np.testing.assert_array_equal(found["classifier.weight"], weights.astype(np.float32))
        np.testing.assert_array_equal(found["classifier.bias"], biases.astype(np.float32))


@pytest.mark.parametrize("train", ["backbone", "backbone.layers[2:]"])
def test_only_what_is_named_moves(model: mtf.MultiTaskModel, train: str) -> None:
    model.freeze("backbone.embeddings", pin=False)
    state, before = model.freeze_state(), bits(model.parameters())
    run = mtf.few_shot(model, "classifier", ROWS, train=train, **SETTINGS)
    moved = set(changed(before, model.parameters()))
    named = {key for key, on in zip(model.index.keys, model.select(train), strict=True) if on}
    assert moved == named | {"classifier.weight", "classifier.bias"}
    assert model.freeze_state() == state and run.verify_frozen().ok


def test_what_is_pinned_stays(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone[:2]")
    before = bits(model.parameters())
    run = mtf.few_shot(model, "classifier", ROWS, **SETTINGS)
    pinned = model.freeze_state().pinned
    moved = set(changed(before, model.parameters()))
    assert pinned and run.frozen.ok and moved and not moved & pinned


def test_below_a_pinned_backbone_only_the_head_learns(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone")
    before = bits(model.parameters())
    run = mtf.few_shot(model, "classifier", ROWS, **SETTINGS)
    assert not run.n_steps and any("trains nothing" in note for note in run.notes)
    assert set(changed(before, model.parameters())) == {"classifier.weight", "classifier.bias"}


def test_the_same_seed_gives_the_same_bits(model: mtf.MultiTaskModel) -> None:
    twin, other = model.copy(), model.copy()
    for one, seed in ((model, 1), (twin, 1), (other, 2)):
        mtf.few_shot(one, "classifier", ROWS, seed=seed, **SETTINGS)
    assert bits(model.parameters()) == bits(twin.parameters())
    assert bits(model.parameters()) != bits(other.parameters())


# ---- what is refused -----------------------------------------------------------------------------

BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an unknown head": ({"head": "clasifier"}, SelectorError, "did you mean 'classifier'"),
    "a head of words": ({"head": "ner_head"}, ConfigError, "gives labels to texts"),
    "a head with layers": ({"head": "deep"}, ConfigError, "without hidden layers"),
    "a pooling of its own": ({"head": "own"}, ConfigError, "the model's own pooling"),
    "a label without rows": ({"rows": ROWS[::2]}, DataError, "none of 'positive'"),
    "an unknown label": ({"rows": [("a", "neutral")]}, DataError, "neutral"),
    "no rows": ({"rows": []}, DataError, "at least one row"),
    "other pairs": ({"pairs": "oversample"}, ConfigError, "did you mean 'oversampling'"),
    "no pairs": ({"pairs": 0}, ConfigError, "at least 1"),
    "pairs of no kind": ({"pairs": None}, TypeError, "pairs"),
    "no epoch": ({"epochs": 0}, ConfigError, "at least 1"),
    "an unknown part": ({"train": "backbone.layers[9:]"}, SelectorError, "layers"),
    "a rate that is none": ({"learning_rate": -1.0}, ConfigError, "learning_rate"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_arguments_change_nothing(model: mtf.MultiTaskModel, case: str) -> None:
    changes, kind, message = BAD[case]
    model.add_head("deep", mtf.SequenceClassification(NAMES, hidden=(4,)))
    model.add_head("own", mtf.SequenceClassification(NAMES, pooling="cls"))
    state, before = model.freeze_state(), bits(model.parameters())
    arguments: dict[str, Any] = {"head": "classifier", "rows": ROWS, **SETTINGS, **changes}
    with pytest.raises(kind, match=message):
        mtf.few_shot(model, arguments.pop("head"), arguments.pop("rows"), **arguments)
    assert not changed(before, model.parameters()) and model.freeze_state() == state
    assert list(model.heads) == ["classifier", "ner_head", "deep", "own"]


def test_a_frozen_head_is_refused(model: mtf.MultiTaskModel) -> None:
    with pytest.warns(mtf.FreezeWarning):
        model.freeze("classifier")
    with pytest.raises(ConfigError, match=r"model\.unfreeze\('classifier'\)"):
        mtf.few_shot(model, "classifier", ROWS, **SETTINGS)
