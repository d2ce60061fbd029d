# SPDX-License-Identifier: Apache-2.0
"""Where names go beside points: geometry alone, in pixels.

A name never touches a point, a line, another name or a name's line to its point, and never leaves
the frame; a point without such a place gets none. Greedy: points are taken from the most crowded
on, each gets the cheapest free place on rings of growing size around it. Where some found none, it
is tried again with those first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Place", "Point", "find_places"]

Point = tuple[float, float]
Segment = tuple[Point, Point]

_RINGS = (8, 11, 15, 20, 26, 33, 41)
"""Distances that are tried between a point and its name, in typographic points."""

_ANGLES = tuple(math.radians(degrees) for degrees in (0, 180, 90, 270, 45, 315, 135, 225)) + tuple(
    math.radians(degrees) for degrees in (20, 340, 160, 200, 65, 295, 115, 245)
)
_MARKER = 4.5
"""Half the side of a marker with its edge, in typographic points."""

_CLEAR = 1.5
"""Room that is kept around names, in typographic points."""

_JOINED_FROM = 15.0
"""A name at least this far away has a line to its point, in typographic points."""

_JOINING = 4.0
"""Such a line is as bad as this much more distance; so is each line that it crosses."""

_ATTEMPTS = 4


@dataclass(frozen=True)
class Box:
    """A rectangle.

    Attributes
    ----------
    left, bottom, right, top : float
    """

    left: float
    bottom: float
    right: float
    top: float

    def grown(self, by: float) -> Box:
        """Return it with so much more on every side."""
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)

    def touches(self, other: Box) -> bool:
        """Say whether the two share any place."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.bottom < other.top
            and other.bottom < self.top
        )

    def within(self, frame: Box) -> bool:
        """Say whether all of it lies in a frame."""
        return (
            frame.left <= self.left
            and self.right <= frame.right
            and frame.bottom <= self.bottom
            and self.top <= frame.top
        )

    def nearest(self, point: Point) -> Point:
        """Return its place that is nearest to a point."""
        return (
            min(max(point[0], self.left), self.right),
            min(max(point[1], self.bottom), self.top),
        )

    def crossed(self, segment: Segment) -> bool:
        """Say whether a segment runs through it (Liang and Barsky 1984)."""
        (x0, y0), (x1, y1) = segment
        begin, end = 0.0, 1.0
        for start, step, low, high in (
            (x0, x1 - x0, self.left, self.right),
            (y0, y1 - y0, self.bottom, self.top),
        ):
            if step == 0:
                if not low < start < high:
                    return False
                continue
            enters, leaves = sorted(((low - start) / step, (high - start) / step))
            begin, end = max(begin, enters), min(end, leaves)
        return begin < end


@dataclass(frozen=True)
class Place:
    """Where a name goes.

    Attributes
    ----------
    box : Box
        What its letters cover.
    joint : (Point, Point) or None
        The line from the point to the name, where one is needed.
    """

    box: Box
    joint: Segment | None


def find_places(
    points: Sequence[Point],
    extents: Sequence[tuple[float, float]],
    bars: Sequence[Box],
    lines: Iterable[Box],
    frame: Box,
    scale: float,
) -> list[Place | None]:
    """Return where each point's name goes; None where there is no room for it.

    Parameters
    ----------
    points : sequence of (float, float)
        Middles of the markers.
    extents : sequence of (float, float)
        Width and height of each name.
    bars : sequence of Box
        What each point's error bar covers.
    lines : iterable of Box
        What other level and upright lines cover.
    frame : Box
        Names stay inside.
    scale : float
        Pixels of a typographic point.
    """
    search = _Search(
        points=points,
        extents=extents,
        markers=[Box(x, y, x, y).grown(_MARKER * scale) for x, y in points],
        bars=bars,
        lines=list(lines),
        frame=frame.grown(-_CLEAR * scale),
        scale=scale,
    )
    order = sorted(range(len(points)), key=lambda i: -_crowd(points, i))
    best: dict[int, Place] = {}
    for _ in range(_ATTEMPTS):
        found = search.one_after_another(order)
        if len(found) > len(best):
            best = found
        lost = [i for i in order if i not in found]
        if not lost:
            break
        order = lost + [i for i in order if i in found]
    return [best.get(i) for i in range(len(points))]


def _crowd(points: Sequence[Point], i: int) -> float:
    """Return how near the others are to one point."""
    return sum(1.0 / (1.0 + math.dist(points[i], one)) for j, one in enumerate(points) if j != i)


@dataclass(frozen=True)
class _Search:
    points: Sequence[Point]
    extents: Sequence[tuple[float, float]]
    markers: Sequence[Box]
    bars: Sequence[Box]
    lines: Sequence[Box]
    frame: Box
    scale: float

    def one_after_another(self, order: Iterable[int]) -> dict[int, Place]:
        """Give points their places in an order; those without any are left out."""
        found: dict[int, Place] = {}
        for i in order:
            place = self._best(i, list(found.values()))
            if place is not None:
                found[i] = place
        return found

    def _best(self, i: int, taken: Sequence[Place]) -> Place | None:
        """Return the cheapest free place around a point."""
        names = [one.box for one in taken]
        joints = [one.joint for one in taken if one.joint is not None]
        covered = [*self.markers, *self.bars, *self.lines, *names]
        # What overlaps the point itself cannot be kept clear of by its line.
        own = self.markers[i]
        others = [box for box in (*self.markers, *self.bars) if not box.touches(own)] + names
        least, best = math.inf, None
        for ring, box in self._around(i):
            if ring >= least:  # nothing cheaper to come
                break
            clear = box.grown(_CLEAR * self.scale)
            if not box.within(self.frame) or any(map(clear.touches, covered)):
                continue
            if any(map(clear.crossed, joints)):
                continue
            cost, joint = float(ring), self._joint(i, box)
            if joint is not None:
                if any(one.crossed(joint) for one in others):
                    continue
                if any(_cross(joint, other) for other in joints):
                    continue
                cost += _JOINING * (1 + sum(line.crossed(joint) for line in self.lines))
            if cost < least:
                least, best = cost, Place(box, joint)
        return best

    def _around(self, i: int) -> Iterator[tuple[float, Box]]:
        """Yield distances and boxes of the name on rings around its point."""
        (x, y), (width, height) = self.points[i], self.extents[i]
        for ring in _RINGS:
            for angle in _ANGLES:
                across, up = math.cos(angle), math.sin(angle)
                # The middle of the name lies so far out that its near edge touches the ring.
                left = x + ring * self.scale * across + 0.5 * width * (across - 1)
                bottom = y + ring * self.scale * up + 0.5 * height * (up - 1)
                yield ring, Box(left, bottom, left + width, bottom + height)

    def _joint(self, i: int, box: Box) -> Segment | None:
        """Return the line from a point to its name, if they lie apart or another is nearer."""
        gaps = [math.dist(point, box.nearest(point)) for point in self.points]
        rival = min((gap for j, gap in enumerate(gaps) if j != i), default=math.inf)
        if gaps[i] < min(_JOINED_FROM * self.scale, rival - 3 * self.scale):
            return None
        return self.points[i], box.nearest(self.points[i])


def _cross(one: Segment, other: Segment) -> bool:
    """Say whether two segments cross; those that begin at one point do not."""

    def side(line: Segment, point: Point) -> float:
        (x0, y0), (x1, y1) = line
        return (x1 - x0) * (point[1] - y0) - (y1 - y0) * (point[0] - x0)

    return (
        side(one, other[0]) * side(one, other[1]) < 0
        and side(other, one[0]) * side(other, one[1]) < 0
    )
