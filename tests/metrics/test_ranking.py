# SPDX-License-Identifier: Apache-2.0
"""ROC-AUC and average precision: by hand, and as scikit-learn has them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mtfreeze.errors import DataError
from mtfreeze.metrics.per_label import LabelCounts
from mtfreeze.metrics.ranking import average_precision, mean_defined, roc_auc

RNG = np.random.default_rng(7)
CASES = [
    (RNG.random(n) < p, np.round(RNG.random(n), digits).astype(kind))
    for n, p, digits, kind in [
        (2, 0.5, 3, np.float64),
        (50, 0.1, 1, np.float32),  # many equal scores
        (400, 0.5, 2, np.float64),
        (1000, 0.02, 9, np.float32),
    ]
]


def test_by_hand() -> None:
    # Of the four pairs of a right and another item three are in order, one is equal.
    assert roc_auc([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1]) == 3.5 / 4
    # At 0.9 recall 1/2 with precision 1, at 0.5 recall 1 with precision 2/3.
    found = average_precision([1, 0, 1, 0], [0.9, 0.5, 0.5, 0.1])
    assert found == pytest.approx(0.5 + 0.5 * 2 / 3)


@pytest.mark.parametrize("case", range(len(CASES)))
def test_as_scikit_learn_has_them(case: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    right, scores = CASES[case]
    right = right.copy()
    right[:2] = True, False
    assert abs(roc_auc(right, scores) - metrics.roc_auc_score(right, scores)) < 1e-12
    expected = metrics.average_precision_score(right, scores)
    assert abs(average_precision(right, scores) - expected) < 1e-12


def test_what_is_undefined() -> None:
    assert math.isnan(roc_auc([1, 1], [0.1, 0.2])) and math.isnan(roc_auc([0], [0.1]))
    assert math.isnan(average_precision([0, 0], [0.1, 0.2]))
    assert average_precision([1, 1], [0.1, 0.2]) == 1.0
    assert mean_defined([math.nan, 1.0, 0.0]) == 0.5
    assert math.isnan(mean_defined([math.nan]))
    with pytest.raises(DataError, match=r"one score an item; found \(2,\) and \(3,\)"):
        roc_auc([0, 1], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match="found 1 that are NaN"):
        average_precision([0, 1], [0.1, math.nan])


@pytest.mark.parametrize("sets", [False, True])
def test_figures_of_labels_are_those_of_scikit_learn(sets: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    if sets:
        gold, predicted = RNG.random((60, 5)) < 0.3, RNG.random((60, 5)) < 0.4
        gold[:, 4] = False
        given = gold, predicted
    else:
        codes = RNG.integers(0, 4, 60), RNG.integers(0, 5, 60)
        gold, predicted = (one[:, None] == np.arange(6) for one in codes)  # 5 never occurs
        given = codes
    counts = LabelCounts.of(gold, predicted)
    labels = range(gold.shape[1])

    def theirs(average: str | None, which: object = None) -> tuple[object, ...]:
        found = metrics.precision_recall_fscore_support(
            *given, average=average, labels=which, zero_division=0
        )
        return tuple(found[:3])

    for name, expected in zip(counts.figures(), theirs(None, labels), strict=True):
        np.testing.assert_allclose(counts.figures()[name], expected, rtol=0, atol=1e-12)
    own = {
        "micro": counts.micro(),
        "weighted": counts.weighted(),
        "macro": counts.macro(None if sets else counts.occurs),
    }
    for average, values in own.items():
        np.testing.assert_allclose(
            list(values.values()), theirs(average), rtol=0, atol=1e-12, err_msg=average
        )


def test_labels_of_nothing() -> None:
    counts = LabelCounts.of(np.zeros((0, 3)), np.zeros((0, 3)))
    assert set(counts.macro(counts.occurs).values()) == {0.0}
    assert set(counts.weighted().values()) == {0.0}
    with pytest.raises(DataError, match=r"found \(2, 3\) and \(2, 2\)"):
        LabelCounts.of(np.zeros((2, 3)), np.zeros((2, 2)))
