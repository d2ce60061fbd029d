"""The tables of the experiment on advice, in markdown, from a grid of trainings.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from .advice_races import Raced, races, rank_correlations
from .advice_records import Cell, Grid, Record
from .advice_regret import (
    Interval,
    Rule,
    Threshold,
    always,
    best_constant,
    fitted,
    luck,
    over_situations,
    regrets,
)
from .advice_situations import CALIBRATION, REPORT
from .advice_training import CANDIDATES, MODES
from .figures import Target, header, line, verdicts

CORE = ("heads", "half", "none")
"""A cell counts where these have `SEEDS` seeds."""

SEEDS = 2
FULL = 3
"""Seeds of a full comparison, which a race's cost is set against."""
HALVES = (CALIBRATION, REPORT)


def _points(values: Sequence[float], best: float) -> list[str]:
    return [f"**{one:.1f}**" if one == best else f"{one:.1f}" for one in values]


def cells_table(grid: Grid) -> str:
    """Return every cell that counts: points by mode, the best of the first three bold."""
    others = [mode for mode in MODES if mode not in CORE]
    lines = [header("situation", "backbone", "half", "rows", "labels", "seeds", *CORE, *others)]
    for cell in sorted(grid.cells(CORE, SEEDS), key=lambda one: (grid.first(one).half, one)):
        first, points = grid.first(cell), grid.means(cell, CORE)
        seeds = len(grid.shared(cell, CORE))
        known = [mode for mode in others if grid.shared(cell, (mode,))]
        more = {mode: f"{grid.means(cell, (mode,))[0]:.1f}" for mode in known}
        lines.append(
            line(*cell, first.half, first.n_rows, first.n_labels, seeds,
                 *_points(points.tolist(), float(points.max())),
                 *(more.get(mode, "") for mode in others))
        )  # fmt: skip
    return "\n".join(lines)


def always_table(
    grid: Grid, modes: Sequence[str], seeds: int, rules: Mapping[str, Rule] | None = None
) -> str:
    """Return the regret of taking one mode everywhere, and of other rules, in both halves."""
    lines = [
        header(
            "half", "rule", "cells", "mean regret (95 % over situations)", "largest", "the worst"
        )
    ]
    for half in HALVES:
        cells = grid.cells(modes, seeds, half)
        if not cells:
            continue
        named = {f"always {mode}": always(mode) for mode in modes} | dict(rules or {})
        for name, rule in named.items():
            usable = [cell for cell in cells if rule(cell) in modes]
            found = regrets(grid, usable, modes, rule)
            worst = sum(
                modes[int(np.argmin(grid.means(cell, modes)))] == rule(cell) for cell in usable
            )
            lines.append(
                line(half, name, len(usable), over_situations(found), f"{max(found.values()):.1f}",
                     worst)
            )  # fmt: skip
        lines.append(
            line(half, "luck alone, all modes equal", len(cells), luck(grid, cells, modes), "", "")
        )
    return "\n".join(lines)


def rules_of(grid: Grid, modes: Sequence[str], seeds: int) -> dict[str, Rule]:
    """Return rules by what is known before the backbone trains, fixed on the calibration half."""

    def per_label(cell: Cell) -> float:
        return grid.first(cell).n_rows / grid.first(cell).n_labels

    def left_to_win(cell: Cell) -> float:
        runs = [one for one in grid.by_cell[cell]["heads"].values() if one.choose is not None]
        return 100 * (1 - statistics.mean(one.chosen_by() for one in runs))

    cells = grid.cells(modes, seeds, CALIBRATION)
    rules = [
        Threshold("rows a label", per_label, 0.0, "heads", "none"),
        Threshold("rows a label", per_label, 0.0, "half", "none"),
        Threshold("points left by the heads", left_to_win, 0.0, "heads", "none"),
        Threshold("points left by the heads", left_to_win, 0.0, "half", "none"),
    ]
    return {str(one): one for one in (fitted(grid, cells, modes, rule) for rule in rules)}


