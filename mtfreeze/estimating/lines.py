# SPDX-License-Identifier: Apache-2.0
"""Seconds against work: straight lines through a few timings, unmoved by a slow one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

__all__ = ["Line", "Timing", "fit_line", "join_lines", "relative_error"]

Timing = tuple[float, float]
"""Work (FLOPs, tokens), seconds."""

_APART = 0.05
"""Works closer than this share of their size say nothing about the slope."""

_MAD = 1.4826
"""From the median absolute deviation to a standard deviation."""


@dataclass(frozen=True)
class Line:
    """Seconds of a call: `intercept` + `slope` x work.

    Attributes
    ----------
    intercept, slope : float
        Both at least 0 in a line that was fitted.
    centre : (float, float)
        Median work and the seconds of it.
    spread : float
        Standard deviation of the timings around the line, as a share of the seconds.
    n : int
        Timings.
    """

    intercept: float
    slope: float
    centre: Timing
    spread: float
    n: int

    def seconds(self, work: float, n_calls: float = 1) -> float:
        """Return the seconds of `n_calls` calls with this work together."""
        return self.intercept * n_calls + self.slope * work


def fit_line(timings: Sequence[Timing]) -> Line:
    """Fit a line: the median of all slopes between two timings (Theil-Sen), then of the heights.

    Examples
    --------
    >>> line = fit_line([(1.0, 3.0), (2.0, 5.0), (3.0, 7.0), (3.0, 99.0)])
    >>> round(line.slope, 6), round(line.intercept, 6)
    (2.0, 1.0)
    """
    work = np.array([one[0] for one in timings], dtype=np.float64)
    took = np.array([one[1] for one in timings], dtype=np.float64)
    slopes = [
        (took[j] - took[i]) / (work[j] - work[i])
        for i, j in combinations(range(len(work)), 2)
        if abs(work[j] - work[i]) > _APART * max(work[i], work[j])
    ]
    slope = max(0.0, float(np.median(slopes))) if slopes else 0.0
    intercept = float(np.median(took - slope * work))
    if intercept < 0 or not slopes:
        # Nothing is known about the part that does not grow: all of it is taken to grow.
        slope = float(np.median(took / np.maximum(work, 1e-30))) if work.any() else 0.0
        intercept = 0.0 if work.any() else float(np.median(took))
    expected = np.maximum(intercept + slope * work, 1e-12)
    spread = _MAD * float(np.median(np.abs(took / expected - 1.0)))
    middle = float(np.median(work))
    return Line(intercept, slope, (middle, intercept + slope * middle), spread, len(took))


def join_lines(lines: Sequence[Line], work: float) -> Line:
    """Return the line for calls of about `work` between those that were timed with other work.

    It goes through the centres of the nearest timed below and above; beyond the last, it is that
    one's.
    """
    ordered = sorted(lines, key=lambda line: line.centre[0])
    below = [line for line in ordered if line.centre[0] <= work]
    above = [line for line in ordered if line.centre[0] > work]
    if not below or not above:
        return (above or below[::-1])[0]
    (x, y), (x2, y2) = below[-1].centre, above[0].centre
    slope = max(0.0, (y2 - y) / (x2 - x))
    spread = max(below[-1].spread, above[0].spread)
    centre = (work, y + slope * (work - x))
    return Line(y - slope * x, slope, centre, spread, min(below[-1].n, above[0].n))


def relative_error(line: Line, n_calls: int) -> float:
    """Return two standard errors of the seconds of many calls, as a share of them."""
    if not n_calls:
        return 0.0
    return 2.0 * line.spread * math.sqrt(1.0 / line.n + 1.0 / n_calls)
