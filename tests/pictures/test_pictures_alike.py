# SPDX-License-Identifier: Apache-2.0
"""What the pictures of modes share: a look a mode, legends in their order, axes that fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from mtfreeze.pictures.curves import curves_figure
from mtfreeze.pictures.front import QualityPoint
from mtfreeze.pictures.modes import modes_figure
from mtfreeze.pictures.quality import quality_figure
from mtfreeze.pictures.race import RaceLine, race_figure
from mtfreeze.pictures.rates import rates_figure
from mtfreeze.pictures.style import line_looks
from mtfreeze.pictures.timeline import TimelinePhase, timeline_figure
from support.figure_parts import words_of
from support.picture_data import units

pytest.importorskip("matplotlib")

ORDER = ["backbone", "classifier", "backbone[:3]", "none", "gradual", "lora"]
DRAWN = ["gradual", "none", "classifier"]
"""Not all of the modes, and in another order."""

HEADS = ["classifier", "ner_head"]
Look = tuple[Any, Any]


def history(scores: float = 0.5, n_epochs: int = 3, per_epoch: int = 2) -> list[dict[str, Any]]:
    """Return the history of a short run with an evaluation after each epoch."""
    rows: list[dict[str, Any]] = []
    for step in range(1, n_epochs * per_epoch + 1):
        epoch = -(-step // per_epoch)
        rows.append(
            {"step": step, "epoch": epoch, "task": "classifier", "classifier_loss": 1.0 / step}
            | {"learning_rate": 1e-3}
        )
        if step % per_epoch == 0:
            figures = {"eval_classifier_loss": 0.5, "eval_classifier_accuracy": scores}
            rows.append({"step": step, "epoch": epoch, **figures})
    return rows


def in_curves(figure: Any) -> dict[str, Look]:
    (legend,) = figure.legends
    pairs = zip(legend.get_texts(), legend.get_lines(), strict=True)
    found = {text.get_text(): (line.get_color(), line.get_marker()) for text, line in pairs}
    return {name: look for name, look in found.items() if name in ORDER}


def in_modes(figure: Any) -> dict[str, Look]:
    (axes,) = figure.axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    marks = [line for line in axes.lines if line.get_marker() not in ("", "None")]
    heights = [line.get_ydata()[0] for line in marks]
    assert heights == pytest.approx(list(axes.get_yticks()))
    return dict(zip(names, ((one.get_color(), one.get_marker()) for one in marks), strict=True))


def in_quality(figure: Any) -> dict[str, Look]:
    (axes,) = figure.axes
    lines = [one.lines[0] for one in axes.containers]
    return {
        DRAWN[int(line.get_xdata()[0]) - 1]: (line.get_color(), line.get_marker()) for line in lines
    }


PICTURES: Mapping[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Look]]]] = {
    "quality": (
        lambda: quality_figure(
            {"t": [QualityPoint(name, i, 0.1 * i) for i, name in enumerate(DRAWN, 1)]}, order=ORDER
        ),
        in_quality,
    ),
    "race": (
        lambda: race_figure([RaceLine(name, ((5, 0.5),), (9, 0.6)) for name in DRAWN], order=ORDER),
        in_curves,
    ),
    "curves": (
        lambda: curves_figure({name: history() for name in DRAWN}, order=ORDER),
        in_curves,
    ),
    "modes": (
        lambda: modes_figure({name: [("", units(3, HEADS, set()))] for name in DRAWN}, order=ORDER),
        in_modes,
    ),
}
"""Every picture in which modes are told apart: how it is drawn, and how its looks are read."""


@pytest.mark.parametrize("picture", PICTURES)
def test_a_mode_has_one_colour_and_mark_in_every_picture(picture: str) -> None:
    draw, read = PICTURES[picture]
    found = read(draw())
    looks = line_looks(ORDER)
    assert set(found) == set(DRAWN)
    assert found == {name: (looks[name]["color"], looks[name]["marker"]) for name in DRAWN}


@pytest.mark.parametrize("picture", ["race", "curves"])
def test_legends_have_the_order_of_the_modes(picture: str) -> None:
    draw, read = PICTURES[picture]
    assert list(read(draw())) == [name for name in ORDER if name in DRAWN]


def test_numbers_of_crowded_points_have_the_order_of_the_modes() -> None:
    crowd = [QualityPoint(name, 1.0, 0.5) for name in reversed(ORDER)]
    figure = quality_figure({"t": crowd}, order=ORDER)
    listed = [text.get_text().split("  ")[1] for text in figure.legends[0].get_texts()]
    assert len(listed) > 1 and listed == [name for name in ORDER if name in listed]


def scale_of_epochs(axes: Any) -> Any:
    """Return the scale below the steps; fails where there is none."""
    (scale,) = axes.child_axes
    return scale


def test_epochs_have_ticks_at_whole_epochs_where_all_runs_have_them() -> None:
    figure = curves_figure({"a": history(), "b": history(0.7)})
    for axes in figure.axes[1:]:
        scale = scale_of_epochs(axes)
        assert [int(label.get_text()) for label in scale.get_xticklabels()] == [1, 2, 3]
        assert list(scale.get_xticks()) == [2, 4, 6]
    apart = curves_figure({"a": history(), "b": history(per_epoch=3)})
    assert not [axes for axes in apart.axes if axes.child_axes]


def phases(*names: str) -> list[TimelinePhase]:
    return [TimelinePhase(name, 10, units(6, HEADS, set())) for name in names]


FIGURES: Mapping[str, Callable[[], Any]] = {
    "timeline": lambda: timeline_figure(
        phases("the first of all phases, with a name that is long", "all"),
        epochs=[(1, 5), (2, 20)],
    ),
    "timeline of few units": lambda: timeline_figure(
        [TimelinePhase("heads", 10, units(1, HEADS[:1], set()))], epochs=[(1, 5), (2, 10)]
    ),
    "curves": lambda: curves_figure({"a": history()}),
    "rates": lambda: rates_figure(history()),
}


@pytest.mark.parametrize("picture", FIGURES)
def test_no_legend_covers_the_drawing(picture: str) -> None:
    figure = FIGURES[picture]()
    figure.draw_without_rendering()
    renderer = figure._get_renderer()
    (legend,) = figure.legends
    box = legend.get_window_extent(renderer)
    for axes in figure.axes:
        parts = [axes, axes.xaxis, axes.yaxis, *axes.child_axes]
        parts += [scale.xaxis for scale in axes.child_axes]
        for part in parts:
            drawn = part.get_tightbbox(renderer)
            assert drawn is None or not drawn.overlaps(box), part
    assert box.y0 >= 0 and "epoch" in words_of(figure)


def test_long_names_of_phases_are_cut_and_take_no_room_from_the_rows() -> None:
    name = "x" * 200
    figure = timeline_figure(phases(name, "all"))
    assert name not in words_of(figure) and "x" * 40 in words_of(figure)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    inches = axes.get_window_extent().height / figure.dpi
    assert inches > 0.3 * len(axes.get_yticks())


@pytest.mark.parametrize("score", [0.0, 0.5, 1.0])
def test_axes_of_shares_say_nothing_below_none_or_above_all(score: float) -> None:
    drawn = [
        curves_figure({"a": history(score)}).axes[1],
        race_figure([RaceLine("a", ((5, score),), (9, score))]).axes[0],
        quality_figure({"t": [QualityPoint("a", 1.0, score)]}).axes[0],
    ]
    for axes in drawn:
        low, high = axes.get_ylim()
        assert low < score < high <= score + 0.1
        ticks = axes.get_yticks()
        assert len(ticks) and min(ticks) >= 0 and max(ticks) <= 1
        assert min(ticks) >= low and max(ticks) <= high


def test_axes_of_other_figures_are_left_as_they_are() -> None:
    axes = quality_figure({"t": [QualityPoint("a", 1.0, -0.5), QualityPoint("b", 2.0, 0.5)]}).axes[
        0
    ]
    assert min(axes.get_yticks()) < 0
