"""Regret of rules, with intervals over situations, from a grid of trainings.

*Regret* is what the best mode of a cell has more than the one that a rule takes, in points, on the
rows to judge by, means over the seeds that all modes share. The best is known in hindsight only and
is, of modes that are equal, the luckiest, so the regret of every rule is above what it would be on
endless rows; `luck` says by how much. Differences between rules have no such error. A situation
that several backbones have trained on is drawn as one (a bootstrap over clusters).

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .advice_records import TASK, Cell, Grid

N_DRAWS = 10_000
Floats = NDArray[np.float64]

Rule = Callable[[Cell], str]


class Interval(NamedTuple):
    """A mean over cells, and the 95 % interval over situations."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        if not self.low < self.high:  # one situation, or none at all
            return "" if math.isnan(self.mean) else f"{self.mean:.2f}"
        return f"{self.mean:.2f} ({self.low:.2f} to {self.high:.2f})"


def over_situations(values: Mapping[Cell, float]) -> Interval:
    """Return the mean over cells; situations, with all their cells, are drawn with replacement."""
    names = sorted({situation for situation, _ in values})
    if not names:
        return Interval(math.nan, math.nan, math.nan)
    sums = np.array([sum(v for (s, _), v in values.items() if s == name) for name in names])
    sizes = np.array([sum(s == name for s, _ in values) for name in names])
    drawn = np.random.default_rng(0).integers(0, len(names), (N_DRAWS, len(names)))
    means = sums[drawn].sum(1) / sizes[drawn].sum(1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high))


def regrets(
    grid: Grid, cells: Sequence[Cell], modes: Sequence[str], rule: Rule
) -> dict[Cell, float]:
    """Return the regret of a rule in each cell, against the best of the modes."""
    found = {}
    for cell in cells:
        points = dict(zip(modes, grid.means(cell, modes), strict=True))
        found[cell] = float(max(points.values()) - points[rule(cell)])
    return found


def always(mode: str) -> Rule:
    """Return the rule that takes one mode everywhere."""
    return lambda cell: mode


class Threshold(NamedTuple):
    """A rule that takes one mode up to a threshold of what is known of a cell, another beyond."""

    what: str
    known: Callable[[Cell], float]
    limit: float
    below: str
    above: str

    def __call__(self, cell: Cell) -> str:
        return self.below if self.known(cell) <= self.limit else self.above

    def __str__(self) -> str:
        if math.isinf(self.limit):
            only = self.above if self.limit < 0 else self.below
            return f"{self.what}: no threshold, always {only}"
        return f"{self.below} up to {self.limit:.3g} {self.what}, else {self.above}"


def fitted(
    grid: Grid,
    cells: Sequence[Cell],
    modes: Sequence[str],
    rule: Threshold,
) -> Threshold:
    """Return a rule with the threshold that has the smallest mean regret in some cells.

    Of equal ones the lowest; minus infinity where the threshold gains nothing.
    """
    known = sorted({rule.known(cell) for cell in cells})
    tried = [rule._replace(limit=limit) for limit in (-math.inf, *known)]
    return min(tried, key=lambda one: sum(regrets(grid, cells, modes, one).values()))


def luck(grid: Grid, cells: Sequence[Cell], modes: Sequence[str], n_draws: int = 400) -> Interval:
    """Return the regret that a mode has on average where all are truly equal.

    The rows' differences between the modes are kept, and only their means are taken away: each draw
    of rows with replacement has a best mode, and what it has more than the mean of all modes is
    luck. Cells whose rows are not labelled one by one (words) are left out. Chance of seeds beyond
    those trained is not in it.
    """
    rng = np.random.default_rng(0)
    found = {}
    for cell in cells:
        seeds = grid.shared(cell, modes)
        first = grid.first(cell)
        if first.kind == "token":
            continue
        right = np.stack(
            [
                np.mean(
                    [
                        (one.score(one.judge)[TASK].counts[:, 1])
                        for one in (grid.by_cell[cell][mode][seed] for seed in seeds)
                    ],
                    axis=0,
                )
                for mode in modes
            ]
        )
        right = 100 * (right - right.mean(1, keepdims=True))
        rows = rng.integers(0, right.shape[1], (n_draws, right.shape[1]))
        drawn = right[:, rows].mean(2)
        found[cell] = float((drawn.max(0) - drawn.mean(0)).mean())
    return over_situations(found)


def best_constant(grid: Grid, cells: Sequence[Cell], modes: Sequence[str]) -> str:
    """Return the mode that has the smallest mean regret everywhere."""
    means = np.mean([grid.means(cell, modes) for cell in cells], axis=0)
    return modes[int(np.argmax(means))]
