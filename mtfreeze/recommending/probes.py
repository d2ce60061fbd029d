# SPDX-License-Identifier: Apache-2.0
"""Probes: what a linear classifier can read off frozen features, by cross-validation.

Multinomial logistic regression with an L2 penalty, on features of zero mean and unit variance:

    J(W) = -1/n sum_i log softmax(x_i W)[y_i] + l2/2 |W without the bias|^2

minimised by Newton's method whose steps are solved by conjugate gradients (truncated Newton:
Nocedal, Wright 2006, algorithm 7.1). The Hessian is never made; its product with V is

    H V = X^T (P * (X V) - P * rowsum(P * (X V))) / n + l2 V       P: probabilities, (n, K)

J is convex, so the result does not depend on the start; nothing is drawn at random but the folds,
which depend on the rows alone (`data.order.permutation`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.order import permutation

__all__ = ["STRENGTHS", "ProbeRun", "cross_validate", "fit_probe", "folds_of", "standardized"]

Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]

STRENGTHS = (0.3, 0.03)
"""L2 penalties that are tried, the strongest first; the best is kept."""

_TOLERANCE = 1e-3
"""Largest entry of the gradient at which a fit ends: far below what a fold's figure scatters by."""

_MOST_STEPS, _MOST_INNER = 50, 60


def _probabilities(scores: Float64) -> Float64:
    scores = scores - scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return scores


def _loss(x: Float64, one_hot: Float64, weights: Float64, penalty: Float64) -> float:
    scores = x @ weights
    top = scores.max(axis=1)
    log_sum = np.log(np.exp(scores - top[:, None]).sum(axis=1)) + top
    data = float((log_sum - (scores * one_hot).sum(axis=1)).mean())
    return data + 0.5 * float((penalty * weights * weights).sum())


def fit_probe(
    x: Float64, labels: Int64, n_classes: int, l2: float, start: Float64 | None = None
) -> Float64:
    """Fit multinomial logistic regression.

    Parameters
    ----------
    x : (n, d) float64 array
        Standardized features; see `standardized`.
    labels : (n,) int64 array
        Classes, 0 to n_classes - 1.
    n_classes : int
    l2 : float
        Penalty, above 0.
    start : (d + 1, n_classes) float64 array, optional
        Where to begin; by default zeros.

    Returns
    -------
    (d + 1, n_classes) float64 array
        Weights; the last row is the bias, which has no penalty.
    """
    n, d = x.shape
    design = np.concatenate([x, np.ones((n, 1))], axis=1)
    one_hot = np.zeros((n, n_classes))
    one_hot[np.arange(n), labels] = 1.0
    penalty = np.full((d + 1, 1), l2)
    penalty[-1] = 0.0
    weights = np.zeros((d + 1, n_classes)) if start is None else start.copy()
    loss = _loss(design, one_hot, weights, penalty)
    for _ in range(_MOST_STEPS):
        chances = _probabilities(design @ weights)
        gradient = design.T @ (chances - one_hot) / n + penalty * weights
        if float(np.abs(gradient).max()) < _TOLERANCE:
            break
        step = _newton_step(design, chances, gradient, penalty)
        # J is convex and the step leads down, so halving it ends.
        slope, size = float((gradient * step).sum()), 1.0
        while size > 1e-6:
            after = _loss(design, one_hot, weights + size * step, penalty)
            if after <= loss + 1e-4 * size * slope:
                break
            size *= 0.5
        else:
            break
        weights, loss = weights + size * step, after
    return weights


def _newton_step(x: Float64, chances: Float64, gradient: Float64, penalty: Float64) -> Float64:
    """Return a direction close to -H^-1 gradient, by conjugate gradients."""
    n = len(x)

    def product(v: Float64) -> Float64:
        moved = chances * (x @ v)
        moved -= chances * moved.sum(axis=1, keepdims=True)
        return np.asarray(x.T @ moved / n + penalty * v)

    step = np.zeros_like(gradient)
    rest = -gradient
    direction = rest.copy()
    square = float((rest * rest).sum())
    # Far from the minimum a rough direction is as good as an exact one.
    enough = square * min(0.25, square**0.5)
    for _ in range(_MOST_INNER):
        moved = product(direction)
        curve = float((direction * moved).sum())
        if curve <= 1e-14 * float((direction * direction).sum()):
            break  # the softmax does not see a constant added to all classes
        length = square / curve
        step += length * direction
        rest -= length * moved
        after = float((rest * rest).sum())
        if after <= enough:
            break
        direction = rest + after / square * direction
        square = after
    return step if step.any() else -gradient


