# SPDX-License-Identifier: Apache-2.0
"""Detection in jobs and on the command line: COCO's files, where their images lie, what is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.job import load_config, parse_config
from support.detection import SHAPES, scenes, write_coco, write_detr_folder

pytest.importorskip("PIL.Image", reason="needs Pillow")

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a tiny DETR, six scenes to learn from and three to judge by."""
    folder = tmp_path_factory.mktemp("boxes")
    write_detr_folder(folder / "detr")
    rows = scenes(9)
    write_coco(folder, "train", rows[:6])
    write_coco(folder, "val", rows[6:])
    return folder


def job(place: Path, **data: Any) -> dict[str, Any]:
    return {
        "model": {"name": str(place / "detr")},
        "heads": {"shapes": {"task": "detection", "labels": "auto", "queries": 5}},
        "data": {"shapes": {"train": "train.json", "eval": "val.json", **data}},
    }


def test_images_of_each_file_lie_where_the_job_says(place: Path) -> None:
    config = parse_config(job(place, folder={"train": "train", "eval": "val"}), place)
    model = build_model(config)
    assert model.heads["shapes"].spec == mtf.Detection(SHAPES, queries=5)
    tasks = build_tasks(config, model)
    train, judged = tasks["shapes"].train, tasks["shapes"].eval
    assert train is not None and judged is not None and (len(train), len(judged)) == (6, 3)
    assert judged[0].image is not None and judged[0].image.path == place / "val" / "0.png"
    wanted = scenes(9)[7][1]
    assert judged[1].label == tuple(wanted)


def test_one_folder_is_that_of_both_files(place: Path) -> None:
    raw = job(place, eval="train.json", folder="train")
    tasks = build_tasks(parse_config(raw, place), build_model(parse_config(raw, place)))
    for rows in (tasks["shapes"].train, tasks["shapes"].eval):
        assert rows is not None and rows[0].image is not None
        assert rows[0].image.path == place / "train" / "0.png"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"folder": 3}, "data.shapes.folder must be a text; found int 3"),
        ({"folder": {"tran": "a"}}, "key of 'data.shapes.folder' 'tran'.*did you mean 'train'"),
        ({"folder": {"eval": "val"}, "eval": None}, "names a folder for eval; found no file for"),
    ],
)
def test_what_is_no_folder(data: dict[str, Any], said: str, place: Path) -> None:
    raw = job(place, **data)
    entry = raw["data"]["shapes"]
    raw["data"]["shapes"] = {key: one for key, one in entry.items() if one is not None}
    with pytest.raises(mtf.ConfigError, match=said):
        parse_config(raw, place)


def test_a_job_without_folder_says_where_the_images_are_looked_for(place: Path) -> None:
    config = parse_config(job(place), place)
    with pytest.raises(mtf.DataError, match=r"image 0: expected '0.png' in the folder .*folder="):
        build_model(config)


def test_questions_and_tables_have_no_folder(tiny_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "rows.tsv").write_text("good\ta\nbad\tb\n", "utf-8")
    raw = {
        "model": {"name": str(tiny_folder)},
        "heads": {"own": {"task": "sequence_classification", "labels": ["a", "b"]}},
        "data": {"own": {"train": "rows.tsv", "folder": "pictures"}},
    }
    config = parse_config(raw, tmp_path)
    with pytest.raises(mtf.ConfigError, match=r"the reader of .*rows.tsv does not take 'folder'"):
        build_tasks(config, build_model(config))


def test_commands_from_the_file_to_what_is_found(
    place: Path, tmp_path: Path, command: Command
) -> None:
    written, out = tmp_path / "job.yaml", tmp_path / "out"
    model, data = place / "detr", place / "train.json"
    folder = ("--set", f"folder={place / 'train'}")
    code, _, err = command("init", data, *folder, "--output", written)
    assert code == 2 and "expected a model that reads images" in err
    assert command("init", data, "--model", model, *folder, "--output", written)[0] == 0
    config = load_config(written)
    assert config.heads == {"boxes": {"task": "detection", "labels": list(SHAPES)}}
    assert Path(config.data["boxes"]["folder"]["train"]).resolve() == place / "train"
    code, _, err = command(
        "train", written, "--output", out, "--quiet", "--set", "training.epochs=1"
    )
    assert (code, err) == (0, "")
    code, told, _ = command("evaluate", out, written, "--data", data, *folder, "--quiet", "--json")
    assert code == 2  # a job or data
    code, told, _ = command("evaluate", out, "--data", data, *folder, "--quiet", "--json")
    assert code == 0 and 0 <= json.loads(told)["eval_boxes_map"] <= 1

    picture = place / "val" / "1.png"
    (wanted,) = mtf.MultiTaskModel.from_pretrained(out).predict("boxes", [picture])
    code, told, _ = command("predict", out, picture, "--json")
    found = json.loads(told)
    assert (code, list(found)) == (0, ["image", "boxes"])
    assert found["boxes"]["labels"] == wanted["labels"]
    assert found["boxes"]["scores"] == pytest.approx(wanted["scores"].tolist())
    assert found["boxes"]["boxes"] == [pytest.approx(one) for one in wanted["boxes"].tolist()]
    code, told, _ = command("predict", out, picture)
    assert json.loads(told.splitlines()[1].split("\t")[1]) == found["boxes"]


def test_data_check_says_what_is_on_images(place: Path, command: Command) -> None:
    code, told, err = command(
        "data", "check", place / "train.json", "--set", f"folder={place / 'train'}"
    )
    boxes = [box.label for _, row in scenes(9)[:6] for box in row]
    assert (code, err) == (0, "")
    lines = told.splitlines()
    assert lines[0].endswith("train.json: 6 images")
    assert f"boxes: blue {boxes.count('blue')}, red {boxes.count('red')}" in lines
    assert "boxes an image: 0 to 2, median 1, 95 % up to 2" in lines
    assert "for: mtf.Detection(labels=[...])" in lines
    code, told, _ = command("data", "check", place / "train.json")
    assert code == 2 and "6 x image …: expected … in the folder …" in told
