# SPDX-License-Identifier: Apache-2.0
"""Losses of outputs at hand as `mtfreeze._core` computes them, and its assignments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import SelectorError
from mtfreeze.runtime import threads
from support import core_models as cm

SEED = 11


def matrices(n: int) -> Any:
    """Yield matrices of costs: of any sizes, with ties, far from zero, of one sign."""
    random = np.random.default_rng(SEED)
    for i in range(n):
        shape = random.integers(0, 14, 2)
        yield (
            random.normal(size=shape),
            random.integers(0, 4, shape).astype(np.float64),
            random.uniform(-1e6, 1e6, shape),
            -random.exponential(size=shape),
        )[i % 4]


@pytest.mark.parametrize("n", [1000, pytest.param(10_000, marks=pytest.mark.long)])
def test_assignments_cost_what_those_of_scipy_cost(n: int) -> None:
    optimize = pytest.importorskip("scipy.optimize")
    for costs in matrices(n):
        columns = _core.assignment(costs)
        rows = np.flatnonzero(columns >= 0)
        assert len(set(columns[rows])) == len(rows) == min(costs.shape)
        best = costs[optimize.linear_sum_assignment(costs)].sum()
        most = np.abs(costs).max(initial=1)
        assert costs[rows, columns[rows]].sum() == pytest.approx(best, rel=0, abs=1e-12 * most)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e301])
def test_costs_that_are_no_numbers_are_named(bad: float) -> None:
    costs = np.zeros((2, 3))
    costs[1, 2] = bad
    with pytest.raises(ValueError, match="row 1, column 2: expected a finite number"):
        _core.assignment(costs)


def test_costs_have_two_dimensions() -> None:
    with pytest.raises(ValueError, match="costs must have two dimensions, found 1"):
        _core.assignment(np.zeros(3))


def test_values_are_the_means_of_each_sequence_alone() -> None:
    random = np.random.default_rng(SEED)
    logits = random.normal(size=(12, 4)).astype(np.float32)
    found = _core.loss_values("cross_entropy", logits, cm.TOKEN_LABELS, cm.STARTS)
    shares = logits - np.log(np.exp(logits.astype(np.float64)).sum(1, keepdims=True))
    for i, (first, last) in enumerate(zip(cm.STARTS, cm.STARTS[1:], strict=False)):
        labels = cm.TOKEN_LABELS[first:last]
        rows = np.flatnonzero(labels != _core.IGNORE_LABEL)
        assert found[i] == pytest.approx(-shares[first + rows, labels[rows]].mean(), rel=1e-6)


def test_a_sequence_without_a_target_has_no_value() -> None:
    rows = np.array([[1.0], [np.nan], [3.0]], np.float32)
    found = _core.loss_values("mse", np.zeros((3, 1), np.float32), rows, np.array([0, 1, 2, 3]))
    np.testing.assert_array_equal(found, [1, np.nan, 9])


def boxes(n_pictures: int) -> tuple[Any, Any, Any]:
    """Return answers of two layers about pictures of 100 queries, targets and offsets."""
    random = np.random.default_rng(SEED)
    outputs = random.uniform(0, 1, (n_pictures * 100, 2 * 12)).astype(np.float32)
    targets = np.full((n_pictures * 100, 5), -1, np.float32)
    for i in range(n_pictures):
        n = int(random.integers(0, 30))
        targets[i * 100 : i * 100 + n] = random.uniform(0.1, 0.9, (n, 5))
        targets[i * 100 : i * 100 + n, 0] = random.integers(0, 7, n)
    return outputs, targets, np.arange(n_pictures + 1) * 100


def test_a_set_has_the_same_bits_at_any_thread_count() -> None:
    outputs, targets, offsets = boxes(5)
    before = threads.get_threads()
    try:
        threads.set_threads(1)
        alone = _core.loss_values("set", outputs, targets, offsets, 2)
        threads.set_threads(3)
        together = _core.loss_values("set", outputs, targets, offsets, 2)
    finally:
        threads.set_threads(before)
    assert alone.tobytes() == together.tobytes()
    assert _core.loss_values("set", outputs[100:200], targets[100:200], offsets[:2], 2) == alone[1]


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"kind": "sett"}, SelectorError, 'no loss "sett"; this build has: .*, set, '),
        ({"outputs": np.zeros(4, np.float32)}, ValueError, "two dimensions, found 1"),
        ({"targets": np.zeros((1, 5), np.float32)}, ValueError, "targets must have"),
        ({"offsets": np.array([0, 200])}, ValueError, "last offset must be the number of rows"),
        ({"offsets": np.array([0, 200, 100])}, ValueError, "none below the one before"),
        ({"offsets": np.zeros(0, int)}, ValueError, "at least one; found none"),
        ({"parts": 5}, ValueError, "in equal parts; found 24 in 5"),
        ({"parts": 0}, ValueError, "in equal parts; found 24 in 0"),
        ({"parts": 8}, ValueError, 'the loss "set" takes an output whose rows'),
        ({"kind": "crf"}, (TypeError, ValueError), "labels"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], error: Any, message: str) -> None:
    outputs, targets, offsets = boxes(1)
    right = {"kind": "set", "outputs": outputs, "targets": targets, "offsets": offsets, "parts": 2}
    with pytest.raises(error, match=message):
        _core.loss_values(**{**right, **changed})
