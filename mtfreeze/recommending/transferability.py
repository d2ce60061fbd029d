# SPDX-License-Identifier: Apache-2.0
"""LogME: how well labels follow from frozen features, without training on them.

You, Liu, Wang, Long 2021, "LogME: practical assessment of pre-trained models for transfer
learning", ICML, https://arxiv.org/abs/2102.11005. For each class, y in {0, 1}^n says which rows
are of it. With a prior w ~ N(0, 1/alpha) and noise of variance 1/beta the evidence of F, (n, d), is

    log p(y | F) = n/2 log beta + d/2 log alpha - n/2 log 2 pi - beta/2 |F m - y|^2
                   - alpha/2 |m|^2 - 1/2 log |A|
    A = alpha I + beta F^T F        m = beta A^-1 F^T y

and is maximised over alpha and beta by MacKay's fixed point,

    gamma = sum_i beta s_i / (alpha + beta s_i)     s_i: eigenvalues of F^T F
    alpha = gamma / |m|^2           beta = (n - gamma) / |F m - y|^2

The score is the mean of log p / n over the classes; higher is better. It compares layers and
models on the same rows; alone it means nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["evidence_maximum", "log_me"]

Float64 = NDArray[np.float64]

_MOST_ROUNDS = 100
_TOLERANCE = 1e-4


def log_me(features: NDArray[np.float32], labels: NDArray[np.int64], n_classes: int) -> float:
    """Return the mean over classes of the largest log evidence a row.

    Parameters
    ----------
    features : (n, d) float32 array
    labels : (n,) int64 array
        0 to n_classes - 1; classes without a row are left out.
    n_classes : int
    """
    basis, values = _basis(features.astype(np.float64))
    scores = [
        evidence_maximum(basis, values, features.shape[1], (labels == one).astype(np.float64))[0]
        for one in range(n_classes)
        if (labels == one).any()
    ]
    return float(np.mean(scores))


def _basis(features: Float64) -> tuple[Float64, Float64]:
    """Return the left singular vectors, (n, r), and squared singular values, (r,), of features."""
    n, d = features.shape
    # The smaller of the two products; a thin SVD of a tall matrix costs many times as much.
    if d < n:
        values, right = np.linalg.eigh(features.T @ features)
        keep = values > 1e-10 * max(values[-1], 1e-300)
        values = values[keep]
        return (features @ right[:, keep]) / np.sqrt(values), values
    values, left = np.linalg.eigh(features @ features.T)
    keep = values > 1e-10 * max(values[-1], 1e-300)
    return left[:, keep], values[keep]


def evidence_maximum(
    basis: Float64, values: Float64, width: int, y: Float64
) -> tuple[float, float, float]:
    """Return the largest log evidence a row, and the alpha and beta that it has.

    Parameters
    ----------
    basis : (n, r) float64 array
        Left singular vectors of F that belong to singular values above 0.
    values : (r,) float64 array
        Squares of these singular values.
    width : int
        d, the columns of F.
    y : (n,) float64 array
    """
    n = len(y)
    along = (basis.T @ y) ** 2
    outside = max(float(y @ y - along.sum()), 0.0)
    alpha = beta = 1.0
    best = -np.inf, alpha, beta
    for _ in range(_MOST_ROUNDS):
        shrink = alpha + beta * values
        square_m = float((beta**2 * values * along / shrink**2).sum())
        error = outside + float((along * (alpha / shrink) ** 2).sum())
        log_det = float(np.log(shrink).sum()) + (width - len(values)) * np.log(alpha)
        evidence = 0.5 * (
            n * np.log(beta)
            + width * np.log(alpha)
            - n * np.log(2 * np.pi)
            - beta * error
            - alpha * square_m
            - log_det
        )
        before = best[0]
        if evidence / n > before:
            best = float(evidence / n), alpha, beta
        if abs(evidence / n - before) < _TOLERANCE * max(1.0, abs(before)):
            break
        gamma = float((beta * values / shrink).sum())
        # y may lie in the span of F, or have nothing to do with it: keep both numbers finite.
        alpha = gamma / max(square_m, 1e-12)
        beta = max(n - gamma, 1e-6) / max(error, 1e-12)
    return best
