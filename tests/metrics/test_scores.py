# SPDX-License-Identifier: Apache-2.0
"""Metrics: equal to scikit-learn and seqeval where installed, and to committed cases everywhere."""

from __future__ import annotations

import importlib.util
import warnings
from typing import Any

import numpy as np
import pytest

from mtfreeze.errors import DataError
from mtfreeze.metrics import scores as metrics
from mtfreeze.metrics.scores import entity_scores

has_seqeval = importlib.util.find_spec("seqeval") is not None
needs_seqeval = pytest.mark.skipif(not has_seqeval, reason="seqeval not installed")
needs_sklearn = pytest.mark.skipif(
    importlib.util.find_spec("sklearn") is None, reason="scikit-learn not installed"
)

# gold tags | predicted tags | precision, recall, F1 as seqeval 1.2.2 gives them in strict IOB2
ENTITY_CASES = [
    ("B-a I-a O B-b", "B-a I-a O B-b", 1.0, 1.0, 1.0),
    ("B-a I-a O B-b", "B-a O O B-b", 0.5, 0.5, 0.5),
    ("B-a I-a O", "I-a I-a O", 0.0, 0.0, 0.0),
    ("B-a I-b I-a", "B-a O O", 1.0, 1.0, 1.0),
    ("B-a B-a", "B-a I-a", 0.0, 0.0, 0.0),
    ("O O", "O O", 0.0, 0.0, 0.0),
    ("O O", "B-a O", 0.0, 0.0, 0.0),
    ("B-a O B-b B-c", "B-a O B-c O", 0.5, 1 / 3, 0.4),
    ("B-a I-a B-a I-a O B-b I-b", "B-a I-a B-a O O B-b I-b", 2 / 3, 2 / 3, 2 / 3),
]


@pytest.mark.parametrize(("gold", "predicted", "precision", "recall", "f1"), ENTITY_CASES)
def test_entity_cases(
    gold: str, predicted: str, precision: float, recall: float, f1: float
) -> None:
    overall, _ = entity_scores([gold.split()], [predicted.split()])
    assert (overall.precision, overall.recall, overall.f1) == pytest.approx((precision, recall, f1))


def seqeval_scores(gold: list[list[str]], predicted: list[list[str]]) -> dict[str, Any]:
    from seqeval.metrics import classification_report
    from seqeval.scheme import IOB2

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = classification_report(
            gold, predicted, mode="strict", scheme=IOB2, output_dict=True, zero_division=0
        )
    assert isinstance(report, dict)
    return report


def check_against_seqeval(gold: list[list[str]], predicted: list[list[str]]) -> None:
    overall, by_type = entity_scores(gold, predicted)
    if not overall.n_gold + overall.n_predicted:
        assert (overall.precision, overall.recall, overall.f1) == (0.0, 0.0, 0.0)
        return
    report = seqeval_scores(gold, predicted)
    assert set(by_type) == set(report) - {"micro avg", "macro avg", "weighted avg"}
    for name, score in [("micro avg", overall), *by_type.items()]:
        expected = report[name]
        found = (score.precision, score.recall, score.f1)
        assert found == pytest.approx(
            (expected["precision"], expected["recall"], expected["f1-score"]), abs=1e-12
        )
        assert score.n_gold == expected["support"]


@needs_seqeval
@pytest.mark.parametrize("case", ENTITY_CASES)
def test_the_committed_cases_are_seqevals(case: tuple[str, str, float, float, float]) -> None:
    gold, predicted, *expected = case
    check_against_seqeval([gold.split()], [predicted.split()])
    if "B-" in gold + predicted:
        micro = seqeval_scores([gold.split()], [predicted.split()])["micro avg"]
        assert [micro["precision"], micro["recall"], micro["f1-score"]] == pytest.approx(expected)


@needs_seqeval
def test_entities_equal_seqeval_on_any_tags() -> None:
    pytest.importorskip("hypothesis")
    from hypothesis import given, settings
    from hypothesis import strategies as st

    tags = "O O B-a I-a B-b I-b B-creative-work I-creative-work"
    tag = st.sampled_from(tags.split())
    pair = st.lists(st.tuples(tag, tag), max_size=12)

    @settings(max_examples=300, deadline=None, derandomize=True)
    @given(st.lists(pair, min_size=1, max_size=5))
    def check(sentences: list[list[tuple[str, str]]]) -> None:
        gold = [[a for a, _ in sentence] for sentence in sentences]
        predicted = [[b for _, b in sentence] for sentence in sentences]
        check_against_seqeval(gold, predicted)

    check()


def test_entities_by_type_and_counts() -> None:
    overall, by_type = entity_scores([["B-a", "I-a", "O"], ["B-b"]], [["B-a", "I-a", "B-c"], ["O"]])
    assert list(by_type) == ["a", "b", "c"]
    assert (overall.n_gold, overall.n_predicted, overall.n_correct) == (2, 2, 1)
    assert by_type["a"].f1 == 1.0
    assert by_type["b"] == metrics.EntityScore(0.0, 0.0, 0.0, 1, 0, 0)
    assert by_type["c"] == metrics.EntityScore(0.0, 0.0, 0.0, 0, 1, 0)


