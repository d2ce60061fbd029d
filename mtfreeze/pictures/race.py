# SPDX-License-Identifier: Apache-2.0
"""A race as a picture: the value of each candidate over its steps, and where it was dropped.

One line a candidate, in the colours that scenarios have in the other pictures: a marker at each
rung, a cross where it was dropped, a ring around the chosen one. Those that ran whole at once have
one point, at their end. Values at rungs are of the rows that judge, the last is of all rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..printable import printable
from .style import bare, line_looks, new_figure, step_axis, value_axis
from .words import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["RaceLine", "race_figure", "race_text"]

_TITLE = "The race, by what is frozen"


@dataclass(frozen=True)
class RaceLine:
    """One candidate.

    Attributes
    ----------
    name : str
    rungs : tuple of (int, float)
        Step and value of each rung that it was judged at.
    end : (int, float) or None
        Steps of its whole run, and the value of all rows; None where it did not finish.
    dropped : bool
        Whether it did not go on after its last rung.
    chosen : bool
    """

    name: str
    rungs: tuple[tuple[int, float], ...]
    end: tuple[int, float] | None
    dropped: bool = False
    chosen: bool = False

    @property
    def points(self) -> list[tuple[int, float]]:
        """All that is known, in order; without what is undefined."""
        known = [*self.rungs, *([] if self.end is None else [self.end])]
        return [(step, value) for step, value in known if isfinite(value)]


def race_figure(
    lines: Sequence[RaceLine],
    *,
    value: str = "value",
    order: Sequence[str] = (),
    title: str = _TITLE,
) -> Figure:
    """Draw a race.

    Parameters
    ----------
    lines : sequence of RaceLine
        In the order of the modes.
    value : str
        What the values are, in words.
    order : sequence of str
        Of all modes, for their looks; see `line_looks`.
    title : str

    Raises
    ------
    ConfigError
        If no candidate was judged.
    """
    _check(lines)
    figure = new_figure(7.2, 4.6)
    axes = figure.subplots()
    looks = line_looks([line.name for line in lines], order)
    drawn = {line.name: _draw(axes, line, looks[line.name]) for line in lines if line.points}
    handles = [drawn[name] for name in looks if name in drawn]
    _finish(axes, lines, value)
    figure.suptitle(title, fontsize=11)
    figure.legend(
        handles=[*handles, *_marks(lines)],
        loc="outside lower center",
        ncols=3,
        fontsize=8,
        frameon=False,
        handlelength=3.5,
    )
    return figure


def _check(lines: Sequence[RaceLine]) -> None:
    if not any(line.points for line in lines):
        raise ConfigError(
            "race: expected a candidate that was judged; found none; let the race run to its "
            "first rung"
        )


def _draw(axes: Axes, line: RaceLine, look: Mapping[str, Any]) -> Any:
    """Draw one candidate, and return what stands for it in the legend."""
    steps, values = zip(*line.points, strict=True)
    (drawn,) = axes.plot(
        steps,
        values,
        linewidth=2.2 if line.chosen else 1.3,
        markersize=6,
        label=printable(line.name),
        zorder=3,
        **look,
    )
    if line.dropped:
        axes.plot(
            steps[-1:],
            values[-1:],
            "x",
            color=look["color"],
            markersize=13,
            markeredgewidth=2.2,
            zorder=4,
        )
    if line.chosen:
        axes.plot(
            steps[-1:],
            values[-1:],
            "o",
            markersize=15,
            markerfacecolor="none",
            markeredgecolor="black",
            markeredgewidth=1.3,
            zorder=4,
        )
    return drawn


def _finish(axes: Axes, lines: Sequence[RaceLine], value: str) -> None:
    longest = max(step for line in lines for step, _ in line.points)
    axes.set_xlim(0, 1.06 * longest)
    value_axis(axes, [value for line in lines for _, value in line.points], 0.12)
    axes.set_ylabel(value, fontsize=9)
    bare(axes)
    step_axis(axes)


def _marks(lines: Sequence[RaceLine]) -> list[Any]:
    from matplotlib.lines import Line2D

    found = []
    if any(line.dropped for line in lines):
        found.append(
            Line2D([], [], marker="x", color="#444444", linestyle="none", markersize=9,
                   markeredgewidth=1.8, label="dropped")
        )  # fmt: skip
    if any(line.chosen for line in lines):
        found.append(
            Line2D([], [], marker="o", color="black", linestyle="none", markersize=10,
                   markerfacecolor="none", label="chosen")
        )  # fmt: skip
    return found


def race_text(lines: Sequence[RaceLine], *, value: str = "value", title: str = _TITLE) -> str:
    """Return the same facts as a table; see `race_figure`."""
    _check(lines)
    rows = []
    for line in lines:
        rungs = "  ".join(f"{step}: {number:.4f}" for step, number in line.rungs)
        last = "" if line.end is None else f"{line.end[0]}: {line.end[1]:.4f}"
        mark = "dropped" if line.dropped else "chosen" if line.chosen else ""
        rows.append((line.name, rungs, last, mark))
    return f"{title}\n{text_table(('candidate', f'step: {value}', 'whole', ''), rows)}"
