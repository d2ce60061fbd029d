# SPDX-License-Identifier: Apache-2.0
"""Jobs over tables: labels from the data, two tasks in one file, rows drawn evenly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.job import parse_config
from mtfreeze.errors import ConfigError

TWO = "review,mood,topic,stars\ngood,wild,a,1.5\nbad,sad,b,2\nso so,glad,,0\n"


def job(model: Path, folder: Path, **heads: Any) -> Any:
    (folder / "two.csv").write_text(TWO)
    data = {"train": "two.csv", "text": "review"}
    return parse_config(
        {
            "model": {"name": str(model)},
            "heads": {n: {"task": "sequence_classification", "labels": "auto"} for n in heads},
            "data": {name: {**data, **own} for name, own in heads.items() if own is not None},
        },
        folder,
    )


@pytest.mark.filterwarnings("ignore::mtfreeze.UnusedDataWarning")
def test_labels_come_from_the_data_of_each_head(tiny_folder: Path, tmp_path: Path) -> None:
    label = ["mood", "topic"]
    config = job(tiny_folder, tmp_path, mood={"label": label}, topic={"label": label})
    model = build_model(config)
    assert model.heads["mood"].labels == ("glad", "sad", "wild")
    assert model.heads["topic"].labels == ("a", "b")
    tasks = build_tasks(config, model)
    assert [len(task.train or ()) for task in tasks.values()] == [3, 3]
    mapped = {"label": "mood", "label_map": {"wild": "x", "sad": "y", "glad": "x"}}
    model = build_model(job(tiny_folder, tmp_path, mood=mapped))
    assert model.heads["mood"].labels == ("x", "y")


def test_rows_are_drawn_evenly_where_the_job_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    config = job(tiny_folder, tmp_path, mood={"label": ["mood", "topic"], "sampling": "balanced"})
    with pytest.warns(mtf.UnusedDataWarning):
        model = build_model(config)
        assert build_tasks(config, model)["mood"].sampling == "balanced"


@pytest.mark.filterwarnings("ignore::mtfreeze.UnusedDataWarning")
def test_labels_that_no_data_have(tiny_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"heads\.mood\.labels: auto takes the labels from the"):
        build_model(job(tiny_folder, tmp_path, mood=None))
    with pytest.raises(ConfigError, match=r"expected data with names of labels.*found numbers"):
        build_model(job(tiny_folder, tmp_path, mood={"label": "stars"}))
