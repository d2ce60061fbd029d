# SPDX-License-Identifier: Apache-2.0
"""Logistic regression on stored vectors: weights and bias of a linear head, by Newton's method.

    several classes   min over W, b of  C sum_i -log softmax(W x_i + b)[y_i]  +  1/2 |W|^2
    two classes       the same of one w with sigmoid; the two rows of the head are -w/2 and w/2
    labels            one of the latter for each label

with C = 1 and no penalty on b: the minimum that scikit-learn's `LogisticRegression` looks for. Each
Newton step is solved by conjugate gradients; it is halved until the objective falls. The objective
is strictly convex in W and has one minimum wherever every class has a row.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["fit_classes", "fit_labels"]

Floats = NDArray[np.float64]
Multiply = Callable[[Floats], Floats]

_STRENGTH = 1.0
_STEPS, _INNER = 100, 500
_PRECISE = 1e-10
"""Largest derivative at the end, as a share of the rows."""


def fit_classes(
    x: NDArray[np.floating], classes: NDArray[np.integer], n_classes: int, intercept: bool
) -> tuple[Floats, Floats]:
    """Return weights (K, C) and biases (K,) that tell classes apart; each must have a row.

    Parameters
    ----------
    x : (n, C) array
    classes : (n,) array
        From 0.
    n_classes : int
        K, two at least.
    intercept : bool
        Whether there is a bias; else it is zeros.
    """
    if n_classes == 2:
        w, b = fit_labels(x, (classes == 1)[:, None], intercept)
        return np.concatenate([-w / 2, w / 2]), np.concatenate([-b / 2, b / 2])
    wanted = np.eye(n_classes)[classes]

    def shares(z: Floats) -> tuple[float, Floats]:
        top = z.max(axis=1, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(axis=1, keepdims=True)
        log_sums = np.log(total[:, 0]) + top[:, 0]
        return float((log_sums - (wanted * z).sum(axis=1)).sum()), e / total

    def curved(p: Floats, v: Floats) -> Floats:
        return np.asarray(p * (v - (p * v).sum(axis=1, keepdims=True)))

    return _newton(x, wanted, intercept, shares, curved)


def fit_labels(
    x: NDArray[np.floating], there: NDArray[np.bool_], intercept: bool
) -> tuple[Floats, Floats]:
    """Return weights (L, C) and biases (L,) that say which labels are there, each by itself.

    Parameters
    ----------
    x : (n, C) array
    there : (n, L) bool array
        Each label on some rows and not on all.
    intercept : bool
    """
    wanted = there.astype(np.float64)

    def shares(z: Floats) -> tuple[float, Floats]:
        value = np.logaddexp(0, z) - wanted * z
        return float(value.sum()), np.exp(-np.logaddexp(0, -z))

    def curved(p: Floats, v: Floats) -> Floats:
        return np.asarray(p * (1 - p) * v)

    return _newton(x, wanted, intercept, shares, curved)


def _newton(
    x: NDArray[np.floating],
    wanted: Floats,
    intercept: bool,
    shares: Callable[[Floats], tuple[float, Floats]],
    curved: Callable[[Floats, Floats], Floats],
) -> tuple[Floats, Floats]:
    """Return the minimum: weights (K, C), biases (K,)."""
    width = x.shape[1]
    features = np.concatenate([x, np.full((len(x), 1), float(intercept))], axis=1, dtype=float)
    decay = np.append(np.ones(width), 0.0 if intercept else 1.0)
    weights = np.zeros((wanted.shape[1], width + 1))

    def objective(w: Floats) -> tuple[float, Floats]:
        loss, p = shares(features @ w.T)
        return _STRENGTH * loss + 0.5 * float((decay * w * w).sum()), p

    value, p = objective(weights)
    for _ in range(_STEPS):
        gradient = _STRENGTH * (p - wanted).T @ features + decay * weights
        if np.abs(gradient).max() <= _PRECISE * len(x):
            break
        now = p

        def multiply(v: Floats, p: Floats = now) -> Floats:
            return np.asarray(_STRENGTH * curved(p, features @ v.T).T @ features + decay * v)

        step, share = _conjugate_gradients(multiply, -gradient), 1.0
        slope = float((step * gradient).sum())
        while share > _PRECISE:
            moved = weights + share * step
            new, p = objective(moved)
            if new <= value + 1e-4 * share * slope:
                break
            share /= 2
        else:
            break  # rounding is all that is left
        weights, value = moved, new
    return weights[:, :-1], weights[:, -1] * float(intercept)


def _conjugate_gradients(multiply: Multiply, right: Floats) -> Floats:
    """Solve multiply(v) = right for a positive definite product, closer the smaller right is."""
    v, rest = np.zeros_like(right), right.copy()
    direction, size = rest.copy(), float((rest * rest).sum())
    goal = size * min(0.01, size)
    for _ in range(_INNER):
        if size <= goal or size == 0:
            break
        along = multiply(direction)
        share = size / float((direction * along).sum())
        v += share * direction
        rest -= share * along
        before, size = size, float((rest * rest).sum())
        direction = rest + (size / before) * direction
    return v
