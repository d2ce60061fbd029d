# SPDX-License-Identifier: Apache-2.0
"""Pictures in axes that the user has: drawn there and nowhere else, or refused in words."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.pictures.boxes import ShownBox, boxes_figure
from mtfreeze.pictures.confusion import confusion_figure
from mtfreeze.pictures.curves import curves_figure
from mtfreeze.pictures.front import QualityPoint
from mtfreeze.pictures.modes import modes_figure
from mtfreeze.pictures.quality import quality_figure
from mtfreeze.pictures.race import RaceLine, race_figure
from mtfreeze.pictures.rates import rates_figure
from mtfreeze.pictures.timeline import TimelinePhase, timeline_figure
from mtfreeze.pictures.trainability import trainability_figure
from mtfreeze.pictures.writing import give_picture
from support.made_up_comparisons import comparison
from support.picture_data import history, lower, summary, units
from support.small_tasks import quick_fit
from support.texts import TAGGED

pytest.importorskip("matplotlib")
from matplotlib.figure import Figure

HEADS = ["classifier", "ner_head"]
MODES = {"backbone": [("", units(3, HEADS, lower(3)))], "none": [("", units(3, HEADS, set()))]}
POINTS = [QualityPoint("a", 1.0, 0.5, 0.4, 0.6), QualityPoint("b$^2", 2.0, 0.7)]
PHASES = [TimelinePhase(name, 20, phases[0][1]) for name, phases in MODES.items()]
LINES = [RaceLine("a", ((5, 0.5),), (10, 0.7), False, True)]
BOXES = [ShownBox("cat", 1, 1, 4, 4)]

ONE: dict[str, Callable[..., Any]] = {
    "boxes": partial(boxes_figure, np.zeros((6, 8, 3), np.uint8), BOXES),
    "confusion": partial(confusion_figure, np.array([[30, 4], [2, 50]]), ["a", "b"]),
    "modes": partial(modes_figure, MODES),
    "quality": partial(quality_figure, {"classifier": POINTS}),
    "race": partial(race_figure, LINES),
    "rates": partial(rates_figure, history()),
    "timeline": partial(timeline_figure, PHASES),
    "trainability": partial(trainability_figure, summary(3, HEADS, 2, 1)),
}
"""Pictures of one axes."""


def give(make: Callable[..., Any], ax: Any, path: Any = None) -> Any:
    return give_picture(lambda given: make(ax=given), lambda: "words", path, ax)


def axes_of(n_rows: int = 1, n_columns: int = 2) -> Any:
    return Figure(figsize=(9, 5), layout="constrained").subplots(n_rows, n_columns)


@pytest.mark.parametrize("name", ONE)
def test_it_is_drawn_in_the_axes_and_nowhere_else(name: str, tmp_path: Path) -> None:
    mine, other = axes_of()
    figure = mine.figure
    assert give(ONE[name], mine) is mine
    assert mine.has_data() or mine.patches
    assert not other.has_data() and not other.patches and not other.texts
    assert not figure.texts and not figure.legends and figure.get_suptitle() == ""
    assert tuple(figure.get_size_inches()) == (9, 5)
    words = {text.get_text() for text in mine.findobj(lambda one: hasattr(one, "get_text"))}
    own = ONE[name]().findobj(lambda one: hasattr(one, "get_text"))
    if name == "quality":  # the legend has the names
        assert {"a", "b$^2", "Pareto front"} <= words
    elif name not in ("race", "timeline"):  # all but a heading
        title = next(text.get_text() for text in own if text.get_text() in words)
        assert title
    figure.savefig(tmp_path / "picture.png")  # with words that are no formulas


@pytest.mark.parametrize("name", ONE)
def test_one_axes_is_what_it_takes(name: str) -> None:
    with pytest.raises(mtf.ConfigError, match=r"ax must be 1 axes, for '.*'; found 2; give as"):
        give(ONE[name], axes_of())
    for ax in (3, "axes", [], Figure(), {"a": axes_of()[0]}):
        with pytest.raises(TypeError, match="ax must be axes of matplotlib, or a list of them"):
            give(ONE[name], ax)


def test_the_style_is_the_users() -> None:
    import matplotlib

    with matplotlib.rc_context({"axes.titlecolor": "#ff0000"}):
        (mine, _) = axes_of()
        assert give(ONE["rates"], mine).title.get_color() == "#ff0000"


def test_pictures_of_several_axes_say_which() -> None:
    curves = partial(curves_figure, {"run": history()})
    own = curves()
    names = ["loss of classifier", "loss of ner_head", "metric of classifier", "metric of ner_head"]
    with pytest.raises(mtf.ConfigError) as caught:
        give(curves, axes_of()[0])
    said = ", ".join(map(repr, names))
    assert f"ax must be 4 axes, for {said}; found 1; give as many, e.g. plt.subplots(2, 2)" in str(
        caught.value
    )
    mine = axes_of(2, 2)
    assert give(curves, mine) is mine
    for one, drawn in zip(own.axes, mine.ravel(), strict=True):
        assert [line.get_xydata().tolist() for line in one.lines] == [
            line.get_xydata().tolist() for line in drawn.lines
        ]
        assert one.get_xlim() == drawn.get_xlim()
    listed = list(axes_of(2, 2).ravel())
    assert give(curves, listed) is listed


def test_the_methods_take_axes(two_head_model: mtf.MultiTaskModel, tmp_path: Path) -> None:
    model = two_head_model.freeze("backbone")
    run = quick_fit(model, epochs=1, eval_every="epoch")
    found = comparison(60)
    plots: list[Callable[..., Any]] = [
        model.plot_trainability,
        run.plot_learning_rates,
        run.plot_unfreezing,
        run.confusion("ner_head").plot,
        found.plot_modes,
        partial(mtf.plot_confusion, model, "ner_head", TAGGED),
        partial(mtf.plot_boxes, np.zeros((8, 9, 3), np.uint8), [mtf.Box("cat", 1, 2, 5, 6)]),
    ]
    for plot in plots:
        mine, other = axes_of()
        assert plot(ax=mine) is mine
        assert mine.has_data() or mine.patches or mine.images
        assert not other.has_data()
        with pytest.raises(mtf.ConfigError, match="expected path=, a file, or ax=, axes to draw"):
            plot(path=tmp_path / "picture.png", ax=mine)
        with pytest.raises(TypeError, match="ax must be axes of matplotlib"):
            plot(ax=3)
    assert not list(tmp_path.iterdir())
    for plot, shape in ((run.plot_learning_curves, (2, 2)), (found.plot, (1, len(found.tasks)))):
        grid = axes_of(*shape)
        assert plot(ax=grid) is grid
        assert all(one.has_data() for one in grid.ravel())
        with pytest.raises(mtf.ConfigError, match="found 1; give as many"):
            plot(ax=grid.ravel()[0])
