"""Races run again from a grid of trainings, by the functions that the product decides with.

A race of five candidates with one seed: scored on the rows to choose by at a quarter and at half of
their schedules, those left behind dropped, the cheapest within a point of the best of those that
finish chosen. What it costs are the processor seconds of what it trained and of its scoring,
against those of training all five to the end.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import spearmanr

from mtfreeze.comparing.race_rules import TOLERANCE, choose, judge_rung

from .advice_records import TASK, Cell, Grid, Record

CANDIDATES = ("heads", "half", "none", "lora", "bitfit")
NEVER_DROPPED = ("heads",)


class Raced(NamedTuple):
    """What came out of one race."""

    cell: Cell
    seed: int
    chosen: str
    winner: str
    """Of all five trained to the end, the best on the rows to choose by."""
    kept: bool
    """Whether one within a point of the winner, on the rows to choose by, was never dropped."""
    n_finished: int
    seconds: float
    one_seed: float
    """Processor seconds of all five with one seed."""
    trained: float
    """Share of the five's training, without scoring, that the race did."""
    regrets: dict[str, float]
    """Points behind the best of the five on the rows to judge by, of each candidate."""
    costs: dict[str, float]
    """Processor seconds of each candidate, trained to the end and scored there."""


def race(cell: Cell, seed: int, runs: dict[str, Record]) -> Raced:
    """Run one race."""
    racing = list(runs)
    spent = {name: runs[name].seconds + runs[name].scoring for name in runs}
    full = dict(spent)
    trained = {name: runs[name].seconds for name in runs}
    for number in range(len(runs["none"].rungs)):
        scores = {name: runs[name].score(runs[name].rungs[number][2]) for name in racing}
        for name, verdict in judge_rung(scores, NEVER_DROPPED, seed=seed).items():
            if verdict.dropped:
                racing.remove(name)
                trained[name] = runs[name].rungs[number][1]
                spent[name] = runs[name].rungs[number][1] + (number + 1) * runs[name].scoring
    for name in racing:
        if name not in NEVER_DROPPED:
            spent[name] += len(runs[name].rungs) * runs[name].scoring
    values = {name: {TASK: runs[name].chosen_by()} for name in racing}
    choice = choose(values, {name: runs[name].seconds for name in racing})
    assert choice is not None
    ends = {name: one.chosen_by() for name, one in runs.items()}
    winner = max(ends, key=lambda name: ends[name])
    judged = {name: 100 * one.value for name, one in runs.items()}
    return Raced(
        cell,
        seed,
        choice.name,
        winner,
        max(ends[name] for name in racing) >= ends[winner] - TOLERANCE - 1e-9,
        len(racing),
        sum(spent.values()),
        sum(full.values()),
        sum(trained.values()) / sum(one.seconds for one in runs.values()),
        {name: max(judged.values()) - value for name, value in judged.items()},
        full,
    )


def races(grid: Grid, cells: Sequence[Cell]) -> list[Raced]:
    """Return a race for each cell and seed that has all candidates."""
    return [
        race(cell, seed, {name: grid.by_cell[cell][name][seed] for name in CANDIDATES})
        for cell in cells
        for seed in raced(grid, cell)
    ]


def raced(grid: Grid, cell: Cell) -> list[int]:
    """Return the seeds of which all candidates were scored on the way."""
    return [
        seed
        for seed in grid.shared(cell, CANDIDATES)
        if all(grid.by_cell[cell][name][seed].rungs for name in CANDIDATES)
    ]


def rank_correlations(grid: Grid, cells: Sequence[Cell]) -> dict[float, dict[Cell, float]]:
    """Return, by share of the schedule, Spearman's rho of the candidates' values with the end."""
    found: dict[float, dict[Cell, float]] = {}
    for cell in cells:
        for seed in raced(grid, cell):
            runs = [grid.by_cell[cell][name][seed] for name in CANDIDATES]
            ends = [one.value for one in runs]
            for number, (share, *_) in enumerate(runs[0].rungs):
                values = [float(np.mean(_metric(one, one.rungs[number][2]))) for one in runs]
                if len(set(values)) > 1 and len(set(ends)) > 1:
                    rho = float(spearmanr(values, ends).statistic)
                    found.setdefault(share, {}).setdefault(cell, []).append(rho)  # type: ignore
    return {
        share: {cell: float(np.mean(own)) for cell, own in by.items()}
        for share, by in found.items()
    }


def _metric(one: Record, rows: str) -> float:
    from .advice_records import value_of

    return value_of(one.score(rows)[TASK])
