# SPDX-License-Identifier: Apache-2.0
"""The estimators keep scikit-learn's conventions, on texts.

``check_estimator`` feeds numbers, and for estimators of texts leaves out every check but cloning:
passing it says nothing. Its checks that need no data run here as they are; those that fit run with
texts, by the same names.
"""

from __future__ import annotations

import importlib
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.texts import LABELS, SENTENCES, TAGGED

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone, is_classifier  # noqa: E402
from sklearn.exceptions import NotFittedError  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402
from sklearn.model_selection import GridSearchCV, cross_val_score  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import FunctionTransformer  # noqa: E402
from sklearn.utils import estimator_checks  # noqa: E402

from mtfreeze.sklearn import FrozenEncoder, TextClassifier, TokenTagger  # noqa: E402

WORDS = [words for words, _ in TAGGED]
TAG_LISTS = [tags for _, tags in TAGGED]
DATA: dict[str, tuple[list[Any], list[Any]]] = {
    "TextClassifier": (SENTENCES, LABELS),
    "TokenTagger": (WORDS, TAG_LISTS),
    "FrozenEncoder": (SENTENCES, LABELS),
}
NAMES = list(DATA)
WITHOUT_DATA = [
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_get_params_invariance",
    "check_mixin_order",
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_set_params",
    "check_valid_tag_types",
]
"""Checks of scikit-learn that fit nothing."""


@pytest.fixture
def estimator(request: pytest.FixtureRequest, tiny_folder: Path) -> Any:
    """One of the three on the tiny BERT."""
    return made(request.param, tiny_folder)


def made(name: str, folder: Path) -> Any:
    if name == "FrozenEncoder":
        return FrozenEncoder(str(folder))
    kind = {"TextClassifier": TextClassifier, "TokenTagger": TokenTagger}[name]
    return kind(str(folder), epochs=1, batch_size=4)


def answers(estimator: Any, rows: Any) -> Any:
    return estimator.transform(rows) if hasattr(estimator, "transform") else estimator.predict(rows)


def same(a: Any, b: Any) -> bool:
    return bool(np.array_equal(a, b)) if isinstance(a, np.ndarray) else a == b


each = pytest.mark.parametrize("estimator", NAMES, indirect=True)


@each
@pytest.mark.parametrize("check", WITHOUT_DATA)
def test_a_check_of_scikit_learn(estimator: Any, check: str) -> None:
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@each
def test_fit_returns_self_and_leaves_arguments_and_data_alone(estimator: Any) -> None:
    X, y = DATA[type(estimator).__name__]
    before, rows, labels = estimator.get_params(), list(X), list(y)
    assert estimator.fit(X, y) is estimator
    assert estimator.get_params() == before and (X, y) == (rows, labels)
    learned = {name for name in vars(estimator) if name not in before}
    assert learned and all(name.endswith("_") for name in learned)
    state = {name: id(value) for name, value in vars(estimator).items()}
    answers(estimator, X)
    assert {name: id(value) for name, value in vars(estimator).items()} == state


@each
def test_before_fit_it_says_so(estimator: Any) -> None:
    with pytest.raises(NotFittedError):
        answers(estimator, DATA[type(estimator).__name__][0])


@each
def test_fit_begins_anew_and_a_clone_learns_the_same(estimator: Any) -> None:
    X, y = DATA[type(estimator).__name__]
    first = answers(estimator.fit(X, y), X)
    assert same(answers(estimator.fit(X, y), X), first)
    copy = clone(estimator)
    with pytest.raises(NotFittedError):
        answers(copy, X)
    assert same(answers(copy.fit(X, y), X), first)


@each
def test_the_order_of_rows_does_not_matter_to_answers(estimator: Any) -> None:
    X, y = DATA[type(estimator).__name__]
    estimator.fit(X, y)
    assert same(answers(estimator, X[::-1])[::-1], answers(estimator, X))
    assert same(answers(estimator, X[:2]), answers(estimator, X)[:2])


@each
def test_a_pickle_answers_the_same(estimator: Any) -> None:
    X, y = DATA[type(estimator).__name__]
    again = pickle.loads(pickle.dumps(estimator.fit(X, y)))
    assert same(answers(again, X), answers(estimator, X))
    assert again.get_params() == estimator.get_params()


@pytest.mark.parametrize("labels", [LABELS, [int(one == "positive") for one in LABELS]])
def test_a_classifier_gives_labels_back_as_they_were(tiny_folder: Path, labels: Any) -> None:
    classifier = TextClassifier(tiny_folder, freeze=None, epochs=30, settings={"warmup_ratio": 0.0})
    classifier.set_params(learning_rate=3e-3).fit(np.array(SENTENCES), np.array(labels))
    assert is_classifier(classifier)
    assert classifier.classes_.tolist() == sorted(set(labels))
    assert classifier.predict(SENTENCES).tolist() == labels
    assert classifier.score(SENTENCES, labels) == 1.0
    shares = classifier.predict_proba(SENTENCES)
    assert shares.shape == (10, 2) and np.allclose(shares.sum(axis=1), 1, atol=1e-6)


