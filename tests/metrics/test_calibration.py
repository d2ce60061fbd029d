# SPDX-License-Identifier: Apache-2.0
"""Calibration error by hand and as scikit-learn bins it; Matthews correlation as it has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze.errors import DataError
from mtfreeze.metrics.calibration import N_BINS, calibration_error
from mtfreeze.metrics.scores import mcc


def test_by_hand() -> None:
    assert calibration_error([True, True], [1.0, 1.0]) == 0.0
    assert calibration_error([], []) == 0.0
    # Two bins: 0.2 and 0.2 with one right, 0.95 wrong.
    found = calibration_error([True, False, False], [0.2, 0.2, 0.95])
    assert found == pytest.approx((abs(1 - 0.4) + 0.95) / 3)
    with pytest.raises(DataError, match=r"one probability an answer; found \(1,\) and \(2,\)"):
        calibration_error([True], [0.5, 0.5])
    with pytest.raises(DataError, match="from 0 to 1"):
        calibration_error([True], [1.5])


@pytest.mark.parametrize("n", [1, 30, 1000])
def test_as_scikit_learn_bins_it(n: int) -> None:
    calibration = pytest.importorskip("sklearn.calibration")
    rng = np.random.default_rng(n)
    shares = np.round(rng.random(n), 2)  # edges of bins are among them
    right = rng.random(n) < shares**2
    true, mean = calibration.calibration_curve(right, shares, n_bins=N_BINS)
    edges = np.linspace(0.0, 1.0, N_BINS + 1)
    sizes = np.bincount(np.searchsorted(edges[1:-1], shares), minlength=N_BINS)
    expected = (np.abs(true - mean) * sizes[sizes > 0]).sum() / n
    assert calibration_error(right, shares) == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize(
    ("gold", "predicted"),
    [
        (np.arange(30) % 3, np.arange(30) // 2 % 3),
        (np.arange(9) % 2, np.arange(9) % 2),
        (np.zeros(5, int), np.arange(5) % 2),
        (np.arange(5) % 2, np.ones(5, int)),
        (np.zeros(3, int), np.zeros(3, int)),
    ],
)
def test_matthews_is_that_of_scikit_learn(gold: Any, predicted: Any) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    expected = metrics.matthews_corrcoef(gold, predicted)
    assert mcc(gold, predicted) == pytest.approx(expected, abs=1e-12)
