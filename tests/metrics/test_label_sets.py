# SPDX-License-Identifier: Apache-2.0
"""F1 of sets of labels: by hand, as scikit-learn has it, and from sums over redrawn rows."""

from __future__ import annotations

import numpy as np
import pytest

from mtfreeze.comparing.results import TaskScore
from mtfreeze.comparing.sums import RowSums
from mtfreeze.errors import DataError
from mtfreeze.heads.registry import measure_named
from mtfreeze.metrics.label_sets import SET_METRICS, set_metrics

RNG = np.random.default_rng(3)
CASES = [
    *((RNG.random((n, k)) < p, RNG.random((n, k)) < q) for n, k, p, q in [
        (1, 1, 0.5, 0.5), (7, 3, 0.3, 0.6), (40, 5, 0.1, 0.1), (25, 8, 0.9, 0.2),
    ]),
    (np.zeros((4, 3), bool), np.zeros((4, 3), bool)),
    (np.zeros((4, 3), bool), np.ones((4, 3), bool)),
    (np.ones((2, 1), bool), np.ones((2, 1), bool)),
    (np.eye(3, dtype=bool), np.zeros((3, 3), bool)),
]  # fmt: skip


def test_by_hand() -> None:
    found = set_metrics([[1, 0, 0], [1, 1, 0], [0, 0, 0]], [[1, 0, 0], [0, 1, 1], [0, 0, 0]])
    assert found["f1_micro"] == pytest.approx(2 * 2 / (3 + 3))
    assert found["f1_macro"] == pytest.approx((2 / 3 + 1 + 0) / 3)
    assert found["f1_samples"] == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert found["subset_accuracy"] == pytest.approx(2 / 3)
    assert set(set_metrics(np.zeros((0, 3)), np.zeros((0, 3))).values()) == {0.0}
    with pytest.raises(DataError, match=r"found \(2, 3\) and \(2, 2\)"):
        set_metrics(np.zeros((2, 3)), np.zeros((2, 2)))


@pytest.mark.parametrize("case", range(len(CASES)))
def test_as_scikit_learn_has_them(case: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    gold, predicted = (one.astype(int) for one in CASES[case])
    found = set_metrics(gold, predicted)
    for average in ("micro", "macro", "samples"):
        if gold.shape[1] == 1 and average == "samples":
            continue  # one column is no matrix of indicators to scikit-learn
        expected = metrics.f1_score(
            gold, predicted, average="binary" if gold.shape[1] == 1 else average, zero_division=0
        )
        assert found[f"f1_{average}"] == pytest.approx(expected, abs=1e-12)
    assert found["subset_accuracy"] == pytest.approx(metrics.accuracy_score(gold, predicted))


@pytest.mark.parametrize("metric", SET_METRICS)
def test_a_metric_of_redrawn_rows_follows_from_sums(metric: str) -> None:
    measure = measure_named("label_sets")
    rows = np.concatenate(CASES[2], axis=1).astype(np.int64)
    names = tuple(f"label {i}" for i in range(5))
    score = TaskScore("label_sets", metric, names, rows, measure.figures(rows))
    sums = RowSums(score)
    assert sums.whole() == pytest.approx(score.value, abs=1e-12)
    drawn = RNG.integers(0, len(rows), (20, len(rows)))
    weights = np.stack([np.bincount(one, minlength=len(rows)) for one in drawn]).astype(float)
    expected = [measure.figures(rows[one])[metric] for one in drawn]
    np.testing.assert_allclose(sums.values(weights @ sums.columns), expected, atol=1e-12)
