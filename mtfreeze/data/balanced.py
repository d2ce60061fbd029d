# SPDX-License-Identifier: Apache-2.0
"""Passes in which each label comes as often as another: ``Task(sampling="balanced")``.

A pass has as many rows as the data, so an epoch is as long as without. Each of K labels gets n // K
of them, the first n % K one more. Rows of a label come in an order of their own that goes on from
pass to pass: of a frequent label every row is met before any is met again, those of a rare one
come several times in a pass. Like all orders this is a function of (seed, task, pass).

Sampling by class: Shen, Lin, Huang 2016, "Relay backpropagation for effective learning of deep
convolutional neural networks", https://arxiv.org/abs/1512.05830 (class-aware sampling).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, typed
from ..errors import DataError
from ..quoting import quoted
from .examples import Examples
from .order import permutation

__all__ = [
    "BALANCED",
    "EACH_ROW",
    "ROW_SAMPLING",
    "balanced_order",
    "check_row_sampling",
    "classes",
]

EACH_ROW, BALANCED = "rows", "balanced"
ROW_SAMPLING = (EACH_ROW, BALANCED)
"""Which rows a pass over a task's data takes."""

Int64 = NDArray[np.int64]


def check_row_sampling(sampling: object) -> str:
    """Return how a task's rows are drawn; TypeError or ConfigError if it is no way to."""
    return check_choice("sampling of a task", sampling, ROW_SAMPLING)


def classes(examples: Examples, label: str, rows: Int64) -> Int64:
    """Return the class of each row, (n,) int64, numbered by the sorted names of the labels.

    Parameters
    ----------
    examples : Examples
        The data.
    label : str
        Which label, where rows carry several.
    rows : (n,) int64 array
        Rows with a label.

    Raises
    ------
    DataError
        If a row has other than one label that is a name or a position.
    """
    names = []
    for row in examples.select(rows):
        found = row.label_for(label)
        if not isinstance(found, str | int):
            raise DataError(
                f"{row.source}: expected one label to draw rows of each label as often; found "
                f"{typed(found)}; leave sampling={quoted(BALANCED)} out of the task"
            )
        names.append(str(found))
    return np.unique(names, return_inverse=True)[1].astype(np.int64).reshape(-1)


def balanced_order(codes: Int64, number: int, seed: int, task: str) -> Int64:
    """Return the rows of a pass, label by label; rows of rare labels stand there several times.

    Parameters
    ----------
    codes : (n,) int64 array
        The class of each row, 0 to K - 1, none of them empty.
    number : int
        Of the pass, from 0.
    seed, task
        What the order depends on beside it.

    Returns
    -------
    (n,) int64 array

    Examples
    --------
    >>> codes = np.array([0, 0, 0, 0, 0, 1])
    >>> np.bincount(codes[balanced_order(codes, 0, 0, "task")]).tolist()
    [3, 3]
    """
    n_classes = int(codes.max()) + 1
    share, left = divmod(len(codes), n_classes)
    parts = []
    for code in range(n_classes):
        own = np.flatnonzero(codes == code)
        n = share + (code < left)

        def order(again: int, own: Int64 = own, code: int = code) -> Int64:
            return own[permutation(len(own), seed, "balanced", task, code, again)]

        parts.append(_stretch(order, len(own), number * n, n))
    return np.concatenate(parts)


def _stretch(order: Callable[[int], Int64], size: int, first: int, n: int) -> Int64:
    """Return n items from number `first` on of an endless row of orders of `size` items each."""
    begin, end = first // size, -(-(first + n) // size)
    found = np.concatenate([order(again) for again in range(begin, end)])
    return found[first - begin * size :][:n]
