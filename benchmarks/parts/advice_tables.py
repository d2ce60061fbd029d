"""The tables of the experiment on advice, in markdown, from a grid of trainings.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence

import numpy as np

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

    def layers(cell: Cell) -> float:
        return LAYERS[cell[1]]

    cells = grid.cells(modes, seeds, CALIBRATION)
    rules = [
        Threshold("layers", layers, 0.0, "none", "half"),
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
    "12 layers": lambda one: LAYERS[one.backbone] == 12,
    "MiniLM, 6 layers": lambda one: one.backbone == "minilm",
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


def precision_table(grid: Grid, other: Grid) -> str:
    """Return the same trainings in two precisions: points, and processor seconds."""
    lines = [header("situation", "backbone", "mode", "seeds", "points", "in the other precision",
                    "seconds", "in the other")]  # fmt: skip
    for cell, modes in other.by_cell.items():
        for mode, runs in modes.items():
            pairs = [
                (grid.by_cell[cell][mode][seed], one)
                for seed, one in runs.items()
                if seed in grid.by_cell.get(cell, {}).get(mode, {})
            ]
            if pairs:
                points = [f"{100 * statistics.mean(p[i].value for p in pairs):.1f}" for i in (0, 1)]
                seconds = [f"{statistics.mean(p[i].seconds for p in pairs):.1f}" for i in (0, 1)]
                lines.append(line(*cell, mode, len(pairs), *points, *seconds))
    return "\n".join(lines)
