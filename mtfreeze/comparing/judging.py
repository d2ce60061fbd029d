# SPDX-License-Identifier: Apache-2.0
"""Which scenario is best on a task, and which cannot be told apart from it.

The best is the one with the highest mean. It is the *winner* only if it is significantly better
than every other and than `START`; otherwise those that cannot be told apart from it are tied with
it. Since the best is chosen after looking, all pairs of scenarios are judged together (Holm 1979),
not only those with the best: with seven equal scenarios the other way leaves one of them out too
often.
Changes against `START` are a family of their own, and the same for the table and the verdict.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

from .bootstrap import Difference, Drawn, holm, seed_spread, subtract
from .results import MAJORITY, START

__all__ = ["Best", "Judgement", "judge"]


@dataclass(frozen=True)
class Best:
    """The verdict on one task.

    Attributes
    ----------
    task, metric : str
    name : str
        The scenario with the highest mean; `START` where none is above it.
    value : float
        That mean.
    tied : tuple of str
        Those that cannot be told apart from it, best first.
    gained : bool or None
        Whether it is significantly better than `START`; None where there is no such row.
    n_compared : int
        Scenarios that it was compared with, `START` among them.
    """

    task: str
    metric: str
    name: str
    value: float
    tied: tuple[str, ...]
    gained: bool | None
    n_compared: int

    @property
    def wins(self) -> bool:
        """Whether it is significantly better than all others."""
        return not self.tied and self.n_compared > 0


class Judgement:
    """All differences of one task.

    Parameters
    ----------
    drawn : mapping of str to Drawn
        From `draw`; `MAJORITY` takes no part.
    seed : int
        Of the draws.
    """

    def __init__(self, drawn: Mapping[str, Drawn], seed: int = 0) -> None:
        self._drawn = {name: one for name, one in drawn.items() if name != MAJORITY}
        self._seed = seed
        self._spread = seed_spread(list(self._drawn.values()))
        self.means = {name: float(one.values.mean()) for name, one in self._drawn.items()}
        scenarios = [name for name in self._drawn if name != START]
        self.changes: dict[str, Difference] = {}
        if START in self._drawn:
            found = {name: self._subtract(name, START) for name in scenarios}
            self.changes = holm({name: one for name, one in found.items() if one is not None})
        pairs = {pair: self._subtract(*pair) for pair in itertools.combinations(scenarios, 2)}
        self._pairs = holm({pair: one for pair, one in pairs.items() if one is not None})

    def _subtract(self, first: str, second: str) -> Difference | None:
        return subtract(self._drawn[first], self._drawn[second], self._spread, self._seed)

    def between(self, first: str, second: str) -> Difference | None:
        """Return by how much `first` is better than `second`, as judged with all others."""
        if START in (first, second):
            one = self.changes.get(second if first == START else first)
            return one if one is None or second == START else _turned(one)
        one = self._pairs.get((first, second))
        if one is not None:
            return one
        one = self._pairs.get((second, first))
        return None if one is None else _turned(one)


def _turned(one: Difference) -> Difference:
    return Difference(-one.value, -one.high, -one.low, one.p, one.adjusted, one.n_seeds)


def judge(task: str, metric: str, judgement: Judgement) -> Best | None:
    """Return the verdict on a task; None if nothing was scored on it."""
    means = judgement.means
    if not means:
        return None
    # Among equals the start, which costs nothing more; then the order of the rows.
    ranked = sorted(means, key=lambda name: (-means[name], name != START))
    name, others = ranked[0], ranked[1:]
    apart = {other: judgement.between(name, other) for other in others}
    tied = tuple(other for other, one in apart.items() if one is None or not one.significant)
    gained = name != START and START not in tied if START in means else None
    return Best(task, metric, name, means[name], tied, gained, len(others))
