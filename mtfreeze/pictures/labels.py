# SPDX-License-Identifier: Apache-2.0
"""Names beside points, laid so that they cover neither one another nor the points.

Greedy: the points are taken from the most crowded on; each name goes to the cheapest place on rings
of growing size around its point. Covering a point or a name is forbidden as long as there is any
other place, crossing a line costs as much as some distance. Names have a white rim, so that they
can be read on lines; a name away from its point, or near another one, has a thin line to its own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["place_labels"]

_RINGS = (9, 15, 22, 31, 42, 55, 70, 88, 108)
"""Distances that are tried between a point and its name, in typographic points."""

_ANGLES = tuple(
    math.radians(degrees)
    for degrees in (0, 180, 90, 270, 45, 315, 135, 225, 20, 340, 160, 200, 65, 295, 115, 245)
)
_CROSSING = 22.0
"""A line under a name is as bad as this much more distance, in typographic points."""

_COVERED = 1e4
"""So is a point or a name that is covered whole."""

_LINE_FROM = 15.0
"""A name at least this far away has a line to its point, in typographic points."""


@dataclass(frozen=True)
class _Box:
    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: _Box) -> float:
        """Return the area that both cover."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return width * height if width > 0 and height > 0 else 0.0

    def outside(self, frame: _Box) -> float:
        """Return the area that lies outside a frame."""
        return (self.right - self.left) * (self.top - self.bottom) - self.overlap(frame)


def place_labels(
    axes: Axes,
    points: Sequence[tuple[float, float]],
    names: Sequence[str],
    spreads: Sequence[tuple[float, float]] = (),
    lines: Sequence[tuple[float, float, float, float]] = (),
    size: float = 8.0,
) -> list[Any]:
    """Write names beside points; the layout of the figure stays what it is from here on.

    Parameters
    ----------
    axes : Axes
        Its limits must be final.
    points : sequence of (float, float)
        In data coordinates.
    names : sequence of str
        One a point.
    spreads : sequence of (float, float), optional
        Lower and upper end of each point's error bar, in data coordinates.
    lines : sequence of (float, float, float, float), optional
        Other level and upright lines: x0, y0, x1, y1, in data coordinates.
    size : float
        Of the letters, in typographic points.

    Returns
    -------
    list of Annotation
        In the order of the points.
    """
    from matplotlib.patheffects import withStroke

    figure: Any = axes.figure
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    scale = figure.dpi / 72.0
    at = [tuple(axes.transData.transform(point)) for point in points]
    frame = _Box(*axes.get_window_extent().extents)
    taken = [_around(x, y, 4.5 * scale) for x, y in at]
    bars = [(x, low, x, high) for (x, _), (low, high) in zip(points, spreads, strict=False)]
    crossed = [_along(axes, line, scale) for line in (*bars, *lines)]
    rim = withStroke(linewidth=2.5, foreground="white")
    notes: dict[int, Any] = {}
    for i in sorted(range(len(at)), key=lambda i: -_crowd(at, i)):
        note = axes.annotate(
            names[i], points[i], (0, 0), textcoords="offset points", fontsize=size, va="bottom"
        )
        note.set_in_layout(False)
        note.set_path_effects([rim])
        extent = note.get_window_extent()
        offset = _best(at[i], (extent.width, extent.height), taken, crossed, frame, scale)
        x, y = at[i][0] + offset[0], at[i][1] + offset[1]
        taken.append(_Box(x, y, x + extent.width, y + extent.height))
        note.set_position((offset[0] / scale, offset[1] / scale))
        _join(axes, at, i, taken[-1], scale)
        notes[i] = note
    return [notes[i] for i in range(len(at))]


def _around(x: float, y: float, half: float) -> _Box:
    return _Box(x - half, y - half, x + half, y + half)


def _along(axes: Axes, line: tuple[float, float, float, float], half: float) -> _Box:
    """Return what a line in data coordinates covers, in pixels."""
    (x0, y0), (x1, y1) = axes.transData.transform([line[:2], line[2:]])
    left, right, bottom, top = min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1)
    return _Box(left - half, bottom - half, right + half, top + half)


def _crowd(at: Sequence[tuple[float, ...]], i: int) -> float:
    """Return how near the others are to one point."""
    return sum(1.0 / (1.0 + math.dist(at[i], other)) for j, other in enumerate(at) if j != i)


def _best(
    at: tuple[float, ...],
    extent: tuple[float, float],
    taken: Sequence[_Box],
    crossed: Sequence[_Box],
    frame: _Box,
    scale: float,
) -> tuple[float, float]:
    """Return where the lower left corner of a name goes, from its point, in pixels."""
    width, height = extent
    least, best = math.inf, (0.0, 0.0)
    for ring in _RINGS:
        if ring >= least:  # nothing nearer to come
            break
        for angle in _ANGLES:
            across, up = math.cos(angle), math.sin(angle)
            # The middle of the name lies so far out that its near edge touches the ring.
            x = ring * scale * across + 0.5 * width * (across - 1)
            y = ring * scale * up + 0.5 * height * (up - 1)
            box = _Box(at[0] + x, at[1] + y, at[0] + x + width, at[1] + y + height)
            covered = sum(box.overlap(other) for other in taken) + box.outside(frame)
            cost = ring + _COVERED * covered / (width * height)
            cost += _CROSSING * sum(box.overlap(line) > 0 for line in crossed)
            if cost < least - 1e-9:
                least, best = cost, (x, y)
    return best


def _join(axes: Axes, at: Sequence[tuple[float, ...]], i: int, box: _Box, scale: float) -> None:
    """Draw the line from a point to its name where they lie apart, or another point is near."""
    near = [_nearest(box, point) for point in at]
    gaps = [math.dist(point, end) for point, end in zip(at, near, strict=True)]
    rival = min((gap for j, gap in enumerate(gaps) if j != i), default=math.inf)
    if gaps[i] < min(_LINE_FROM * scale, rival - 3 * scale):
        return
    (x0, y0), (x1, y1) = axes.transData.inverted().transform([at[i], near[i]])
    axes.plot(
        [x0, x1], [y0, y1], color="#888888", linewidth=0.7, zorder=1, scalex=False, scaley=False
    )


def _nearest(box: _Box, point: tuple[float, ...]) -> tuple[float, float]:
    return (
        min(max(point[0], box.left), box.right),
        min(max(point[1], box.bottom), box.top),
    )
