# SPDX-License-Identifier: Apache-2.0
"""Detectors side by side: judged by either figure of boxes, adapters by their layers' numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mtfreeze as mtf
from support.detection import detector, scenes, write_detr_folder


@pytest.mark.parametrize(("metric", "title"), [("map", "mAP"), ("map_50", "mAP at 0.5")])
def test_each_figure_judges(metric: str, title: str, tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "detr"))
    tasks = {"shapes": mtf.Task(train=scenes(4), eval=scenes(6, 1), metric=metric)}
    found = mtf.compare(
        model,
        tasks,
        modes=["backbone", ("decoder 2", mtf.Lora(rank=1, layers=[2]))],
        epochs=1,
        start="cold",
        batch_size=4,
        progress=False,
        output_dir=tmp_path / "runs",
    )
    assert not any(row.failure for row in found.rows)
    assert re.search(rf"  {title} +change\n", str(found))
    assert {run.tasks["shapes"].primary for run in found.runs} == {metric}


def test_a_figure_of_texts_is_refused_before_anything_runs(tmp_path: Path) -> None:
    model = detector(write_detr_folder(tmp_path / "detr"))
    tasks = {"shapes": mtf.Task(train=scenes(4), eval=scenes(4, 1), metric="recall")}
    said = "unknown metric 'recall' of a detection head; expected one of 'map', 'map_50'"
    with pytest.raises(mtf.ConfigError, match=said):
        mtf.compare(model, tasks, modes=["backbone"], epochs=1, progress=False)
    with pytest.raises(mtf.ConfigError, match=said):
        mtf.evaluate(model, tasks, progress=False)
