# SPDX-License-Identifier: Apache-2.0
"""Pairs of labelled rows, alike or not: which there are is counted, only those used are made.

Of n rows there are n(n + 1)/2 pairs, each row with itself too, as SetFit takes them. A pair is
alike where its rows share a label. How many are drawn, p alike ones and q others being there:

    oversampling   max(p, q) of both kinds      undersampling  min(p, q) of both kinds
    unique         p and q                      a number t     t n of both kinds

Each kind comes in a random order; one that is used up starts over. Both take turns as long as they
last. Memory grows with the rows and with the pairs drawn, never with the square of the rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..checks import as_integer, check_choice, check_integer
from ..errors import ConfigError
from ..quoting import quoted
from .order import permutation, words

__all__ = ["MOST_PAIRS", "STRATEGIES", "check_pairs", "draw_pairs"]

STRATEGIES = ("oversampling", "undersampling", "unique")

MOST_PAIRS = 2**20
"""Pairs of one drawing; an epoch of more takes hours."""

Int64 = NDArray[np.int64]
Shares = Callable[[int], NDArray[np.bool_]]
"""Row i -> whether rows i, i + 1, ... share a label with it."""


def draw_pairs(
    labels: NDArray[np.int32] | NDArray[np.float32], pairs: str | int, seed: int
) -> tuple[Int64, Int64, NDArray[np.bool_]]:
    """Draw pairs of rows.

    Parameters
    ----------
    labels : (n,) int32 or (n, L) float32 array
        The class of each row, or which labels it has (above 0: has it).
    pairs : str or int
        One of `STRATEGIES`, or how many of each kind for every row.
    seed : int
        The same seed gives the same pairs.

    Returns
    -------
    first, second : (m,) int64 arrays
        Row numbers, first <= second.
    alike : (m,) bool array

    Raises
    ------
    TypeError, ConfigError
        If `pairs` is neither, or the pairs would be more than `MOST_PAIRS`.

    Examples
    --------
    >>> first, second, alike = draw_pairs(np.array([0, 0, 1], np.int32), "unique", seed=0)
    >>> sorted(zip(first.tolist(), second.tolist(), alike.tolist()))
    [(0, 0, True), (0, 1, True), (0, 2, False), (1, 1, True), (1, 2, False), (2, 2, True)]
    """
    n = len(labels)
    shares = _sharing(labels)
    alike_of = np.array([int(shares(i).sum()) for i in range(n)], np.int64)
    others_of = np.arange(n, 0, -1) - alike_of
    n_alike, n_others = _counts(pairs, n, int(alike_of.sum()), int(others_of.sum()))
    if n_alike + n_others > MOST_PAIRS:
        raise ConfigError(
            f"pairs={quoted(pairs)} makes {n_alike + n_others:,} pairs of {n:,} rows; expected at "
            f"most {MOST_PAIRS:,}; give a number of pairs a row, such as pairs=20, or fewer rows"
        )
    kinds = (
        _pairs_of(alike_of, n_alike, seed, "alike", shares),
        _pairs_of(others_of, n_others, seed, "others", lambda i: ~shares(i)),
    )
    # Turn about; what is left of the longer kind follows.
    turns = np.concatenate([2 * np.arange(n_alike), 2 * np.arange(n_others) + 1])
    order = np.argsort(turns, kind="stable")
    first, second = (np.concatenate([kind[i] for kind in kinds])[order] for i in (0, 1))
    return first, second, order < n_alike


def check_pairs(pairs: object) -> str | int:
    """Return how pairs are drawn, if it is one of the ways; see `draw_pairs`."""
    if as_integer(pairs) is not None:
        return check_integer("pairs", pairs, 1)
    return check_choice("pairs", pairs, STRATEGIES)


def _sharing(labels: NDArray[np.int32] | NDArray[np.float32]) -> Shares:
    if labels.ndim == 1:
        return lambda i: labels[i:] == labels[i]
    there = labels > 0
    return lambda i: (there[i:] & there[i]).any(axis=1)


def _counts(pairs: str | int, n: int, p: int, q: int) -> tuple[int, int]:
    """Return how many alike pairs and how many others are drawn."""
    if isinstance(pairs, int):
        return pairs * n if p else 0, pairs * n if q else 0
    if pairs == "unique":
        return p, q
    both = max(p, q) if pairs == "oversampling" else min(p, q)
    return both if p else 0, both if q else 0


def _pairs_of(per_row: Int64, n: int, seed: int, kind: str, members: Shares) -> tuple[Int64, Int64]:
    """Return n pairs of one kind, of which row i begins `per_row[i]`, in a random order."""
    total = int(per_row.sum())
    chosen = _ranks(total, n, seed, kind)
    ends = np.cumsum(per_row)
    first = np.searchsorted(ends, chosen, side="right").astype(np.int64)
    second = np.empty_like(first)
    within = chosen - (ends - per_row)[first] if n else chosen
    for row in np.unique(first).tolist():
        own = first == row
        second[own] = row + np.flatnonzero(members(row))[within[own]]
    return first, second


def _ranks(total: int, n: int, seed: int, kind: str) -> Int64:
    """Return n numbers below `total` in a random order, all before any comes again."""
    if n > total // 2:
        return np.resize(permutation(total, seed, "pairs", kind), n).astype(np.int64)
    # Few of many are drawn without an order of all: words come again less often than not.
    drawn = words(4 * n + 64, seed, "pairs", kind) % np.uint64(max(1, total))
    _, at = np.unique(drawn, return_index=True)
    return np.asarray(drawn[np.sort(at)[:n]], np.int64)
