"""Targets and markdown tables: whether a target is met is computed from the unrounded figure.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Target(NamedTuple):
    """A limit, and the stretch beyond it where there is one."""

    limit: float
    stretch: float | None = None
    at_most: bool = False
    """Whether smaller is better."""

    def met(self, value: float) -> bool:
        """Whether the limit is met."""
        return value <= self.limit if self.at_most else value >= self.limit

    def said(self, value: float, shape: str = "{:g}x") -> str:
        """Return the limit and whether `value` meets it, in the shape given."""
        sign = "<=" if self.at_most else ">="
        text = f"{sign} {shape.format(self.limit)} {'met' if self.met(value) else 'NOT met'}"
        if self.stretch is None:
            return text
        beyond = self._replace(limit=self.stretch)
        verdict = "met" if beyond.met(value) else "not met"
        return f"{text}; stretch {shape.format(self.stretch)} {verdict}"


class Spread(NamedTuple):
    """Median, lowest and highest of repeated figures."""

    median: float
    lowest: float
    highest: float

    def __str__(self) -> str:
        return f"{self.median:.2f} ({self.lowest:.2f}-{self.highest:.2f})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of figures."""
    return Spread(statistics.median(values), min(values), max(values))


def line(*cells: object) -> str:
    """Return a line of a markdown table."""
    return f"| {' | '.join(str(cell) for cell in cells)} |"


def header(*cells: str) -> str:
    """Return the first two lines of a markdown table."""
    return f"{line(*cells)}\n{line(*['---'] * len(cells))}"


def verdicts(found: Sequence[tuple[str, str, str]]) -> str:
    """Return the table of targets: what, figure, verdict."""
    return "\n".join([header("target", "measured", "verdict"), *(line(*row) for row in found)])
