# SPDX-License-Identifier: Apache-2.0
"""Losses of how much farther a negative shall be than a positive.

    triplet             mean max(0, |a - p| - |a - n| + m)  over rows (anchor, positive, negative)
    batch-hard triplet  the same for each text of a batch of labelled texts, with its farthest text
                        of the same label and its nearest of another (Hermans et al. 2017)
    margin_mse          mean ((q . p - q . n_j) - y_j)^2  over negatives, y the margin of a teacher
                        (Hofstaetter et al. 2020); dot products, vectors as they are

with Euclidean distances and the margin m = 5, as in sentence-transformers 6.2: a text without
another of its label has its positive at distance 0 and counts; one without a text of another label
has its negative at the distance of its farthest text. Where two texts have the same place the
distance has no gradient.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .batch_rows import BatchRows, Floats

__all__ = ["batch_hard_triplet", "margin_mse", "triplet"]


def triplet(rows: BatchRows, margin: float) -> tuple[float, Floats]:
    """Return the triplet loss of rows of three texts, and its gradient."""
    anchor, positive, negative = rows.vectors.swapaxes(0, 1)
    to_positive, towards_positive = _distances(anchor, positive)
    to_negative, towards_negative = _distances(anchor, negative)
    over = to_positive - to_negative + margin
    share = ((over > 0) / len(over))[:, None]
    d_positive, d_negative = -share * towards_positive, share * towards_negative
    gradients = (-d_positive - d_negative, d_positive, d_negative)
    return float(np.maximum(0, over).mean()), np.stack(gradients, axis=1)


def batch_hard_triplet(rows: BatchRows, margin: float) -> tuple[float, Floats]:
    """Return the loss of each labelled text with its hardest two, and its gradient."""
    x, labels = rows.vectors[:, 0], rows.scores[:, 0]
    every = np.arange(len(x))
    alike = labels[:, None] == labels
    distance = _all_distances(x)
    far = np.where(alike, distance, 0.0).argmax(axis=1)
    near = np.where(alike, np.inf, distance).argmin(axis=1)
    near = np.where(alike.all(axis=1), distance.argmax(axis=1), near)
    # Without another of its label the farthest is the text itself, or any other at weight 0.
    far = np.where(alike[every, far], far, every)
    over = distance[every, far] - distance[every, near] + margin
    share = (over > 0) / len(x)
    by_distance = np.zeros_like(distance)
    np.add.at(by_distance, (every, far), share)
    np.add.at(by_distance, (every, near), -share)
    return float(np.maximum(0, over).mean()), _back(by_distance, distance, x)[:, None]


def margin_mse(rows: BatchRows) -> tuple[float, Floats]:
    """Return the mean squared error of the margins, and its gradient."""
    query, positive, negatives = rows.vectors[:, 0], rows.vectors[:, 1], rows.vectors[:, 2:]
    apart = positive[:, None] - negatives
    error = np.einsum("nc,njc->nj", query, apart) - rows.scores[:, 2:]
    by_margin = 2 * error / error.size
    gradient = np.empty_like(rows.vectors)
    gradient[:, 0] = np.einsum("nj,njc->nc", by_margin, apart)
    gradient[:, 1] = by_margin.sum(axis=1, keepdims=True) * query
    gradient[:, 2:] = -by_margin[:, :, None] * query[:, None]
    return float((error**2).mean()), gradient


def _distances(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return the distances of pairs, (n,), and the unit vectors from y to x."""
    apart = x - y
    distance = np.sqrt((apart * apart).sum(axis=1))
    return np.asarray(distance), apart / np.where(distance > 0, distance, np.inf)[:, None]


def _all_distances(x: Floats) -> Floats:
    """Return the distances of all texts, (n, n)."""
    dots = x @ x.T
    squares = np.diagonal(dots)
    found = np.sqrt(np.maximum(0, squares[None] - 2 * dots + squares[:, None]))
    np.fill_diagonal(found, 0.0)
    return np.asarray(found)


def _back(by_distance: Floats, distance: NDArray[np.float64], x: Floats) -> Floats:
    """Return the derivative by x, (n, C), from that by all distances."""
    inverse = np.zeros_like(distance)
    np.divide(by_distance, distance, out=inverse, where=distance > 0)
    both = inverse + inverse.T
    return np.asarray(both.sum(axis=1, keepdims=True) * x - both @ x)
