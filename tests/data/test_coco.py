# SPDX-License-Identifier: Apache-2.0
"""COCO's annotations: boxes as DETR takes them, what is dropped, and what does not hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mtfreeze import Box, DataError, Detection, Task, UnusedDataWarning, read_coco
from mtfreeze.data import read_file
from support.made_up_images import file_bytes, pixels

pytest.importorskip("PIL", reason="Pillow is not installed")


def table() -> dict[str, Any]:
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 9, "file_name": "a.png", "height": 20, "width": 30},
            {"id": 4, "file_name": "b.png", "height": 20, "width": 30},
        ],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 90, "bbox": [1.5, 2, 10, 5], "iscrowd": 0},
            {"id": 2, "image_id": 9, "category_id": 1, "bbox": [25, -3, 10, 10], "area": 9},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 90, "name": "toothbrush"}],
    }


def write(folder: Path, content: object) -> Path:
    for name in ("a.png", "b.png"):
        (folder / name).write_bytes(file_bytes(pixels(20, 30), "PNG"))
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_boxes_are_corners_in_pixels_clipped_to_the_image(tmp_path: Path) -> None:
    rows = read_coco(write(tmp_path, table()), tmp_path)
    expected = (Box("toothbrush", 1.5, 2, 11.5, 7), Box("person", 25, 0, 30, 7))
    assert rows[0].label == expected and rows[1].label == ()
    assert rows[0].image is not None and rows[0].image.path == tmp_path / "a.png"
    assert rows.labels() == {"person": 1, "toothbrush": 1}
    assert "image 0 (a.png)" in rows[0].source


def test_crowds_and_empty_boxes_are_dropped_and_counted(tmp_path: Path) -> None:
    made = table()
    made["annotations"] += [
        {"image_id": 9, "category_id": 1, "bbox": [0, 0, 5, 5], "iscrowd": 1},
        {"image_id": 4, "category_id": 1, "bbox": [0, 0, 0, 5]},
        {"image_id": 4, "category_id": 1, "bbox": [40, 0, 5, 5]},
    ]
    with pytest.warns(UnusedDataWarning, match="1 of crowds and 2 of no area on the image"):
        rows = read_coco(write(tmp_path, made), tmp_path)
    assert rows[1].label == () and len(rows[0].label or ()) == 2  # type: ignore[arg-type]


def spoiled(key: str, position: int, **changes: Any) -> dict[str, Any]:
    made = table()
    one = made[key][position]
    for name, value in changes.items():
        one.pop(name) if value is None else one.__setitem__(name, value)
    return made


BROKEN: dict[str, tuple[object, str]] = {
    "list": ([1], "lists under 'images', 'annotations', 'categories'; found list"),
    "no lists": ({"images": []}, "found 'images'"),
    "item": ({**table(), "images": [3]}, "objects under 'images'; item 0 is 3"),
    "no id": (spoiled("images", 0, id=None), "image 0: expected a whole number under 'id'"),
    "twice": (spoiled("images", 1, id=9), "image 1: expected each id once; found 9 again"),
    "no file": (spoiled("images", 0, file_name=None), "image 0: expected 'file_name'"),
    "missing": (spoiled("images", 0, file_name="c.png"), "found no such file; did you mean"),
    "size": (spoiled("images", 0, height=21), "to be 21 x 30 .* found 20 x 30"),
    "zero": (spoiled("images", 0, height=0), "height and width of at least 1"),
    "image": (spoiled("annotations", 0, image_id=5), "the id of an image; found 5"),
    "category": (
        spoiled("annotations", 0, category_id=5),
        "the categories are '1 person'",
    ),
    "bbox": (spoiled("annotations", 0, bbox=[1, 2, 3]), r"'bbox' to be \[x, y, width, height\]"),
    "text": (spoiled("annotations", 0, bbox=["1", 2, 3, 4]), r"'bbox' to be \[x, y, width"),
    "negative": (spoiled("annotations", 0, bbox=[5, 5, -2, 3]), "found the width -2"),
    "name": (spoiled("categories", 0, name=None), "category 0: expected a name"),
    "names": (spoiled("categories", 1, name="person"), "ids and names each once"),
    "none": ({**table(), "images": [], "annotations": []}, "expected images; found none"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_hold(name: str, tmp_path: Path) -> None:
    content, message = BROKEN[name]
    with pytest.raises(DataError, match=message):
        read_coco(write(tmp_path, content), tmp_path)


def test_a_file_that_is_no_json(tmp_path: Path) -> None:
    """A download that broke off, and brackets deeper than Python's parser goes."""
    path = write(tmp_path, table())
    whole = path.read_text()
    for text in (whole[:-9], "[" * 100_000):
        path.write_text(text)
        with pytest.raises(
            DataError, match=r"instances\.json: expected JSON; found none \("
        ) as said:
            read_coco(path, tmp_path)
        assert "\n" not in str(said.value) and len(str(said.value)) < 400


def test_faults_are_handed_over(tmp_path: Path) -> None:
    made = spoiled("images", 1, file_name="c.png")
    made["annotations"].append({"image_id": 4, "category_id": 1, "bbox": [0, 0, 5, 5]})
    made["annotations"].append({"image_id": 9, "category_id": 7, "bbox": [0, 0, 5, 5]})
    faults: list[DataError] = []
    rows = read_coco(write(tmp_path, made), tmp_path, on_fault=faults.append)
    assert len(rows) == 1 and len(faults) == 2 and len(rows[0].label or ()) == 2  # type: ignore[arg-type]


def test_sizes_may_go_unchecked(tmp_path: Path) -> None:
    rows = read_coco(write(tmp_path, spoiled("images", 0, height=21)), tmp_path, check_sizes=False)
    assert len(rows) == 2


def test_images_lie_beside_the_file_unless_it_is_said_otherwise(tmp_path: Path) -> None:
    path = write(tmp_path, table())
    assert read_coco(path)[0].image == read_coco(path, tmp_path)[0].image


def test_a_json_file_is_read_by_what_is_in_it(tmp_path: Path) -> None:
    """Questions about a text that quotes such a file are questions still."""
    path = write(tmp_path, table())
    assert [row.label for row in read_file(path)] == [row.label for row in read_coco(path)]
    said = '{"images": [], "annotations": []}'
    question = {"id": "1", "question": "What?", "answers": [{"text": "images", "answer_start": 2}]}
    paragraphs = [{"context": said, "qas": [question]}]
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    assert read_file(path)[0].texts == ("What?", said)


def test_rows_of_boxes_name_the_head_that_learns_them(tmp_path: Path) -> None:
    task = Task(read_coco(write(tmp_path, table())))
    assert task.head() == Detection(["person", "toothbrush"])


def test_what_the_file_says_is_never_too_long_to_be_shown(tmp_path: Path) -> None:
    names = {"file_name": ["x" * 300, "x" * 300 + "/a.png"]}
    numbers = {"height": [10**300, -(10**300)], "width": [2**63], "id": [10**300]}
    for key, values in {**names, **numbers}.items():
        for value in values:
            with pytest.raises(DataError, match=r"image 0: expected") as said:
                read_coco(write(tmp_path, spoiled("images", 0, **{key: value})), tmp_path)
            assert len(str(said.value)) < 400 + len(str(tmp_path))
    for key in ("image_id", "category_id"):
        with pytest.raises(DataError, match=r"annotation 0: expected") as said:
            read_coco(write(tmp_path, spoiled("annotations", 0, **{key: 10**300})), tmp_path)
        assert len(str(said.value)) < 400 + len(str(tmp_path))
