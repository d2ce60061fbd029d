"""The tables of races of the experiment on advice, and of its targets.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence

from .advice_races import Raced, races, rank_correlations
from .advice_records import Cell, Grid
from .advice_regret import Interval, always, best_constant, over_situations, regrets
from .advice_situations import REPORT
from .advice_tables import CORE, HALVES, SEEDS, two_columns
from .advice_training import CANDIDATES
from .figures import Target, header, line, verdicts

FULL = 3
"""Seeds of a full comparison, which a race's cost is set against."""


def race_table(grid: Grid) -> str:
    """Return what races of one seed came to beside what else could be done, in both halves."""
    cells = {half: grid.cells(CANDIDATES, 1, half) for half in HALVES}
    found = {half: own for half in HALVES if (own := races(grid, cells[half]))}
    both = [one for own in found.values() for one in own]
    lines = [two_columns("rule", [f"{half}, {len(own)} races" for half, own in found.items()])]
    lines[0] = lines[0].replace(" |\n", " | cost |\n", 1) + " --- |"
    for name, choice in RACE_RULES.items():
        said: list[object] = [name]
        for own in found.values():
            said.append(mean_by_cell(own, lambda one, choice=choice: one.regrets[choice(one)]))
            said.append(f"{max(one.regrets[choice(one)] for one in own):.1f}")
        cost = sum(_cost(one, name) for one in both) / sum(one.one_seed for one in both)
        lines.append(line(*said, f"{cost:.0%}"))
    return "\n".join(lines)


RACE_RULES: dict[str, Callable[[Raced], str]] = {
    "race": lambda one: one.chosen,
    "all five trained, the best taken": lambda one: one.winner,
    **{f"always {mode}": lambda one, mode=mode: mode for mode in CANDIDATES},
}
"""What is taken; those who know it before train nothing else."""


def _cost(one: Raced, name: str) -> float:
    if name == "race":
        return one.seconds
    return one.costs[name.removeprefix("always ")] if name.startswith("always") else one.one_seed


def dropping_table(grid: Grid) -> str:
    """Return what races dropped and kept, by how many rows there were to train on."""
    lines = [header("training rows", "races", "finished of 5", "winner within a point kept",
                    "one seed's training", "with scoring", "of three", "chosen")]  # fmt: skip
    found = races(grid, grid.cells(CANDIDATES, 1))
    for name, low, high in (("up to 64", 0, 64), ("more", 65, 10**9), ("all", 0, 10**9)):
        own = [one for one in found if low <= grid.first(one.cell).n_rows <= high]
        if own:
            names = [one.chosen for one in own]
            counted = ", ".join(f"{one} {names.count(one)}" for one in CANDIDATES if one in names)
            finished = statistics.mean(one.n_finished for one in own)
            kept = f"{sum(one.kept for one in own)} of {len(own)}"
            trained = statistics.mean(one.trained for one in own)
            costs = (f"{trained:.0%}", f"{share_of(own):.0%}", f"{share_of(own) / FULL:.0%}")
            lines.append(line(name, len(own), f"{finished:.1f}", kept, *costs, counted))
    return "\n".join(lines)


def share_of(found: Sequence[Raced]) -> float:
    return sum(one.seconds for one in found) / sum(one.one_seed for one in found)


def mean_by_cell(found: Sequence[Raced], figure: Callable[[Raced], float]) -> Interval:
    by: dict[Cell, list[float]] = {}
    for one in found:
        by.setdefault(one.cell, []).append(figure(one))
    return over_situations({cell: statistics.mean(own) for cell, own in by.items()})


def ranks_table(grid: Grid) -> str:
    """Return how the candidates' order on the way agrees with that of the end."""
    lines = [header("share of the schedule", "cells", "Spearman's rho with the end")]
    found = rank_correlations(grid, grid.cells(CANDIDATES))
    for share, by in sorted(found.items()):
        lines.append(line(f"{share:.0%}", len(by), over_situations(by)))
    return "\n".join(lines)


def targets_table(grid: Grid, default: str) -> str:
    """Return the targets with their verdicts, on the half that is reported."""
    cells = grid.cells(CORE, SEEDS, REPORT)
    own = regrets(grid, cells, CORE, always(default))
    best = best_constant(grid, cells, CORE)
    other = regrets(grid, cells, CORE, always(best))
    paired = over_situations({cell: other[cell] - own[cell] for cell in cells})
    rows = [
        ("mean regret of the default", str(over_situations(own)),
         Target(0.5, at_most=True).said(over_situations(own).mean, "{:g} points")),
        ("largest regret of the default", f"{max(own.values()):.1f}",
         Target(2.0, at_most=True).said(max(own.values()), "{:g} points")),
        (f"points ahead of always {best}, the best constant", str(paired),
         Target(-0.3).said(paired.low, "lower end {:g}")),
    ]  # fmt: skip
    found = races(grid, grid.cells(CANDIDATES, 1, REPORT))
    if found:
        kept = sum(one.kept for one in found) / len(found)
        behind = mean_by_cell(found, lambda one: one.regrets[one.chosen])
        constant = mean_by_cell(found, lambda one: one.regrets[default])
        limit = f"{{:.2f}} of always {default}"
        rows += [
            ("race: mean regret, one seed", str(behind),
             Target(constant.mean, at_most=True).said(behind.mean, limit)),
            ("race: a winner within 1 point kept", f"{kept:.0%} of {len(found)}",
             Target(0.95).said(kept, "{:.0%}")),
            ("race: cost of a one-seed comparison", f"{share_of(found):.0%}",
             Target(0.5, at_most=True).said(share_of(found), "{:.0%}")),
            ("race: cost of one with three seeds", f"{share_of(found) / FULL:.0%}",
             Target(0.2, at_most=True).said(share_of(found) / FULL, "{:.0%}")),
        ]  # fmt: skip
    return verdicts(rows)
