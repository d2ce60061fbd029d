# SPDX-License-Identifier: Apache-2.0
"""The picture of a race: one line a candidate, a cross where one was dropped, a ring at the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from mtfreeze.errors import ConfigError
from mtfreeze.pictures.race import RaceLine, race_figure, race_text
from mtfreeze.pictures.style import line_look
from mtfreeze.pictures.writing import write_picture

NAN = float("nan")
LINES = [
    RaceLine("backbone", (), (57, 0.87)),
    RaceLine("none", ((75, 0.91), (89, 0.92)), (117, 0.93), chosen=True),
    RaceLine("lost", ((75, NAN),), None),
    RaceLine("bitfit", ((75, 0.80),), None, dropped=True),
]


def test_one_line_a_candidate() -> None:
    pytest.importorskip("matplotlib")
    figure = race_figure(LINES, value="accuracy")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "accuracy" and axes.get_xlabel() == "optimizer step"
    named = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
    assert list(named) == ["backbone", "none", "bitfit"]  # what is undefined has no line
    assert named["none"].get_xdata().tolist() == [75, 89, 117]
    # The colour of its place among the modes, as in the other pictures.
    assert named["bitfit"].get_color() == line_look(3)["color"]
    marks = [(line.get_marker(), line.get_xdata().tolist()) for line in axes.lines]
    assert ("x", [75]) in marks and ("o", [117]) in marks
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["backbone", "none", "bitfit", "dropped", "chosen"]


def test_the_same_in_words() -> None:
    text = race_text(LINES, value="accuracy")
    assert "75: 0.8000" in text and "dropped" in text
    assert "117: 0.9300" in text and "chosen" in text


def test_a_race_that_nobody_began_has_no_picture(tmp_path: Path) -> None:
    nothing = [RaceLine("none", (), None)]
    with pytest.raises(ConfigError, match="run to its first rung"):
        race_text(nothing)
    if pytest.importorskip("matplotlib"):
        with pytest.raises(ConfigError, match="run to its first rung"):
            write_picture(
                lambda: race_figure(nothing), lambda: race_text(nothing), tmp_path / "race.png"
            )
