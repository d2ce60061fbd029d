# SPDX-License-Identifier: Apache-2.0
"""What a report and a confusion matrix count where the rows are images."""

from __future__ import annotations

from pathlib import Path

import mtfreeze as mtf
from support.vision_folders import coloured, vision_model, write_vision_folder


def test_images_are_called_images(tmp_path: Path) -> None:
    model = vision_model(write_vision_folder(tmp_path / "vit"))
    rows = coloured(4)
    found = mtf.evaluate(model, {"colour": mtf.Task(eval=rows)})
    assert found.confusion().unit == found.report().unit == "images"
    assert "4 images" in str(found.confusion()) and "text" not in str(found.confusion())
    picture = mtf.plot_confusion(model, "colour", rows, tmp_path / "confusion.svg")
    assert "of 4 images right" in picture.read_text(encoding="utf-8")
