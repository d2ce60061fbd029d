# SPDX-License-Identifier: Apache-2.0
"""Rows that trained too little for their figures to say anything, and how much more they need.

A table of such rows misleads: a frozen backbone whose head took nine steps looks worse than the row
`START`, whose head took thirty. Such sentences stand above the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..closest import counted
from ..planning.start import count_start_steps
from .figures import REFERENCES, ScenarioFigures
from .results import START, ScenarioRun

__all__ = ["shorter_than_start", "too_short"]


def too_short(
    runs: Sequence[ScenarioRun], rows: Sequence[ScenarioFigures], *, cold: bool = False
) -> list[str]:
    """Return what a reader has to know before the figures; nothing where all trained enough.

    Parameters
    ----------
    runs : sequence of ScenarioRun
        All of the comparison.
    rows : sequence of ScenarioFigures
        The same over their seeds.
    cold : bool
        Whether heads begin as they were drawn (``start="cold"``).
    """
    worse = [row.name for row in rows if _significant(row, -1)]
    found = [
        f"{name}: the heads learned too little to say what freezing costs: "
        f"{counted(n, 'step')}, where those of the row {START} had {usual}; "
        f"{_more(n, usual)} would compare like with like"
        for name, (n, usual) in _shorter(runs).items()
        if name in worse
    ]
    return found + (_nothing_learned(runs, rows) if cold else [])


def shorter_than_start(runs: Sequence[ScenarioRun], rows: Sequence[ScenarioFigures]) -> list[str]:
    """Say which modes trained the heads alone for fewer steps than the row `START`, and no worse.

    Their backbone is frozen whole, so their run is all the training that their heads get, where
    others go on from that row. Those that came out significantly worse are said by `too_short`.
    """
    worse = [row.name for row in rows if _significant(row, -1)]
    return [
        f"{name}: {counted(n, 'step')} of the heads, fewer than the {usual} of the row {START}; "
        f"{_more(n, usual)} would compare like with like"
        for name, (n, usual) in _shorter(runs).items()
        if name not in worse
    ]


def _shorter(runs: Sequence[ScenarioRun]) -> dict[str, tuple[int, int]]:
    """Return the steps of modes that train what `START` did for fewer steps, and its own."""
    steps = _steps(runs)
    begun = {one.scenario: one.parameters_trained for one in runs}
    usual, trained = steps.get(START, 0), begun.get(START)
    return {
        name: (n, usual)
        for name, n in steps.items()
        if name != START and 0 < n < usual and begun[name] == trained
    }


def _nothing_learned(runs: Sequence[ScenarioRun], rows: Sequence[ScenarioFigures]) -> list[str]:
    """Say that heads which began as they were drawn are still that, after few steps."""
    steps = {name: n for name, n in _steps(runs).items() if name not in REFERENCES and n}
    if not steps or any(_significant(row, +1) for row in rows):
        return []
    n = max(steps.values())
    epochs = max((row["epoch"] for run in runs for row in run.history if "task" in row), default=1)
    usual = count_start_steps(-(-n // max(1, epochs)))
    if n >= usual:
        return []
    return [
        f"nothing learned shows: no row is significantly better than {START}, of which nothing was "
        f"trained; new heads need about {counted(usual, 'step')} and had {n}; take "
        f"{_more(n, usual)}, or leave out start='cold'"
    ]


def _steps(runs: Sequence[ScenarioRun]) -> Mapping[str, int]:
    return {one.scenario: sum("task" in row for row in one.history) for one in runs}


def _more(n: int, usual: int) -> str:
    """Return how much longer `n` steps have to be to reach `usual`."""
    return f"{-(-usual // n)} times as many epochs ({usual - n} more steps)"


def _significant(row: ScenarioFigures, sign: int) -> bool:
    """Whether a row is significantly better (+1) or worse (-1) than `START` on some task."""
    changes = [one.change for one in row.tasks.values() if one.change is not None]
    return any(one.significant and one.value * sign > 0 for one in changes)
