# SPDX-License-Identifier: Apache-2.0
"""Probes, LogME and likenesses: against brute force, and where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from mtfreeze.inputs.packing import PackedBatch
from mtfreeze.recommending import layer_features, probes
from mtfreeze.recommending.probes import cross_validate, fit_probe, folds_of, standardized
from mtfreeze.recommending.similarity import linear_cka, proxy_distance
from mtfreeze.recommending.transferability import log_me


def clouds(n: int, d: int, k: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return features and classes: `k` clouds around centres that are `apart`."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    centres = rng.standard_normal((k, d)) * apart
    return (centres[labels] + rng.standard_normal((n, d))).astype(np.float32), labels


def objective(x: np.ndarray, labels: np.ndarray, weights: np.ndarray, l2: float) -> float:
    """Return J of the probe, written down plainly."""
    scores = x @ weights[:-1] + weights[-1]
    total = 0.0
    for row, label in zip(scores, labels, strict=True):
        total -= row[label] - np.log(np.exp(row - row.max()).sum()) - row.max()
    return total / len(x) + 0.5 * l2 * float((weights[:-1] ** 2).sum())


@pytest.mark.parametrize(("k", "l2"), [(2, 0.3), (3, 0.03), (5, 0.01)])
def test_a_fit_is_the_minimum(k: int, l2: float) -> None:
    features, labels = clouds(60, 7, k, 0.5)
    x = standardized(features)
    weights = fit_probe(x, labels, k, l2)
    at = objective(x, labels, weights, l2)
    rng = np.random.default_rng(1)
    for _ in range(200):
        moved = weights + rng.standard_normal(weights.shape) * 10 ** rng.uniform(-4, 0)
        assert objective(x, labels, moved, l2) > at - 1e-6
    # By finite differences the gradient is zero up to the tolerance of the fit.
    for place in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-5
        slope = objective(x, labels, weights + step, l2) - objective(x, labels, weights - step, l2)
        assert abs(slope / 2e-5) < 2e-3


def test_a_fit_does_not_depend_on_its_start() -> None:
    features, labels = clouds(80, 6, 3, 0.4)
    x = standardized(features)
    start = np.random.default_rng(2).standard_normal((7, 3))
    first, second = fit_probe(x, labels, 3, 0.1), fit_probe(x, labels, 3, 0.1, start)
    difference = np.exp(x @ first[:-1] + first[-1])
    difference /= difference.sum(axis=1, keepdims=True)
    other = np.exp(x @ second[:-1] + second[-1])
    other /= other.sum(axis=1, keepdims=True)
    assert np.abs(difference - other).max() < 0.02


def test_more_features_than_rows_and_constant_features_are_fine() -> None:
    features, labels = clouds(12, 30, 2, 1.0)
    features[:, 3] = 5.0
    weights = fit_probe(standardized(features), labels, 2, 0.3)
    assert np.isfinite(weights).all()
    assert np.abs(weights[3]).max() < 1e-12


def test_folds_keep_sentences_together_and_labels_spread() -> None:
    rng = np.random.default_rng(0)
    rows = np.repeat(np.arange(40), 5)
    labels = np.zeros(200, dtype=np.int64)
    labels[rows % 10 == 0] = 1  # four sentences hold the rare tag
    folds = folds_of(labels, rows, 4, "t")
    for row in range(40):
        assert len(set(folds[rows == row])) == 1
    assert sorted(folds[labels == 1][::5]) == [0, 1, 2, 3]
    assert (folds == folds_of(labels, rows, 4, "t")).all()
    labels = rng.permutation(np.arange(50) % 2)
    folds = folds_of(labels, np.arange(50), 5, "t")
    assert [int(labels[folds == fold].sum()) for fold in range(5)] == [5] * 5


def test_cross_validation_sees_no_row_that_it_predicts() -> None:
    # Every row has a feature of its own: fitted on itself a probe is always right, else at chance.
    features = np.eye(60, dtype=np.float32)
    labels = np.random.default_rng(0).integers(0, 2, 60)
    run = cross_validate(features, labels, 2, folds_of(labels, np.arange(60), 5, "t"))
    assert 0.2 < (run.predicted == labels).mean() < 0.75
    features, labels = clouds(90, 5, 3, 3.0)
    folds = folds_of(labels, np.arange(90), 5, "t")
    assert (cross_validate(features, labels, 3, folds).predicted == labels).mean() > 0.95


def test_half_of_the_rows_know_less() -> None:
    features, labels = clouds(80, 40, 2, 0.25)
    folds = folds_of(labels, np.arange(80), 5, "t")
    whole = cross_validate(features, labels, 2, folds, strengths=(0.1,))
    half = cross_validate(features, labels, 2, folds, strengths=(0.1,), share=0.4)
    assert half.loss > whole.loss


def brute_evidence(features: np.ndarray, y: np.ndarray, alpha: float, beta: float) -> float:
    """Return log N(y; 0, I / beta + F F^T / alpha) a row."""
    n = len(y)
    covariance = np.eye(n) / beta + features @ features.T / alpha
    sign, log_det = np.linalg.slogdet(covariance)
    assert sign > 0
    return float(-0.5 * (n * np.log(2 * np.pi) + log_det + y @ np.linalg.solve(covariance, y))) / n


@pytest.mark.parametrize("shape", [(40, 5), (15, 30)])
def test_log_me_is_the_largest_evidence(shape: tuple[int, int]) -> None:
    features, labels = clouds(*shape, 3, 0.4)
    wide = features.astype(np.float64)
    best = []
    for one in range(3):
        y = (labels == one).astype(np.float64)
        grid = np.exp(np.linspace(-6, 9, 61))
        at = max((brute_evidence(wide, y, a, b), a, b) for a in grid for b in grid)
        fine = np.exp(np.linspace(-0.3, 0.3, 21))
        best.append(max(brute_evidence(wide, y, at[1] * a, at[2] * b) for a in fine for b in fine))
    assert log_me(features, labels, 3) == pytest.approx(np.mean(best), abs=2e-3)


def test_log_me_prefers_features_that_tell_the_classes_apart() -> None:
    far, labels = clouds(90, 10, 3, 2.0)
    near, _ = clouds(90, 10, 3, 0.2)
    noise = np.random.default_rng(3).standard_normal((90, 10)).astype(np.float32)
    assert log_me(far, labels, 3) > log_me(near, labels, 3) > log_me(noise, labels, 3)


def test_linear_cka() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((50, 4))
    turned = a @ np.linalg.qr(rng.standard_normal((4, 4)))[0] * 3 + 7
    assert linear_cka(a, turned) == pytest.approx(1.0)
    centred = a - a.mean(axis=0)
    other = rng.standard_normal((50, 3))
    other -= centred @ np.linalg.lstsq(centred, other, rcond=None)[0]
    other -= other.mean(axis=0)
    assert linear_cka(a, other) == pytest.approx(0.0, abs=1e-12)
    assert linear_cka(a, np.ones((50, 2))) == 0.0


def test_proxy_distance() -> None:
    rng = np.random.default_rng(0)
    a = rng.standard_normal((120, 8)).astype(np.float32)
    b = rng.standard_normal((80, 8)).astype(np.float32)
    same, apart = proxy_distance(a, b, "t"), proxy_distance(a, b + 9, "t")
    assert same is not None and same < 0.6
    assert apart == pytest.approx(2.0)
    assert proxy_distance(a, a, "t") == 0.0  # the same texts are no other domain
    assert proxy_distance(a[:9], b, "t") is None


def test_samples_are_bounded_by_rows_and_by_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layer_features, "MOST_TOKENS", 300)
    monkeypatch.setattr(layer_features, "LEAST_ROWS", 4)
    rows = np.arange(50, dtype=np.int64) * 2
    short, long = np.full(50, 3), np.full(50, 200)
    assert (layer_features.sample(rows, short, 100, "t") == rows).all()
    some = layer_features.sample(rows, short, 10, "t")
    assert len(some) == 10 and (np.diff(some) > 0).all() and set(some) <= set(rows)
    assert (some == layer_features.sample(rows, short, 10, "t")).all()
    assert len(layer_features.sample(rows, long, 100, "t")) == 4
    assert len(layer_features.sample(rows, short * 10, 100, "t")) == 10


def test_a_step_that_leads_nowhere_ends_the_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    worse = iter(range(1000))
    monkeypatch.setattr(probes, "_loss", lambda *_: float(next(worse)))
    x, labels = clouds(20, 3, 2, 1.0)
    start = np.ones((4, 2))
    assert (fit_probe(x, labels, 2, 0.1, start) == start).all()


def test_a_constant_added_to_all_classes_is_no_step() -> None:
    x, chances = np.ones((5, 1)), np.full((5, 2), 0.5)
    gradient = np.ones((1, 2))
    step = probes._newton_step(x, chances, gradient, np.zeros((1, 1)))
    assert (step == -gradient).all()


def test_vectors_of_the_first_and_the_last_token() -> None:
    states = np.arange(10, dtype=np.float32).reshape(5, 2)
    batch = PackedBatch({}, {"tokens": np.array([0, 2, 5])}, {})
    assert layer_features._pool(states, batch, "cls", "tokens").tolist() == [[0, 1], [4, 5]]
    assert layer_features._pool(states, batch, "lasttoken", "tokens").tolist() == [[2, 3], [8, 9]]
