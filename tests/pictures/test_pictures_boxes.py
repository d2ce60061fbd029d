# SPDX-License-Identifier: Apache-2.0
"""Boxes drawn on images: where they are, what is written, which forms of boxes are taken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.pictures.boxes import ShownBox, boxes_figure, boxes_text
from support.figure_parts import words_of

SCENE = np.full((60, 80, 3), 128, np.uint8)
FOUND = {
    "scores": np.array([0.91, 0.52], np.float32),
    "labels": ["cat", "dog"],
    "boxes": np.array([[10, 10, 40, 50], [30, 5, 70, 40]], np.float32),
}
SHOWN = [ShownBox("cat", 10, 10, 40, 50, 0.91), ShownBox("dog", 30, 5, 70, 40, 0.52)]


def test_boxes_stand_where_they_are() -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    figure = boxes_figure(SCENE, SHOWN, [ShownBox("cat", 12, 9, 41, 52)], title="a scene")
    assert {"a scene", "cat 91%", "dog 52%"} <= set(words_of(figure).split("\n"))
    patches = figure.axes[0].patches
    corners = [(p.get_x(), p.get_y(), p.get_width(), p.get_height()) for p in patches]
    assert corners == [(12, 9, 29, 43)] * 2 + [(10, 10, 30, 40), (30, 5, 40, 35)]
    styles = {(p.get_edgecolor(), p.get_linestyle()) for p in patches[2:]}
    assert len({edge for edge, _ in styles}) == len({line for _, line in styles}) == 2
    assert figure.axes[0].get_ylim() == (59.5, -0.5)


def test_the_same_in_words() -> None:
    text = boxes_text(SHOWN, title="a scene")
    assert text.split("\n")[:2] == ["a scene", "found: 2 things"]
    assert "cat 91%    10   10     40      50" in text
    assert boxes_text([]) == "found: 0 things\n"


@pytest.mark.parametrize("found", [FOUND, [mtf.Box("cat", 10, 10, 40, 50)], []])
def test_what_predict_gives_and_boxes_of_data_are_drawn(tmp_path: Path, found: Any) -> None:
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    place = mtf.plot_boxes(SCENE, found, tmp_path / "scene.png", right=[mtf.Box(1, 0, 0, 9, 9)])
    assert place.read_bytes()[1:4] == b"PNG"


def test_what_are_no_boxes(tmp_path: Path) -> None:
    for wrong in ("cat", [FOUND], 3):
        with pytest.raises(TypeError, match=r"found must be what predict gives for one image"):
            mtf.plot_boxes(SCENE, wrong, tmp_path / "a.png")
    short = {**FOUND, "labels": ["cat"]}
    for odd in ({"labels": []}, short):
        with pytest.raises(mtf.ConfigError, match="as many scores, labels and boxes"):
            mtf.plot_boxes(SCENE, odd, tmp_path / "a.png")
    with pytest.raises(mtf.ConfigError, match="expected a name that ends in"):
        mtf.plot_boxes(SCENE, FOUND, tmp_path / "a.bmp")