def differences_table(grid: Grid, base: str, others: Sequence[str], seeds: int) -> str:
    """Return by how many points other modes are ahead of one, on the seeds that both have."""
    lines = [header("mode", "half", "cells", f"ahead of {base}", "ahead by 1", "behind by 1")]
    for mode in others:
        for half in (*HALVES, "both"):
            cells = grid.cells((base, mode), seeds, None if half == "both" else half)
            if not cells:
                continue
            found = {cell: _ahead(grid, cell, mode, base) for cell in cells}
            ahead, behind = (sum(sign * one >= 1 for one in found.values()) for sign in (1, -1))
            lines.append(line(mode, half, len(cells), over_situations(found), ahead, behind))
    return "\n".join(lines)


def _ahead(grid: Grid, cell: Cell, mode: str, base: str) -> float:
    first, second = grid.means(cell, (mode, base))
    return float(first - second)


def groups_table(grid: Grid, base: str, modes: Sequence[str]) -> str:
    """Return the same by kind of situation, and over how many cells."""
    lines = [header("cells", *(f"{mode} ahead of {base}" for mode in modes))]
    for name, belongs in GROUPS.items():
        said = []
        for mode in modes:
            cells = [one for one in grid.cells((base, mode)) if belongs(grid.first(one))]
            found = over_situations({cell: _ahead(grid, cell, mode, base) for cell in cells})
            said.append(f"{found}, {len(cells)}" if cells else "")
        if any(said):
            lines.append(line(name, *said))
    return "\n".join(lines)


GROUPS: dict[str, Callable[[Record], bool]] = {
    "at most 16 rows a label": lambda one: one.n_rows <= 16 * one.n_labels and one.kind != "token",
    "more rows a label": lambda one: one.n_rows > 16 * one.n_labels and one.kind != "token",
    "two labels": lambda one: one.n_labels == 2,
    "three and more labels": lambda one: one.n_labels > 2 and one.kind != "token",
    "words": lambda one: one.kind == "token",
    "crossed domains": lambda one: "-to-" in one.situation,
    "wrong labels": lambda one: one.situation.startswith("noise"),
    "unequal labels": lambda one: "unequal" in one.situation,
    "MiniLM": lambda one: one.backbone == "minilm",
    "multilingual e5": lambda one: one.backbone == "e5",
    "mpnet": lambda one: one.backbone == "mpnet",
    "DINOv2, images": lambda one: one.backbone == "dinov2",
}


def costs_table(grid: Grid) -> str:
    """Return seconds and memory of each mode beside those of training everything warm."""
    lines = [header("backbone", "mode", "trainings", "seconds", "of none", "memory MB", "of none")]
    for backbone in sorted({cell[1] for cell in grid.by_cell}):
        for mode in MODES:
            pairs = [
                (one, by["none"][seed])
                for cell, by in grid.by_cell.items()
                if cell[1] == backbone
                for seed, one in by.get(mode, {}).items()
                if seed in by.get("none", {})
            ]
            if pairs:
                seconds, others = (sum(p[i].seconds for p in pairs) for i in (0, 1))
                cells = [len(pairs), f"{seconds / len(pairs):.1f}", f"{seconds / others:.2f}"]
                lines.append(line(backbone, mode, *cells, *_memory(grid, backbone, mode)))
    return "\n".join(lines)


def _memory(grid: Grid, backbone: str, mode: str) -> tuple[str, str]:
    """Return the memory of a mode, of trainings that nothing was asked on the way."""
    pairs = []
    for cell, by in grid.by_cell.items():
        full = [one.peak_bytes for one in by.get("none", {}).values() if not one.rungs]
        own = [one.peak_bytes for one in by.get(mode, {}).values() if not one.rungs]
        if cell[1] == backbone and full:
            pairs += [(one, statistics.mean(full)) for one in own]
    if not pairs:
        return "", ""
    memory, most = (statistics.mean(pair[i] for pair in pairs) for i in (0, 1))
    return f"{memory / 1e6:.0f}", f"{memory / most:.2f}"