def test_shapes_must_agree() -> None:
    with pytest.raises(DataError, match="expected predicted tags for 1 sentences; found 2"):
        entity_scores([["O"]], [["O"], ["O"]])
    with pytest.raises(DataError, match=r"sentence 0: expected one .* per word \(2\); found 1"):
        entity_scores([["O", "O"]], [["O"]])
    with pytest.raises(DataError, match=r"one prediction per gold label \(2\); found 1"):
        metrics.accuracy([0, 1], [0])
    with pytest.raises(DataError, match="class indices from 0; found -100"):
        metrics.accuracy([0, -100], [0, 1])
    with pytest.raises(DataError, match="class indices below 2; found 2"):
        metrics.confusion_matrix([0, 1], [0, 2], n_classes=2)
    with pytest.raises(TypeError, match="one-dimensional array of class indices, found float64"):
        metrics.f1_macro([0.5, 1.0], [0, 1])


def test_classification_by_hand() -> None:
    gold, predicted = [0, 0, 1, 2, 2, 2], [0, 1, 1, 2, 2, 0]
    assert metrics.accuracy(gold, predicted) == pytest.approx(4 / 6)
    assert metrics.confusion_matrix(gold, predicted).tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 2]]
    assert metrics.f1_per_class(gold, predicted, 4) == pytest.approx([1 / 2, 2 / 3, 4 / 5, 0.0])
    assert metrics.f1_macro(gold, predicted) == pytest.approx((1 / 2 + 2 / 3 + 4 / 5) / 3)
    # Gorodkin's R_K from the sums of that matrix: trace 4, rows 2 1 3, columns 2 2 2.
    assert metrics.mcc(gold, predicted) == pytest.approx((4 * 6 - 12) / np.sqrt(24 * 22))


def test_classification_corner_cases() -> None:
    assert metrics.sequence_metrics([], []) == {"accuracy": 0.0, "f1_macro": 0.0, "mcc": 0.0}
    assert metrics.f1_macro([0, 0], [0, 0]) == 1.0
    assert metrics.f1_macro([5, 5], [5, 7]) == pytest.approx((2 / 3 + 0.0) / 2)
    assert metrics.mcc([0, 0], [0, 1]) == 0.0
    assert metrics.mcc([0, 1], [1, 0]) == pytest.approx(-1.0)


@needs_sklearn
@pytest.mark.parametrize("seed", range(20))
def test_classification_equals_sklearn(seed: int) -> None:
    from sklearn.metrics import confusion_matrix, f1_score, matthews_corrcoef

    rng = np.random.default_rng(seed)
    n, classes = int(rng.integers(1, 40)), int(rng.integers(2, 7))
    gold, predicted = rng.integers(0, classes, n), rng.integers(0, classes, n)
    if seed % 3 == 0:  # an absent class, one that is never right, one that is never predicted
        gold, predicted = gold * 2, np.where(predicted == 1, 11, predicted * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = np.arange(13)
        f1 = f1_score(gold, predicted, average="macro", zero_division=0)
        by_class = f1_score(gold, predicted, average=None, labels=names, zero_division=0)
        matrix = confusion_matrix(gold, predicted, labels=names)
        mcc = matthews_corrcoef(gold, predicted)
    assert metrics.f1_macro(gold, predicted) == pytest.approx(f1, abs=1e-12)
    assert metrics.f1_per_class(gold, predicted, 13) == pytest.approx(by_class, abs=1e-12)
    assert (metrics.confusion_matrix(gold, predicted, 13) == matrix).all()
    assert metrics.mcc(gold, predicted) == pytest.approx(mcc, abs=1e-12)


def test_token_metrics_and_baselines() -> None:
    gold = [["B-a", "I-a", "O"], ["O"]]
    found = metrics.token_metrics(gold, [["B-a", "I-a", "O"], ["B-a"]])
    assert found == {"f1": pytest.approx(2 / 3), "precision": 0.5, "recall": 1.0, "accuracy": 0.75}
    assert tuple(found) == metrics.TOKEN_METRICS
    assert metrics.token_baseline(gold, gold) == {
        "f1": 0.0,
        "precision": 0.0,
        "recall": 0.0,
        "accuracy": 0.5,
    }
    assert metrics.token_metrics([], [])["accuracy"] == 0.0
    baseline = metrics.sequence_baseline([1, 1, 0, -100], [1, 0, 1, 1])
    assert baseline["accuracy"] == 0.75
    assert baseline["f1_macro"] == pytest.approx((2 * 3 / 7 + 0) / 2)
    assert tuple(baseline) == metrics.SEQUENCE_METRICS
    assert metrics.majority_label([2, 1, 2, 1]) == 1
    with pytest.raises(DataError, match="at least one labelled row"):
        metrics.majority_label([-100])


def test_names() -> None:
    assert metrics.metric_name("classifier", "accuracy") == "eval_classifier_accuracy"
    assert metrics.metric_name("ner", "f1", split="test") == "test_ner_f1"
