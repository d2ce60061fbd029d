"""The tables of the experiment on advice, in markdown, from a grid of trainings.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .advice_records import Cell, Grid, Record
from .advice_regret import (
    Rule,
    Threshold,
    always,
    fitted,
    luck,
    over_situations,
    regrets,
)
from .advice_situations import CALIBRATION, REPORT
from .advice_training import MODES
from .figures import header, line

CORE = ("heads", "half", "none")
"""A cell counts where these have `SEEDS` seeds."""

SEEDS = 2
LAYERS = {"minilm": 6, "e5": 12, "mpnet": 12, "dinov2": 12}
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
    by_half = {half: cells for half in HALVES if (cells := grid.cells(modes, seeds, half))}
    named = {f"always {mode}": always(mode) for mode in modes} | dict(rules or {})
    lines = [two_columns("rule", [f"{half}, {len(own)} cells" for half, own in by_half.items()])]
    for name, rule in named.items():
        found = [regrets(grid, cells, modes, rule) for cells in by_half.values()]
        cells = [(over_situations(one), f"{max(one.values()):.1f}") for one in found]
        lines.append(line(name, *(cell for pair in cells for cell in pair)))
    chance = [(luck(grid, cells, modes), "") for cells in by_half.values()]
    lines.append(line("luck alone, all modes equal", *(one for pair in chance for one in pair)))
    return "\n".join(lines)


def two_columns(first: str, names: Sequence[str], second: str = "largest") -> str:
    """Return the first lines of a table with two columns for each name."""
    return header(first, *(cell for name in names for cell in (name, second)))


def rules_of(grid: Grid, modes: Sequence[str], seeds: int) -> dict[str, Rule]:
    """Return rules by what is known before the backbone trains, fixed on the calibration half."""

    def per_label(cell: Cell) -> float:
        return grid.first(cell).n_rows / grid.first(cell).n_labels

    def layers(cell: Cell) -> float:
        return LAYERS[cell[1]]

    left = partial(_left_by_heads, grid)
    cells = grid.cells(modes, seeds, CALIBRATION)
    rules = [
        Threshold("layers", layers, 0.0, "none", "half"),
        Threshold("rows a label", per_label, 0.0, "heads", "none"),
        Threshold("rows a label", per_label, 0.0, "half", "none"),
        Threshold("points left by the heads", left, 0.0, "heads", "none"),
        Threshold("points left by the heads", left, 0.0, "half", "none"),
    ]
    return {str(one): one for one in (fitted(grid, cells, modes, rule) for rule in rules)}


def _left_by_heads(grid: Grid, cell: Cell) -> float:
    """Return the points that heads alone leave on the rows to choose by, as a probe would say."""
    runs = [one for one in grid.by_cell[cell]["heads"].values() if one.choose is not None]
    return 100 * (1 - statistics.mean(one.chosen_by() for one in runs))


def differences_table(grid: Grid, base: str, others: Sequence[str]) -> str:
    """Return by how many points other modes are ahead of one, on the seeds that both have."""
    lines = [header("mode", "cells", f"ahead of {base}", *HALVES, "ahead by 1", "behind by 1")]
    for mode in others:
        found = {cell: _ahead(grid, cell, mode, base) for cell in grid.cells((base, mode))}
        halves = [
            str(over_situations({c: v for c, v in found.items() if grid.first(c).half == half}))
            for half in HALVES
        ]
        ahead, behind = (sum(sign * one >= 1 for one in found.values()) for sign in (1, -1))
        lines.append(line(mode, len(found), over_situations(found), *halves, ahead, behind))
    return "\n".join(lines)


def _ahead(grid: Grid, cell: Cell, mode: str, base: str) -> float:
    first, second = grid.means(cell, (mode, base))
    return float(first - second)


def groups_table(grid: Grid, base: str, modes: Sequence[str]) -> str:
    """Return the same by kind of situation, and over how many cells."""
    lines = [header("cells", *(f"{mode} ahead of {base}" for mode in modes))]
    easy = {one for one in grid.cells(("heads", base)) if _left_by_heads(grid, one) <= EASY}
    groups = {**GROUPS, f"heads leave at most {EASY} points": lambda one: one.cell in easy}
    for name, belongs in groups.items():
        said = []
        for mode in modes:
            cells = [one for one in grid.cells((base, mode)) if belongs(grid.first(one))]
            found = over_situations({cell: _ahead(grid, cell, mode, base) for cell in cells})
            said.append(f"{found}, {len(cells)}" if cells else "")
        if any(said):
            lines.append(line(name, *said))
    return "\n".join(lines)


EASY = 10
GROUPS: dict[str, Callable[[Record], bool]] = {
    "at most 16 rows a label": lambda one: one.n_rows <= 16 * one.n_labels and one.kind != "token",
    "more rows a label": lambda one: one.n_rows > 16 * one.n_labels and one.kind != "token",
    "two labels": lambda one: one.n_labels == 2,
    "three and more labels": lambda one: one.n_labels > 2 and one.kind != "token",
    "words": lambda one: one.kind == "token",
    "crossed domains": lambda one: "-to-" in one.situation,
    "wrong labels": lambda one: one.situation.startswith("noise"),
    "unequal labels": lambda one: "unequal" in one.situation,
    "12 layers": lambda one: LAYERS[one.backbone] == 12,
    "MiniLM, 6 layers": lambda one: one.backbone == "minilm",
    "multilingual e5": lambda one: one.backbone == "e5",
    "mpnet": lambda one: one.backbone == "mpnet",
    "DINOv2, images": lambda one: one.backbone == "dinov2",
}


def costs_table(grid: Grid) -> str:
    """Return seconds and memory of each mode, and the share of those of training everything."""
    lines = [header("backbone", *MODES)]
    for backbone in _backbones(grid):
        cells = [_cost(grid, backbone, mode) for mode in MODES]
        lines.append(line(f"{backbone}, seconds", *(one for one, _ in cells)))
        lines.append(line(f"{backbone}, MB", *(one for _, one in cells)))
    return "\n".join(lines)


def _backbones(grid: Grid) -> list[str]:
    return [name for name in LAYERS if any(cell[1] == name for cell in grid.by_cell)]


def _cost(grid: Grid, backbone: str, mode: str) -> tuple[str, str]:
    """Return mean seconds over the cells and seeds that everything has as well, and the memory of
    those that nothing was asked on the way, each with its share."""
    seconds, memory = [], []
    for cell, by in grid.by_cell.items():
        full, own = by.get("none", {}), by.get(mode, {})
        if cell[1] != backbone or not full:
            continue
        seconds += [(own[seed].seconds, full[seed].seconds) for seed in own if seed in full]
        most = [one.peak_bytes / 1e6 for one in full.values() if not one.rungs]
        if most:
            memory += [
                (one.peak_bytes / 1e6, statistics.mean(most))
                for one in own.values()
                if not one.rungs
            ]
    return _shared(seconds, ".1f"), _shared(memory, ".0f")


def _shared(pairs: Sequence[tuple[float, float]], shape: str) -> str:
    if not pairs:
        return ""
    own, full = (sum(pair[i] for pair in pairs) for i in (0, 1))
    return f"{own / len(pairs):{shape}} ({own / full:.0%})"


def forgetting_table(grid: Grid) -> str:
    """Return how far embeddings drifted, and what is left of telling pairs of texts apart."""
    lines = [header("backbone", "before", *MODES)]
    for backbone in _backbones(grid):
        drifts, after, before = [], [], ""
        for mode in MODES:
            runs = [
                one
                for cell, by in grid.by_cell.items()
                if cell[1] == backbone
                for one in by.get(mode, {}).values()
                if one.drift is not None
            ]
            old = [one.old for one in runs if one.old is not None]
            drifts.append(_mean([one.drift for one in runs if one.drift is not None]))
            after.append(_mean([one for _, one in old]))
            before = _mean([one for one, _ in old]) or before
        lines.append(line(f"{backbone}, drift", "", *drifts))
        if before:
            lines.append(line(f"{backbone}, rho", before, *after))
    return "\n".join(lines)


def _mean(values: Sequence[float]) -> str:
    return f"{statistics.mean(values):.3f}" if values else ""


def seeds_table(grid: Grid) -> str:
    """Return how much seeds vary each mode, in points, over cells with all seeds."""
    found = {}
    for mode in MODES:
        cells = grid.cells((mode,), SEEDS)
        spreads = [
            100 * statistics.stdev(one.value for one in grid.by_cell[cell][mode].values())
            for cell in cells
        ]
        if spreads:
            found[mode] = (len(spreads), f"{statistics.mean(spreads):.2f}", f"{max(spreads):.1f}")
    names = ("cells", "mean deviation over seeds", "largest")
    rows = [line(name, *(one[at] for one in found.values())) for at, name in enumerate(names)]
    return "\n".join([header("", *found), *rows])


def precision_table(grid: Grid, other: Grid) -> str:
    """Return the same trainings in two precisions: points, and processor seconds."""
    lines = [header("situation", "backbone", *CORE, "seconds of none")]
    for cell, modes in other.by_cell.items():
        points, seconds = [], ""
        for mode in CORE:
            pairs = [
                (grid.by_cell[cell][mode][seed], one)
                for seed, one in modes.get(mode, {}).items()
                if seed in grid.by_cell.get(cell, {}).get(mode, {})
            ]
            both = [[100 * pair[i].value for pair in pairs] for i in (0, 1)]
            points.append(" / ".join(f"{statistics.mean(one):.1f}" for one in both if one))
            took = [[pair[i].seconds for pair in pairs] for i in (0, 1)]
            seconds = " / ".join(f"{statistics.mean(one):.1f}" for one in took if one)
        lines.append(line(*cell, *points, seconds))
    return "\n".join(lines)
