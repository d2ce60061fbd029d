# SPDX-License-Identifier: Apache-2.0
"""Names of points, each written once: beside the point, or in a list beside the panels.

A name that has no free place at one of its points is replaced by a number in all panels; the list
says what the numbers stand for. A point that has no room even for a number is known by its marker,
which the list shows as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..printable import printable
from .places import Box, Place, Point, find_places

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

__all__ = ["LabelledPanel", "name_points"]

_SIZE = 8.0
"""Of the letters, in typographic points."""

_CAP = 3.5
"""Half the width of an error bar with its caps, in typographic points."""

_LINE = 1.0
"""Half the width of other lines, in typographic points."""

_LIST_ROWS = 22
"""Names that stand under one another in the list, at most."""


@dataclass(frozen=True)
class LabelledPanel:
    """Axes, and what is drawn in them; in data coordinates.

    Attributes
    ----------
    axes : Axes
        Its limits must be final.
    names : sequence of str
        One a point.
    points : sequence of (float, float)
    spreads : sequence of (float, float)
        Lower and upper end of each point's error bar.
    lines : sequence of (Point, Point)
        Other lines, level or upright.
    """

    axes: Axes
    names: Sequence[str]
    points: Sequence[Point]
    spreads: Sequence[tuple[float, float]]
    lines: Sequence[tuple[Point, Point]]


def name_points(
    figure: Figure, panels: Sequence[LabelledPanel], looks: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write the name of every point; the layout of the figure stays what it is from here on.

    Parameters
    ----------
    figure : Figure
        Grows to the right if a list of names is needed.
    panels : sequence of LabelledPanel
    looks : mapping of str to mapping
        Colour and marker, by name; the list has this order.
    """
    width = figure.get_figwidth()
    numbers: dict[str, int] = {}
    while True:
        listed = _list_names(figure, looks, numbers)
        figure.set_figwidth(width + _width(listed) / figure.dpi)
        figure.draw_without_rendering()
        places = [_places(figure, panel, numbers) for panel in panels]
        lost = {
            name
            for panel, found in zip(panels, places, strict=True)
            for name, place in zip(panel.names, found, strict=True)
            if place is None and name not in numbers
        }
        if not lost:
            break
        if listed is not None:
            listed.remove()
        names = [name for name in looks if name in numbers or name in lost]
        numbers = {name: number for number, name in enumerate(names, 1)}
    figure.set_layout_engine("none")
    for panel, found in zip(panels, places, strict=True):
        _write(panel, found, numbers, figure.dpi / 72.0)


def _list_names(
    figure: Figure, looks: Mapping[str, Mapping[str, Any]], numbers: Mapping[str, int]
) -> Legend | None:
    """Say at the right of all panels what the numbers stand for."""
    from matplotlib.lines import Line2D

    if not numbers:
        return None
    return figure.legend(
        handles=[
            Line2D(
                [], [], label=f"{number}  {printable(name)}", **{**looks[name], "linestyle": "none"}
            )
            for name, number in numbers.items()
        ],
        loc="outside right center",
        ncols=math.ceil(len(numbers) / _LIST_ROWS),
        fontsize=_SIZE,
        frameon=False,
    )


def _width(listed: Legend | None) -> float:
    """Return the width of the list, in pixels."""
    return 0.0 if listed is None else float(listed.get_window_extent().width)


def _text(name: str, numbers: Mapping[str, int]) -> str:
    return str(numbers[name]) if name in numbers else printable(name)


def _places(figure: Figure, panel: LabelledPanel, numbers: Mapping[str, int]) -> list[Place | None]:
    """Find places for names or numbers, in pixels of the figure as it is laid out now."""
    axes, scale = panel.axes, figure.dpi / 72.0
    bars = [
        _covered(axes, (x, low), (x, high)).grown(_CAP * scale)
        for (x, _), (low, high) in zip(panel.points, panel.spreads, strict=True)
    ]
    lines = [_covered(axes, *line).grown(_LINE * scale) for line in panel.lines]
    return find_places(
        [tuple(axes.transData.transform(point)) for point in panel.points],
        [_extent(figure, _text(name, numbers)) for name in panel.names],
        bars,
        lines,
        Box(*axes.get_window_extent().extents),
        scale,
    )


def _covered(axes: Axes, one: Point, other: Point) -> Box:
    """Return what a level or upright line covers, in pixels."""
    (x0, y0), (x1, y1) = axes.transData.transform([one, other])
    return Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def _extent(figure: Figure, text: str) -> tuple[float, float]:
    """Return width and height of a text, in pixels."""
    drawn = figure.text(0, 0, text, fontsize=_SIZE)
    box = drawn.get_window_extent()
    drawn.remove()
    return box.width, box.height


def _write(
    panel: LabelledPanel,
    places: Sequence[Place | None],
    numbers: Mapping[str, int],
    scale: float,
) -> None:
    axes = panel.axes
    for name, point, place in zip(panel.names, panel.points, places, strict=True):
        if place is None:
            continue
        x, y = axes.transData.transform(point)
        axes.annotate(
            _text(name, numbers),
            point,
            ((place.box.left - x) / scale, (place.box.bottom - y) / scale),
            textcoords="offset points",
            fontsize=_SIZE,
            va="bottom",
        )
        if place.joint is not None:
            ends = axes.transData.inverted().transform(place.joint)
            axes.plot(
                ends[:, 0],
                ends[:, 1],
                color="#888888",
                linewidth=0.7,
                zorder=1,
                scalex=False,
                scaley=False,
            )