def test_what_is_frozen_keeps_its_bits(tiny_model: mtf.MultiTaskModel) -> None:
    """And the model that was given is as it was."""
    before = {key: values.copy() for key, values in tiny_model.parameters().items()}
    for freeze, moved in (("backbone", False), ("backbone[:2]", True), (["backbone"], False)):
        fitted = TextClassifier(tiny_model, freeze=freeze, batch_size=2).fit(SENTENCES, LABELS)
        after = fitted.model_.parameters()
        changed = any(not np.array_equal(before[key], after[key]) for key in before)
        assert changed == moved and fitted.model_ is not tiny_model
    assert not tiny_model.heads
    assert all(np.array_equal(one, tiny_model.parameters()[key]) for key, one in before.items())


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.long)])
def test_grid_search_over_what_is_frozen(tiny_folder: Path, jobs: int) -> None:
    grid = {"freeze": ["backbone", "none"], "hidden": [(), (8,)]}
    search = GridSearchCV(made("TextClassifier", tiny_folder), grid, cv=2, n_jobs=jobs)
    search.fit(SENTENCES, LABELS)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.predict(SENTENCES[:1])[0] in LABELS
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_pipelines(tiny_folder: Path) -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    encoder = FrozenEncoder(tiny_folder)
    whole = make_pipeline(lower, encoder, LogisticRegression()).fit(SENTENCES, LABELS)
    assert set(whole.predict(SENTENCES)) <= set(LABELS)
    assert len(encoder.fit(SENTENCES).get_feature_names_out()) == 48
    assert encoder.fit_transform(SENTENCES).dtype == np.float32
    search = GridSearchCV(
        make_pipeline(FrozenEncoder(tiny_folder), LogisticRegression()),
        {"frozenencoder__pooling": ["mean", "cls"]},
        cv=2,
    )
    assert search.fit(SENTENCES, LABELS).best_params_["frozenencoder__pooling"] in ("mean", "cls")


def test_an_encoder_encodes(tiny_model: mtf.MultiTaskModel) -> None:
    found = FrozenEncoder(tiny_model).fit(SENTENCES).transform(SENTENCES)
    assert np.array_equal(found, tiny_model.encode(SENTENCES))
    plain = FrozenEncoder(tiny_model, normalize=False).fit(SENTENCES).transform(SENTENCES)
    assert np.array_equal(plain, tiny_model.encode(SENTENCES, normalize_embeddings=False))


def test_a_tagger_scores_entities(tiny_folder: Path) -> None:
    tagger = TokenTagger(tiny_folder, freeze="none", epochs=40, batch_size=4, learning_rate=3e-3)
    tagger.fit(WORDS, TAG_LISTS)
    assert tagger.predict(WORDS) == TAG_LISTS
    assert tagger.score(WORDS, TAG_LISTS) == 1.0
    assert tagger.tags_[0] == "O"
    scores = cross_val_score(made("TokenTagger", tiny_folder), WORDS, TAG_LISTS, cv=2)
    assert scores.shape == (2,) and np.isfinite(scores).all()


FAULTS: dict[str, tuple[str, dict[str, Any], Any, Any, type[Exception], str]] = {
    "one text": ("TextClassifier", {}, "good", LABELS, TypeError, "X must be texts"),
    "a table": ("TextClassifier", {}, np.array([SENTENCES]), LABELS, TypeError, r"shape \(1, 10\)"),
    "numbers": ("TextClassifier", {}, [1.0] * 10, LABELS, TypeError, "text"),
    "a missing label": ("TextClassifier", {}, SENTENCES, LABELS[:9], mtf.DataError, "9 labels"),
    "labels of two types": ("TextClassifier", {}, SENTENCES, [1, *LABELS[1:]], TypeError, "row 1"),
    "no label": ("TextClassifier", {}, SENTENCES, [None, *LABELS[1:]], TypeError, "row 0 None"),
    "NaN": ("TextClassifier", {}, SENTENCES, [*range(9), np.nan], TypeError, "row 9"),
    "one class": ("TextClassifier", {}, SENTENCES, ["a"] * 10, ValueError, "two"),
    "no rows": ("TextClassifier", {}, [], [], ValueError, "labels"),
    "a selector": ("TextClassifier", {"freeze": "bakcbone"}, SENTENCES, LABELS, LookupError, "did"),
    "settings": ("TextClassifier", {"settings": 3}, SENTENCES, LABELS, TypeError, "settings"),
    "a setting twice": (
        *("TextClassifier", {"settings": {"epochs": 3}}, SENTENCES, LABELS, mtf.ConfigError),
        "give epochs= to the estimator",
    ),
    "the seed": (
        *("TextClassifier", {"settings": {"seed": 3}}, SENTENCES, LABELS, mtf.ConfigError),
        "random_state",
    ),
    "a random state": (
        *("TextClassifier", {"random_state": None}, SENTENCES, LABELS, TypeError),
        "random_state",
    ),
    "unsplit words": ("TokenTagger", {}, SENTENCES, TAG_LISTS * 2, TypeError, r"X\[0\].*split"),
    "unsplit tags": ("TokenTagger", {}, WORDS, ["O"] * 5, TypeError, r"y\[0\]"),
    "a missing tag": (
        *("TokenTagger", {}, WORDS, [TAG_LISTS[0][:2], *TAG_LISTS[1:]], mtf.DataError),
        "row 0: expected a tag",
    ),
    "texts to encode": ("FrozenEncoder", {}, "good", None, TypeError, "X must be texts"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_bad_input(case: str, tiny_folder: Path) -> None:
    name, changes, X, y, error, message = FAULTS[case]
    estimator = made(name, tiny_folder).set_params(**changes)
    with pytest.raises(error, match=message):
        estimator.fit(X, y)
    assert not hasattr(estimator, "model_")


def test_a_pooling_for_a_model_that_is_loaded(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(mtf.ConfigError, match=r"from_pretrained\(pooling="):
        FrozenEncoder(tiny_model, pooling="cls").fit(SENTENCES)


def test_without_scikit_learn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [one for one in sys.modules if one.startswith("mtfreeze.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"needs scikit-learn.*pip install 'mtfreeze\[sklearn\]'"):
        importlib.import_module("mtfreeze.sklearn")
