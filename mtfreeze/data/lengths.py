# SPDX-License-Identifier: Apache-2.0
"""Batches of rows of similar length, in a random order.

The shuffled rows of a pass are taken in pools of `POOL` batches; each pool is sorted by length
(equal lengths stay as shuffled) and cut into batches, and then all batches of the pass are
shuffled, so that a run meets neither the long nor the short ones first. Every row comes once a
pass, as without. This is ``group_by_length`` of transformers' Trainer, whose batches however stay
in order within a pool, longest first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .order import permutation

__all__ = ["POOL", "grouped_batches"]

POOL = 50
"""Batches of a pool, as in transformers: more of them are more alike in length, and less random."""

Int64 = NDArray[np.int64]


def grouped_batches(order: Int64, lengths: Int64, batch_size: int, *key: int | str) -> list[Int64]:
    """Cut a shuffled pass into batches of similar length.

    Parameters
    ----------
    order : (n,) int64 array
        The rows of the pass, shuffled.
    lengths : (n,) int64 array
        Tokens of each row, by its number.
    batch_size : int
        Rows of a batch; one batch of the pass may have fewer, wherever it comes.
    *key : int or str
        What the order of the batches depends on.

    Returns
    -------
    list of (b,) int64 arrays

    Examples
    --------
    >>> rows, lengths = np.array([3, 0, 2, 1]), np.array([9, 30, 8, 31])
    >>> sorted(batch.tolist() for batch in grouped_batches(rows, lengths, 2, 0))
    [[1, 3], [2, 0]]
    """
    pool = POOL * batch_size
    batches: list[Int64] = []
    for begin in range(0, len(order), pool):
        rows = order[begin : begin + pool]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    return [batches[at] for at in permutation(len(batches), *key)]
