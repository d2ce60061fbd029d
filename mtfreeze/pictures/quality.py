# SPDX-License-Identifier: Apache-2.0
"""Quality against time: one panel a task, one point a scenario with its spread.

The Pareto front joins the scenarios that no other beats. Rows to compare with (``start``,
``majority``) are level lines, which the legend of a panel names; points are named beside them.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..quantities import in_duration
from .front import REFERENCES, QualityPoint, pareto_front
from .labels import LabelledPanel, name_points
from .places import Point
from .style import bare, line_looks, new_figure, value_axis
from .words import metric_words, text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["quality_figure", "quality_text"]

_REFERENCE_DASHES = ((0, (6, 3)), (0, (1.5, 2)), (0, (6, 2, 1.5, 2)))
_NEAR = 1.5
"""A level line is drawn if it lies within this many times the range of the points from them."""

_LOG_FROM = 12.0
"""Times that differ by more than this factor stand on a logarithmic axis."""


def _split(
    points: Sequence[QualityPoint], references: Collection[str]
) -> tuple[list[QualityPoint], list[QualityPoint]]:
    lines = [point for point in points if point.name in references]
    return [point for point in points if point.name not in references], lines


def quality_figure(
    panels: Mapping[str, Sequence[QualityPoint]],
    *,
    metrics: Mapping[str, str] | None = None,
    references: Collection[str] = REFERENCES,
    spread: str = "",
    order: Sequence[str] = (),
    title: str = "Quality against time, by what is frozen",
) -> Figure:
    """Draw one panel a task.

    Parameters
    ----------
    panels : mapping of str to sequence of QualityPoint
        By task. A scenario has the same colour and marker in all of them.
    metrics : mapping of str to str, optional
        What the value is, by task: ``"accuracy"``.
    references : collection of str
        Names of points that are drawn as level lines.
    spread : str
        What the error bars are, in words: ``"min to max over 3 seeds"``.
    order : sequence of str
        Of all scenarios, for their looks; see `line_looks`.
    title : str
        Above everything.

    Raises
    ------
    ConfigError
        If there is no panel.
    """
    _check(panels)
    figure = new_figure(max(6.4, 5.2 * len(panels)), 5.0)
    names = list(dict.fromkeys(p.name for points in panels.values() for p in points))
    drawn_names = [name for name in names if name not in references]
    looks = line_looks(drawn_names, order)
    looks = {name: look for name, look in looks.items() if name in drawn_names}
    figure.suptitle(title, fontsize=11)
    drawn = []
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axes, (task, points) in zip(all_axes, panels.items(), strict=True):
        axes.set_title(task, fontsize=10)
        axes.set_ylabel(metric_words((metrics or {}).get(task, "value")), fontsize=9)
        axes.set_xlabel("seconds" + (f"   (bars: {spread})" if spread else ""), fontsize=9)
        axes.tick_params(labelsize=8)
        bare(axes)
        drawn.append(_draw_panel(axes, *_split(points, references), looks))
    name_points(figure, drawn, looks)
    return figure


def _draw_panel(
    axes: Axes,
    points: Sequence[QualityPoint],
    lines: Sequence[QualityPoint],
    looks: Mapping[str, dict[str, Any]],
) -> LabelledPanel:
    """Draw everything but the names, and return what these have to keep clear of."""
    _draw_points(axes, points, looks)
    near = _near(points, lines)
    _draw_references(axes, lines, near)
    _set_limits(axes, points, near)
    if points or lines:
        axes.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.14), ncols=3)
    left, right = axes.get_xlim()
    return LabelledPanel(
        axes,
        names=[point.name for point in points],
        points=[(point.seconds, point.value) for point in points],
        spreads=[point.ends for point in points],
        lines=[*_steps(points), *(((left, one.value), (right, one.value)) for one in near)],
    )


def _check(panels: Mapping[str, Sequence[QualityPoint]]) -> None:
    if not panels:
        raise ConfigError(
            "quality against time: expected points of at least one task; found none; "
            "compare scenarios on tasks with evaluation data"
        )


def _draw_points(
    axes: Axes, points: Sequence[QualityPoint], looks: Mapping[str, dict[str, Any]]
) -> None:
    front = pareto_front(points)
    axes.step(
        [point.seconds for point in front],
        [point.value for point in front],
        where="post",
        color="#666666",
        linewidth=1.1,
        zorder=1,
        label="Pareto front" if front else None,
    )
    for point in points:
        look = looks[point.name]
        low, high = point.ends
        axes.errorbar(
            [point.seconds],
            [point.value],
            yerr=[[point.value - low], [high - point.value]] if high > low else None,
            color=look["color"],
            marker=look["marker"],
            markersize=7,
            markeredgecolor="black" if point in front else look["color"],
            markeredgewidth=1.2 if point in front else 0.5,
            linestyle="none",
            elinewidth=1.1,
            capsize=3,
            zorder=3,
        )


def _steps(points: Sequence[QualityPoint]) -> list[tuple[Point, Point]]:
    """Return the lines of the Pareto front: level, then up."""
    found = []
    for one, other in itertools.pairwise(pareto_front(points)):
        corner = (other.seconds, one.value)
        found.append(((one.seconds, one.value), corner))
        found.append((corner, (other.seconds, other.value)))
    return found


def _draw_references(
    axes: Axes, points: Sequence[QualityPoint], near: Sequence[QualityPoint]
) -> None:
    for number, point in enumerate(points):
        low, high = point.ends
        if point not in near:
            axes.plot([], [], " ", label=f"{point.name}: {point.value:.3f}, off the picture")
            continue
        axes.axhline(
            point.value,
            color="#444444",
            linewidth=1.0,
            linestyle=_REFERENCE_DASHES[number % len(_REFERENCE_DASHES)],
            zorder=0,
            label=f"{point.name}: {point.value:.3f}",
        )
        if high > low:
            axes.axhspan(low, high, color="#dddddd", zorder=-1, linewidth=0)


def _near(points: Sequence[QualityPoint], lines: Sequence[QualityPoint]) -> list[QualityPoint]:
    """Return the level lines that the points stay apart with; one far away would squeeze them."""
    ends = [end for point in points for end in point.ends]
    if len(points) < 2 or max(ends) == min(ends):
        return list(lines)
    room = _NEAR * (max(ends) - min(ends))
    return [one for one in lines if min(ends) - room <= one.value <= max(ends) + room]


def _set_limits(axes: Axes, points: Sequence[QualityPoint], lines: Sequence[QualityPoint]) -> None:
    """Leave room for names around the points; far apart times stand on a logarithmic axis."""
    times = [point.seconds for point in points]
    ends = [end for point in (*points, *lines) for end in point.ends]
    value_axis(axes, ends, 0.14)
    positive = [time for time in times if time > 0]
    if not positive:
        axes.set_xlim(-0.04, 1.0)
        return
    longest, shortest = max(positive), min(positive)
    if len(positive) < len(times) or longest < _LOG_FROM * shortest:
        least = min(times)
        room = 0.16 * (longest - least) or 0.5 * longest
        axes.set_xlim(max(least - room, -0.04 * longest), longest + 1.4 * room)
        return
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale("log")
    room = (longest / shortest) ** 0.16
    axes.set_xlim(shortest / room, longest * room**1.4)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def quality_text(
    panels: Mapping[str, Sequence[QualityPoint]],
    *,
    metrics: Mapping[str, str] | None = None,
    references: Collection[str] = REFERENCES,
    spread: str = "",
    title: str = "Quality against time, by what is frozen",
) -> str:
    """Return the same facts as a table a task; see `quality_figure`."""
    _check(panels)
    blocks = [title]
    for task, points in panels.items():
        scenarios, _ = _split(points, references)
        front = pareto_front(scenarios)
        rows = []
        for point in points:
            low, high = point.ends
            mark = "compared with" if point.name in references else ""
            rows.append(
                (
                    point.name,
                    f"{point.value:.4f}",
                    f"{low:.4f} to {high:.4f}" if high > low else "",
                    "" if point.name in references else in_duration(point.seconds),
                    "Pareto front" if point in front else mark,
                )
            )
        metric = metric_words((metrics or {}).get(task, "value"))
        header = ("scenario", metric, spread or "spread", "time", "")
        blocks.append(f"{task}\n{text_table(header, rows)}")
    return "\n\n".join(blocks)
