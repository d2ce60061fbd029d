# SPDX-License-Identifier: Apache-2.0
"""Calibration: whether answers of probability p are right in a share p of the cases.

Expected calibration error (Guo et al. 2017): answers fall into 15 bins of equal width by the
probability of the label that is predicted, edges belonging to the bin below; it is the mean over
the answers of |share right - mean probability| of their bin.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from ..errors import DataError

__all__ = ["N_BINS", "calibration_error"]

N_BINS = 15


def calibration_error(right: ArrayLike, confidence: ArrayLike) -> float:
    """Return the expected calibration error, in [0, 1]; 0.0 for no answers.

    Parameters
    ----------
    right : (n,) bool array_like
        Whether each answer is right.
    confidence : (n,) array_like
        Its probability, 0 to 1.

    Raises
    ------
    DataError
        If the two differ in length, or a probability is outside 0 to 1.

    Examples
    --------
    >>> round(calibration_error([True, False], [0.9, 0.9]), 6)
    0.4
    """
    true, shares = np.asarray(right, np.float64), np.asarray(confidence, np.float64)
    if true.ndim != 1 or true.shape != shares.shape:
        raise DataError(
            f"expected one probability an answer; found {true.shape} and {shares.shape}"
        )
    if not true.size:
        return 0.0
    if not ((shares >= 0) & (shares <= 1)).all():
        raise DataError("expected probabilities from 0 to 1; found others; give shares, not logits")
    edges = np.linspace(0.0, 1.0, N_BINS + 1)[1:-1]
    bins = np.searchsorted(edges, shares)
    gaps = np.bincount(bins, true - shares, minlength=N_BINS)
    return float(np.abs(gaps).sum() / true.size)
