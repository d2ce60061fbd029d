# SPDX-License-Identifier: Apache-2.0
"""Losses of the order of pairs: a pair with a higher score shall be more similar.

With s_i the similarity of pair i times a scale, y_i its score:

    L = log(1 + sum over i, j with y_i < y_j of exp(s_i - s_j))

one number a batch (CoSENT: Huang et al. 2024; with `angles` for cosines, AnglE: Li and Li 2024).
Sorted by score the inner sum over j is a sum over all that follow, so the work is that of sorting:

    ds_i = exp(s_i + after(y_i) - L) - exp(before(y_i) - s_i - L)

with after(y) = log sum over y_j > y of exp(-s_j), before(y) = log sum over y_j < y of exp(s_j).
Pairs of equal scores have no order.
"""

from __future__ import annotations

import numpy as np

from .batch_rows import BatchRows, Floats
from .vectors import Similarity, angles, cosines

__all__ = ["angle", "cosent"]


def cosent(rows: BatchRows, scale: float) -> tuple[float, Floats]:
    """Return the loss of the order of cosines, and its gradient."""
    return _ranked(rows, scale, cosines)


def angle(rows: BatchRows, scale: float) -> tuple[float, Floats]:
    """Return the loss of the order of angles, and its gradient."""
    return _ranked(rows, scale, angles)


def _ranked(rows: BatchRows, scale: float, similarity: Similarity) -> tuple[float, Floats]:
    found, back = similarity(rows.vectors[:, 0], rows.vectors[:, 1])
    order = np.argsort(rows.scores[:, 0], kind="stable")
    scores, s = rows.scores[order, 0], scale * found[order]
    last, first = (np.searchsorted(scores, scores, side) for side in ("right", "left"))
    nothing = np.full(1, -np.inf)
    # after[i]: of all from place i on; before[i]: of all in front of place i.
    after = np.concatenate([np.logaddexp.accumulate(-s[::-1])[::-1], nothing])
    before = np.concatenate([nothing, np.logaddexp.accumulate(s)])
    lower = s + after[last]
    value = float(np.logaddexp.reduce(lower, initial=0.0))
    by_s = np.exp(lower - value) - np.exp(before[first] - s - value)
    by_found = np.empty_like(by_s)
    by_found[order] = scale * by_s
    return value, np.stack(back(by_found), axis=1)
