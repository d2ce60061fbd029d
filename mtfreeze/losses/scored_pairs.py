# SPDX-License-Identifier: Apache-2.0
"""Losses of pairs with a score or a label, from the cosines of the pairs.

With c_i the cosine of pair i, D_i = 1 - c_i its distance, y_i its score (1: alike, 0: not):

    cosine              mean (c_i - y_i)^2
    contrastive         mean 1/2 (y_i D_i^2 + (1 - y_i) max(0, m - D_i)^2)
    online_contrastive  sum D_i^2 + sum max(0, m - D_j)^2  over hard pairs only: alike pairs farther
                        than the nearest other pair, other pairs nearer than the farthest alike one

with the margin m = 0.5 (Hadsell, Chopra, LeCun 2006). They are those of sentence-transformers 6.2,
where a batch of one sort of pairs measures the hard ones against their mean distance.
"""

from __future__ import annotations

import numpy as np

from .batch_rows import BatchRows, Floats
from .vectors import cosines

__all__ = ["contrastive", "cosine", "online_contrastive"]


def cosine(rows: BatchRows) -> tuple[float, Floats]:
    """Return the mean squared difference of cosines and scores, and its gradient."""
    found, back = cosines(rows.vectors[:, 0], rows.vectors[:, 1])
    error = found - rows.scores[:, 0]
    gradients = back(2 * error / len(error))
    return float((error**2).mean()), np.stack(gradients, axis=1)


def contrastive(rows: BatchRows, margin: float) -> tuple[float, Floats]:
    """Return the contrastive loss, and its gradient."""
    found, back = cosines(rows.vectors[:, 0], rows.vectors[:, 1])
    alike, n = rows.scores[:, 0], len(found)
    distance = 1 - found
    short = np.maximum(0, margin - distance)
    value = 0.5 * (alike * distance**2 + (1 - alike) * short**2).mean()
    by_distance = (alike * distance - (1 - alike) * short) / n
    return float(value), np.stack(back(-by_distance), axis=1)


def online_contrastive(rows: BatchRows, margin: float) -> tuple[float, Floats]:
    """Return the contrastive loss summed over the hard pairs, and its gradient."""
    found, back = cosines(rows.vectors[:, 0], rows.vectors[:, 1])
    alike = rows.scores[:, 0] == 1
    distance = 1 - found
    near, far = distance[~alike], distance[alike]
    farthest = far.max() if len(far) else near.mean()
    nearest = near.min() if len(near) else far.mean()
    pulled = np.where(alike & (distance > nearest), distance, 0.0)
    pushed = np.where(~alike & (distance < farthest), np.maximum(0, margin - distance), 0.0)
    value = (pulled**2).sum() + (pushed**2).sum()
    return float(value), np.stack(back(2 * (pushed - pulled)), axis=1)
