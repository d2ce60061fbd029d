# SPDX-License-Identifier: Apache-2.0
"""A part of rows drawn at random, with every label in proportion: the same on every machine.

Of each label a whole number of rows is taken, by largest remainder; which, says `order`.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from ..metrics.entities import OUTSIDE
from .example import Example, Label
from .order import permutation

__all__ = ["drawn_rows", "stratum"]

_FRACTION = re.compile(r"[-+]?\d*\.\d+")
"""A number that is no index, as files have it."""


def drawn_rows(
    rows: Iterable[Example], n_rows: int, fraction: float, seed: int, *, stratify: bool
) -> NDArray[np.bool_]:
    """Return which rows are drawn, (n,) bool.

    Parameters
    ----------
    rows : iterable of Example
    n_rows : int
        How many are drawn.
    fraction : float
        Their share, which is that of each label.
    seed : int
    stratify : bool
        False: all rows count as of one label.
    """
    groups: dict[str, array[int]] = {}
    n = 0
    for position, row in enumerate(rows):
        groups.setdefault(stratum(row) if stratify else "", array("q")).append(position)
        n = position + 1
    exact = [fraction * len(groups[key]) for key in sorted(groups)]
    taken = [int(share) for share in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: (taken[i] - exact[i], i))
    for i in by_remainder[: n_rows - sum(taken)]:
        taken[i] += 1
    chosen = np.zeros(n, dtype=bool)
    for key, count in zip(sorted(groups), taken, strict=True):
        order = permutation(len(groups[key]), seed, "split", key)[:count]
        chosen[np.asarray(groups[key])[order]] = True
    return chosen


def stratum(row: Example) -> str:
    """Key of the group that a row is drawn from.

    Numbers are one group: where each row has its own, groups of one row would be cut by their order
    and not at random.
    """

    def one(label: Label | None) -> str:
        if isinstance(label, float) or (isinstance(label, str) and _FRACTION.fullmatch(label)):
            return "number"
        if isinstance(label, tuple):
            return "tagged" if any(tag not in (OUTSIDE, 0, None) for tag in label) else "untagged"
        return repr(label)

    if row.labels is None:
        return one(row.label)
    return "|".join(f"{task}={one(label)}" for task, label in sorted(row.labels.items()))
