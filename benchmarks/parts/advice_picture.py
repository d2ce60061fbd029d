"""One picture of the experiment on advice: how far each mode is ahead of training everything.

A dot is a cell, filled in the calibration half and open in the other; the bar is the mean over all
with its 95 % interval over situations.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mtfreeze.pictures.style import EDGE, line_look, new_figure

from .advice_records import Grid
from .advice_regret import over_situations
from .advice_situations import CALIBRATION

LEAST_CELLS = 4
"""Fewer have no interval worth drawing."""


def draw_picture(grid: Grid, base: str, modes: Sequence[str], path: Path) -> None:
    """Draw the points that modes are ahead of `base`, on the seeds that each shares with it."""
    modes = [mode for mode in modes if len(grid.cells((base, mode))) >= LEAST_CELLS]
    figure = new_figure(7.0, 0.5 * len(modes) + 1.0)
    axes = figure.subplots()
    rng = np.random.default_rng(0)
    for place, mode in enumerate(modes):
        colour = line_look(place)["color"]
        found = {}
        for cell in grid.cells((base, mode)):
            own, other = grid.means(cell, (mode, base))
            found[cell] = float(own - other)
            fill = colour if grid.first(cell).half == CALIBRATION else "white"
            height = place + 0.22 + rng.uniform(-0.08, 0.08)
            axes.plot(found[cell], height, "o", mfc=fill, mec=colour, ms=4.5, mew=0.8)
        mean, low, high = over_situations(found)
        axes.plot([low, high], [place - 0.15] * 2, color=colour, lw=3, solid_capstyle="butt")
        axes.plot(mean, place - 0.15, "|", color=EDGE, ms=13, mew=2)
    axes.axvline(0, color=EDGE, lw=0.8)
    axes.set_yticks(range(len(modes)), modes)
    axes.set_ylim(len(modes) - 0.5, -0.5)
    axes.set_xlabel(f"points ahead of {base} (accuracy or entity F1)")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(axis="y", length=0)
    figure.savefig(path, dpi=150)
