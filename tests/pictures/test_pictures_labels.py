# SPDX-License-Identifier: Apache-2.0
"""Names in the picture of quality against time: each point once, and nothing on anything else."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from mtfreeze.pictures.front import REFERENCES, QualityPoint
from mtfreeze.pictures.places import Box, find_places
from mtfreeze.pictures.quality import quality_figure

NAMES = (
    "all",
    "backbone",
    "classifier",
    "ner_head",
    "backbone[:1]",
    "backbone[:2]",
    "backbone[:3]",
    "backbone.layers[2:5]",
    "backbone.embeddings",
    "heads",
    "gradual",
    "none",
)
Panels = Mapping[str, Sequence[QualityPoint]]


def _scenarios(n: int, seed: int) -> list[QualityPoint]:
    """Return points as comparisons have them: what trains more takes longer and gets further."""
    draw = random.Random(seed)
    points = [QualityPoint("start", 0.0, 0.79), QualityPoint("majority", 0.0, 0.4)]
    for i in range(n):
        name = NAMES[i] if n <= len(NAMES) else f"backbone.layers[{i}:{i + 2}]"
        value = 0.8 + 0.1 * i / n + draw.gauss(0, 0.01)
        spread = abs(draw.gauss(0, 0.01))
        seconds = 30 * (0.3 + 0.7 * i / n) * draw.uniform(0.9, 1.1)
        points.append(QualityPoint(name, seconds, value, value - spread, value + spread))
    return points


def _close(n: int) -> list[QualityPoint]:
    """Return points of which some lie close together."""
    return [
        QualityPoint(
            f"scenario number {i}", 10.0 + i % 4, 0.8 + 0.002 * (i % 3), 0.79, 0.81 + 0.001 * i
        )
        for i in range(n)
    ]


def _named(*places: tuple[float, float], spread: float = 0.0) -> list[QualityPoint]:
    return [
        QualityPoint(name, seconds, value, value - spread, value + spread)
        for name, (seconds, value) in zip(NAMES, places, strict=False)
    ]


CASES: dict[str, Panels] = {
    "one point": {"a": _named((3.0, 0.5))},
    **{f"{n} close": {"a": _close(n), "b": _close(n)[::-1]} for n in (1, 6, 12)},
    "three modes": {"classifier": _scenarios(3, 0)},
    "six modes": {"classifier": _scenarios(6, 1)},
    "twelve modes": {"classifier": _scenarios(12, 2)},
    "two tasks": {"classifier": _scenarios(12, 3), "ner_head": _scenarios(12, 4)},
    "three tasks": {name: _scenarios(6, seed) for seed, name in enumerate(("a", "b", "c"))},
    "many modes": {"classifier": _scenarios(25, 5)},
    "points that coincide": {
        "classifier": _named(*[(10.0, 0.85)] * 4, (20.0, 0.87), (20.0, 0.87), spread=0.01),
        "ner_head": _named(*[(1.0, 0.5)] * 6),
    },
    "side by side": {"a": _named(*[(10 + 0.02 * i, 0.85) for i in range(12)], spread=0.01)},
    "points at the border": {
        "a": [
            QualityPoint(f"backbone.layers[{i}:{i + 12}]", seconds, value)
            for i, (seconds, value) in enumerate(itertools.product((1.0, 100.0), (0.1, 0.9)))
        ]
    },
    "crowded and coinciding": {"a": _named(*[(1.0, 0.5)] * 12, spread=0.1), "b": _scenarios(25, 6)},
}


def _listed(figure: Any) -> dict[str, str]:
    """Return the list beside the panels: number to name."""
    words = [text.get_text() for one in figure.legends for text in one.get_texts()]
    return dict(line.split("  ", 1) for line in words)


@pytest.fixture(params=CASES, scope="module")
def drawn(request: pytest.FixtureRequest) -> tuple[Panels, Any]:
    """Return points and their figure, drawn."""
    pytest.importorskip("matplotlib")
    panels = CASES[request.param]
    figure = quality_figure(panels, spread="min to max over 3 seeds")
    figure.draw_without_rendering()
    return panels, figure


def _scenarios_of(points: Sequence[QualityPoint]) -> list[QualityPoint]:
    return [point for point in points if point.name not in REFERENCES]


def test_each_point_is_named_once(drawn: tuple[Panels, Any]) -> None:
    panels, figure = drawn
    listed = _listed(figure)
    assert list(listed) == [str(number) for number in range(1, len(listed) + 1)]
    for axes, points in zip(figure.axes, panels.values(), strict=True):
        names = [point.name for point in _scenarios_of(points)]
        texts = [text.get_text() for text in axes.texts]
        assert len(texts) == len(set(texts))
        written = [text for text in texts if text not in listed]
        assert sorted([*written, *(set(names) & set(listed.values()))]) == sorted(names)
        below = {text.get_text() for text in axes.get_legend().get_texts()}
        assert not below & set(names)


def test_names_touch_nothing(drawn: tuple[Panels, Any]) -> None:
    from matplotlib.transforms import Bbox

    panels, figure = drawn
    for axes, points in zip(figure.axes, panels.values(), strict=True):
        frame = axes.get_window_extent()
        # Lines to points end at the edge of their names: half a pixel inside there is nothing.
        boxes = [text.get_window_extent().padded(-0.5) for text in axes.texts]
        for one, other in itertools.combinations(boxes, 2):
            assert not one.overlaps(other)
        half = 4.0 * figure.dpi / 72  # of a marker, its edge included
        markers = [
            Bbox([(x - half, y - half), (x + half, y + half)])
            for x, y in (axes.transData.transform((p.seconds, p.value)) for p in points)
        ]
        paths = [line.get_transform().transform_path(line.get_path()) for line in axes.lines]
        bars = [
            bar.get_transform().transform_path(path)
            for bar in axes.collections
            for path in bar.get_paths()
        ]
        for box in boxes:
            assert frame.x0 <= box.x0 and box.x1 <= frame.x1
            assert frame.y0 <= box.y0 and box.y1 <= frame.y1
            assert not any(
                box.overlaps(marker)
                for marker, point in zip(markers, points, strict=True)
                if point.name not in REFERENCES
            )
            assert not any(path.intersects_bbox(box, filled=False) for path in (*paths, *bars))


def test_the_list_stands_beside_the_panels(drawn: tuple[Panels, Any]) -> None:
    _, figure = drawn
    for one in figure.legends:
        box = one.get_window_extent()
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(axes.get_window_extent()) for axes in figure.axes)


def test_a_list_only_where_names_have_no_room() -> None:
    pytest.importorskip("matplotlib")
    assert not quality_figure(CASES["six modes"]).legends
    figure = quality_figure(CASES["side by side"])
    assert set(_listed(figure).values()) < set(NAMES)
    assert figure.get_figwidth() > quality_figure(CASES["six modes"]).get_figwidth()


def test_a_name_that_has_no_room_in_one_panel_is_a_number_in_all() -> None:
    pytest.importorskip("matplotlib")
    figure = quality_figure({"a": CASES["side by side"]["a"], "b": _scenarios(12, 7)})
    listed = _listed(figure)
    assert listed
    for axes in figure.axes:
        assert set(listed) <= {text.get_text() for text in axes.texts}


def test_a_place_is_near_and_free_or_there_is_none() -> None:
    frame = Box(0, 0, 200, 100)
    bar = Box(97, 40, 103, 60)
    (place,) = find_places([(100, 50)], [(40, 10)], [bar], [], frame, 1.0)
    assert place is not None and place.joint is None
    assert place.box.within(frame) and not place.box.touches(bar)
    assert find_places([(100, 50)], [(198, 10)], [bar], [], frame, 1.0) == [None]


def test_a_line_leads_to_a_name_that_another_point_is_near_to() -> None:
    points = [(100.0, 50.0), (100.0, 50.0)]
    places = find_places(points, [(30, 10)] * 2, [], [], Box(0, 0, 200, 100), 1.0)
    for place in places:
        assert place is not None and place.joint is not None
        assert place.joint == ((100.0, 50.0), place.box.nearest((100.0, 50.0)))


def _cross(one: Any, other: Any) -> bool:
    """Say whether two segments have a point in common, by Cramer's rule."""
    (x0, y0), (x1, y1) = one
    (u0, v0), (u1, v1) = other
    a, b, c, d = x1 - x0, u0 - u1, y1 - y0, v0 - v1
    whole = a * d - b * c
    if not whole:
        return False
    first = ((u0 - x0) * d - b * (v0 - y0)) / whole
    second = (a * (v0 - y0) - (u0 - x0) * c) / whole
    return 0 < first < 1 and 0 < second < 1


@pytest.mark.parametrize("seed", [6, 10, 15, 24])
def test_lines_to_names_of_a_crowd_do_not_cross(seed: int) -> None:
    draw = random.Random(seed)
    points = [(draw.uniform(80, 120), draw.uniform(40, 60)) for _ in range(6)]
    places = find_places(points, [(30, 8)] * 6, [], [], Box(0, 0, 200, 100), 1.0)
    assert None not in places
    joints = [place.joint for place in places if place is not None and place.joint is not None]
    assert len(joints) > 1
    assert not any(itertools.starmap(_cross, itertools.combinations(joints, 2)))


@pytest.mark.parametrize(
    ("segment", "crossed"),
    [
        (((-5, 5), (15, 5)), True),
        (((5, 5), (6, 6)), True),
        (((-5, 0), (5, 12)), True),
        (((-5, 5), (0, 12)), False),
        (((-5, 10), (15, 10)), False),
        (((10, 5), (20, 5)), False),
        (((20, 0), (20, 10)), False),
    ],
)
def test_segments_that_cross_a_box(segment: Any, crossed: bool) -> None:
    assert Box(0, 0, 10, 10).crossed(segment) == crossed
