# SPDX-License-Identifier: Apache-2.0
"""How well scores put what is right before what is not: ROC-AUC and average precision.

With P right and N other items:

    ROC-AUC             (sum of the ranks of the right items - P (P + 1) / 2) / (P N), equal scores
                        at their mean rank: the share of pairs in which the right one scores higher
    average precision   sum over the thresholds, highest first, of (R_k - R_{k-1}) P_k, with recall
                        R_k and precision P_k of all items that score at least so much

They are those of ``sklearn.metrics.roc_auc_score`` and ``average_precision_score``. Where nothing
or everything is right ROC-AUC is NaN, and where nothing is right average precision is.

Reference: T. Fawcett, An introduction to ROC analysis, Pattern Recognition Letters 27, 2006.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

__all__ = ["average_precision", "mean_defined", "roc_auc"]


def roc_auc(right: ArrayLike, scores: ArrayLike) -> float:
    """Return the area under the ROC curve, in [0, 1]; NaN where all items are of one kind.

    Parameters
    ----------
    right : (n,) array_like of bool
        Which items are right.
    scores : (n,) array_like
        Higher for what is more likely right.

    Raises
    ------
    DataError
        If the two differ in length, or a score is NaN.

    Examples
    --------
    >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    true, values = _checked(right, scores)
    n_right = int(true.sum())
    n_other = len(true) - n_right
    if not n_right or not n_other:
        return math.nan
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    # Twice the mean rank of equal scores: whole numbers, whose sums are exact.
    last = np.cumsum(counts)
    twice = (2 * last - counts + 1)[where.ravel()]
    above = int(twice[true].sum()) - n_right * (n_right + 1)
    return above / (2 * n_right * n_other)


def average_precision(right: ArrayLike, scores: ArrayLike) -> float:
    """Return average precision, in [0, 1]; NaN where nothing is right.

    Parameters
    ----------
    right, scores
        As for `roc_auc`.

    Raises
    ------
    DataError
        As `roc_auc`.

    Examples
    --------
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    true, values = _checked(right, scores)
    n_right = int(true.sum())
    if not n_right:
        return math.nan
    order = np.argsort(-values, kind="stable")
    hits = np.cumsum(true[order])
    ends = np.flatnonzero(np.diff(values[order], append=-math.inf))  # the last of equal scores
    at_least = hits[ends]
    gained = np.diff(at_least, prepend=0) / n_right
    return float((gained * (at_least / (ends + 1.0))).sum())


def mean_defined(values: ArrayLike) -> float:
    """Return the mean of the values that are not NaN; NaN if there is none."""
    known = np.asarray(values, np.float64)
    known = known[~np.isnan(known)]
    return float(known.mean()) if known.size else math.nan


def _checked(right: ArrayLike, scores: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    true, values = np.asarray(right).astype(bool), np.asarray(scores, np.float64)
    if true.ndim != 1 or true.shape != values.shape:
        raise DataError(f"expected one score an item; found {true.shape} and {values.shape}")
    if np.isnan(values).any():
        raise DataError(
            f"expected scores that can be put in order; found {int(np.isnan(values).sum())} that "
            "are NaN; leave those items out"
        )
    return true, values
