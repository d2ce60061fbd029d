# SPDX-License-Identifier: Apache-2.0
"""How well sets of labels are told: F1 three ways, and the share of sets that are wholly right.

With t labels right, g in gold and p predicted:

    f1_micro         2 t / (g + p), counted over all rows and labels
    f1_macro         the mean over the labels of 2 t / (g + p) of one label; 0 where g + p is 0
    f1_samples       the mean over the rows of 2 t / (g + p) of one row; 0 where g + p is 0
    subset_accuracy  share of rows whose predicted labels are exactly those in gold

They are those of ``sklearn.metrics`` on indicator matrices with ``zero_division=0``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError

__all__ = ["SET_METRICS", "f1", "set_metrics"]

SET_METRICS = ("f1_micro", "f1_macro", "f1_samples", "subset_accuracy")
"""What `set_metrics` reports."""

Floats = NDArray[np.float64]


def set_metrics(gold: ArrayLike, predicted: ArrayLike) -> dict[str, float]:
    """Return all of them by the names of `SET_METRICS`; 0.0 for no rows.

    Parameters
    ----------
    gold, predicted : (n, n_labels) array_like of 0 and 1
        Whether a row has a label.

    Raises
    ------
    DataError
        If they are no matrices of the same shape.

    Examples
    --------
    >>> set_metrics([[1, 0], [1, 1]], [[1, 0], [1, 0]])["subset_accuracy"]
    0.5
    """
    true, guess = np.asarray(gold, bool), np.asarray(predicted, bool)
    if true.ndim != 2 or true.shape != guess.shape:
        raise DataError(
            f"expected two matrices (rows, labels) of the same shape; found {true.shape} and "
            f"{guess.shape}"
        )
    if not true.size:
        return dict.fromkeys(SET_METRICS, 0.0)
    right = true & guess
    values = (
        f1(*(one.sum(keepdims=True).astype(float) for one in (right, true, guess))).mean(),
        f1(*(one.sum(axis=0).astype(float) for one in (right, true, guess))).mean(),
        f1(*(one.sum(axis=1).astype(float) for one in (right, true, guess))).mean(),
        (true == guess).all(axis=1).mean(),
    )
    return dict(zip(SET_METRICS, map(float, values), strict=True))


def f1(right: Floats, gold: Floats, predicted: Floats) -> Floats:
    """Return 2 right / (gold + predicted), 0 where both are 0; arrays of one shape."""
    found = np.zeros_like(right)
    total = gold + predicted
    np.divide(2.0 * right, total, out=found, where=total > 0)
    return found
