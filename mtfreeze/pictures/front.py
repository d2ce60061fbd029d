# SPDX-License-Identifier: Apache-2.0
"""Points of quality against time, and the Pareto front: those that no other beats.

One beats another if it is at least as good in no more time, and better in one of the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["REFERENCES", "QualityPoint", "pareto_front"]

REFERENCES = ("start", "majority")
"""Rows that are compared with; they took no time of their own."""


@dataclass(frozen=True)
class QualityPoint:
    """One scenario in one panel.

    Attributes
    ----------
    name : str
        Of the scenario.
    seconds : float
        What it took.
    value : float
        The metric's mean over the seeds, a fraction.
    low, high : float or None
        The ends of its spread; None where there is no spread.
    """

    name: str
    seconds: float
    value: float
    low: float | None = None
    high: float | None = None

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of its spread; its value where there is none."""
        low = self.value if self.low is None else self.low
        high = self.value if self.high is None else self.high
        return min(low, self.value), max(high, self.value)


def pareto_front(points: Sequence[QualityPoint]) -> list[QualityPoint]:
    """Return the points that no other beats, from the fastest on.

    Examples
    --------
    >>> points = [QualityPoint("a", 1, 0.5), QualityPoint("b", 2, 0.4), QualityPoint("c", 3, 0.9)]
    >>> [point.name for point in pareto_front(points)]
    ['a', 'c']
    """
    front: list[QualityPoint] = []
    for point in sorted(points, key=lambda one: (one.seconds, -one.value)):
        if not front or point.value > front[-1].value:
            front.append(point)
    return front