def forgetting_table(grid: Grid) -> str:
    """Return how far embeddings drifted, and what is left of telling pairs of texts apart."""
    lines = [header("backbone", "mode", "trainings", "drift", "largest", "rho before", "rho after")]
    for backbone in sorted({cell[1] for cell in grid.by_cell}):
        for mode in MODES:
            runs = [
                one
                for cell, by in grid.by_cell.items()
                if cell[1] == backbone
                for one in by.get(mode, {}).values()
                if one.drift is not None
            ]
            if not runs:
                continue
            drifts = [one.drift for one in runs if one.drift is not None]
            old = [one.old for one in runs if one.old is not None]
            rho = [f"{statistics.mean(one[i] for one in old):.3f}" if old else "" for i in (0, 1)]
            lines.append(
                line(backbone, mode, len(runs), f"{statistics.mean(drifts):.3f}",
                     f"{max(drifts):.3f}", *rho)
            )  # fmt: skip
    return "\n".join(lines)


def seeds_table(grid: Grid) -> str:
    """Return how much seeds vary each mode, in points."""
    lines = [header("mode", "cells", "mean deviation over seeds", "largest")]
    for mode in MODES:
        cells = grid.cells((mode,), SEEDS)
        spreads = [
            100 * statistics.stdev(one.value for one in grid.by_cell[cell][mode].values())
            for cell in cells
        ]
        if spreads:
            cells_said = line(mode, len(cells), f"{statistics.mean(spreads):.2f}",
                              f"{max(spreads):.1f}")  # fmt: skip
            lines.append(cells_said)
    return "\n".join(lines)


def race_table(grid: Grid) -> str:
    """Return what races of one seed came to beside what else could be done, in both halves."""
    lines = [header("half", "rule", "races", "mean regret (95 % interval)", "largest", "cost")]
    for half in HALVES:
        found = races(grid, grid.cells(CANDIDATES, 1, half))
        for name, choice in RACE_RULES.items() if found else ():
            regret = [one.regrets[choice(one)] for one in found]
            cost = sum(_cost(one, name) for one in found) / sum(one.one_seed for one in found)
            mean = _by_cell(found, lambda one, choice=choice: one.regrets[choice(one)])
            lines.append(line(half, name, len(found), mean, f"{max(regret):.1f}", f"{cost:.0%}"))
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
            costs = (f"{trained:.0%}", f"{_share(own):.0%}", f"{_share(own) / FULL:.0%}")
            lines.append(line(name, len(own), f"{finished:.1f}", kept, *costs, counted))
    return "\n".join(lines)


def _share(found: Sequence[Raced]) -> float:
    return sum(one.seconds for one in found) / sum(one.one_seed for one in found)


def _by_cell(found: Sequence[Raced], figure: Callable[[Raced], float]) -> Interval:
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
        behind = _by_cell(found, lambda one: one.regrets[one.chosen])
        constant = _by_cell(found, lambda one: one.regrets[default])
        limit = f"{{:.2f}} of always {default}"
        rows += [
            ("race: mean regret, one seed", str(behind),
             Target(constant.mean, at_most=True).said(behind.mean, limit)),
            ("race: a winner within 1 point kept", f"{kept:.0%} of {len(found)}",
             Target(0.95).said(kept, "{:.0%}")),
            ("race: cost of a one-seed comparison", f"{_share(found):.0%}",
             Target(0.5, at_most=True).said(_share(found), "{:.0%}")),
            ("race: cost of one with three seeds", f"{_share(found) / FULL:.0%}",
             Target(0.2, at_most=True).said(_share(found) / FULL, "{:.0%}")),
        ]  # fmt: skip
    return verdicts(rows)
