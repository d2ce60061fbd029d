# SPDX-License-Identifier: Apache-2.0
"""Tasks of images on their way to the process of a job: as JSON, with the same pixels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import Box, Examples, Picture, Task
from mtfreeze.comparing.task_files import tasks_from_values, tasks_to_values
from support.made_up_images import pixels
from support.vision_folders import coloured, vision_model, write_vision_folder


def test_images_and_their_labels_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array, box = pixels(4, 6), Box("cat", 0, 0, 2, 3.5)
    monkeypatch.chdir(tmp_path)
    rows = Examples.from_rows([(array, "a"), (Path("x.png"), [box]), (Picture(b"bytes"), [0.5, 1])])
    values = json.loads(json.dumps(tasks_to_values({"task": Task(train=rows)})))
    monkeypatch.undo()
    again = tasks_from_values(values)["task"].train
    assert again is not None and [row.label for row in again] == [row.label for row in rows]
    assert again[1].label == (box,) and again[1].content == Picture(tmp_path / "x.png")
    assert again[0].image == rows[0].image and again[2].image == rows[2].image
    assert again[0].image is not None
    np.testing.assert_array_equal(again[0].image.decode(), array)
    assert [row.source for row in again] == [row.source for row in rows]


def test_scenarios_train_on_the_variants_that_the_task_asks_for(tmp_path: Path) -> None:
    model = vision_model(write_vision_folder(tmp_path / "vit"))
    model.mark_trained(["colour"])  # so that scenarios begin as `fit` does
    task = Task(train=coloured(6), eval=coloured(6, 1), augment=mtf.Augment(variants=2, crop=None))
    settings = {"epochs": 2, "batch_size": 3, "learning_rate": 1e-3, "progress": False}
    found = mtf.compare(model, {"colour": task}, ["backbone"], seeds=[3], **settings)
    run = mtf.fit(model.freeze("backbone"), {"colour": task}, seed=3, **settings)
    losses = [row["loss"] for row in found.runs[-1].history if "loss" in row]
    assert losses == run.losses() and len(losses) == 4