def standardized(x: NDArray[np.float32], of: NDArray[np.bool_] | None = None) -> Float64:
    """Return features of zero mean and unit variance over the rows `of` (by default all)."""
    values = x.astype(np.float64)
    known = values if of is None else values[of]
    spread = known.std(axis=0)
    return np.asarray((values - known.mean(axis=0)) / np.where(spread > 1e-12, spread, 1.0))


def folds_of(labels: Int64, groups: Int64, n_folds: int, name: str) -> Int64:
    """Deal rows to folds: groups stay together, and every label is spread over the folds.

    Parameters
    ----------
    labels : (n,) int64 array
    groups : (n,) int64 array
        Rows of one group go to one fold: the words of a sentence. With one row a group the folds
        are stratified.
    n_folds : int
    name : str
        What the order depends on.

    Returns
    -------
    (n,) int64 array
        Fold of each row.
    """
    names, first, where = np.unique(groups, return_index=True, return_inverse=True)
    # A group is dealt by the rarest label that it holds, or few folds would have that label.
    counts = np.bincount(labels)
    rarest = labels[first].copy()
    order = np.argsort(counts[labels], kind="stable")[::-1]
    rarest[where[order]] = labels[order]
    shuffled = permutation(len(names), 0, "probe folds", name)
    dealt = shuffled[np.argsort(rarest[shuffled], kind="stable")]
    fold = np.empty(len(names), dtype=np.int64)
    fold[dealt] = np.arange(len(names)) % n_folds
    return np.asarray(fold[where])


@dataclass(frozen=True)
class ProbeRun:
    """What probes predicted for rows that they were not fitted on.

    Attributes
    ----------
    predicted : (n,) int64 array
    l2 : float
        The penalty that did best.
    loss : float
        Mean -log p of the right class.
    """

    predicted: Int64
    l2: float
    loss: float


def cross_validate(
    features: NDArray[np.float32],
    labels: Int64,
    n_classes: int,
    folds: Int64,
    *,
    strengths: Sequence[float] = STRENGTHS,
    share: float = 1.0,
) -> ProbeRun:
    """Predict every row by a probe that was fitted on the other folds.

    Parameters
    ----------
    features : (n, d) float32 array
    labels : (n,) int64 array
    n_classes : int
    folds : (n,) int64 array
        From `folds_of`.
    strengths : sequence of float
        Penalties to try, the strongest first. The one with the lowest loss over all rows is
        kept, which makes the figure a little too good: by less than the folds' spread.
    share : float
        Of the rows of the other folds that are used, at least one; for learning curves.
    """
    chances = np.zeros((len(strengths), len(labels), n_classes))
    for fold in range(int(folds.max()) + 1):
        left_out = folds == fold
        fitted = ~left_out
        if share < 1.0:
            rows = np.flatnonzero(fitted)
            chosen = permutation(len(rows), fold, "probe share")[: max(1, int(share * len(rows)))]
            fitted = np.zeros_like(left_out)
            fitted[rows[chosen]] = True
        x = standardized(features, fitted)
        weights = None
        for at, l2 in enumerate(strengths):
            weights = fit_probe(x[fitted], labels[fitted], n_classes, l2, weights)
            chances[at, left_out] = _probabilities(x[left_out] @ weights[:-1] + weights[-1])
    right = chances[:, np.arange(len(labels)), labels]
    losses = -np.log(np.maximum(right, 1e-12)).mean(axis=1)
    best = int(losses.argmin())
    return ProbeRun(chances[best].argmax(axis=1), float(strengths[best]), float(losses[best]))
