# SPDX-License-Identifier: Apache-2.0
"""Readers of images: folders of folders, tables, and plain rows with images in them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mtfreeze import (
    Box,
    ConfigError,
    DataError,
    Examples,
    Picture,
    UnusedDataWarning,
    read_images,
    read_jsonl,
)
from mtfreeze.data.readers import reader_of
from support.made_up_images import file_bytes, pixels

pytest.importorskip("PIL", reason="Pillow is not installed")

PNG = file_bytes(pixels(4, 6), "PNG")


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in (
        "cat/b.png",
        "cat/a.PNG",
        "dog/deep/er/c.jpg",
        "dog/.hidden.png",
        "cat/.git/x.png",
    ):
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(PNG)
    return tmp_path / "pets"


def test_a_folder_for_each_label(pets: Path) -> None:
    rows = read_images(pets)
    assert repr(rows) == "Examples(3 images, name='pets', labels: cat 2, dog 1)"
    assert [Path(row.source).name for row in rows] == ["a.PNG", "b.png", "c.jpg"]
    assert rows[0].image is not None and rows[0].image.size() == (4, 6)
    assert rows.kind == "image" and rows[0].content == Picture(pets / "cat" / "a.PNG")
    mapped = read_images(pets, label_map={"cat": "feline", "dog": "canine"})
    assert mapped.labels() == {"canine": 1, "feline": 2}


def test_images_alone(pets: Path) -> None:
    rows = read_images(pets, label=None)
    assert len(rows) == 3 and rows[0].label is None


def test_what_is_no_image_is_named(pets: Path) -> None:
    (pets / "cat" / "notes.txt").write_text("a")
    with pytest.warns(UnusedDataWarning, match=r"1 file is not read.*'notes.txt'"):
        assert len(read_images(pets)) == 3


def test_what_lies_beside_the_folders_is_named_too(pets: Path) -> None:
    (pets / "README.md").write_text("a")
    with pytest.warns(UnusedDataWarning, match=r"1 file is not read.*'README\.md'"):
        assert read_images(pets).labels() == {"cat": 2, "dog": 1}


def test_a_table_of_images_alone(pets: Path) -> None:
    """Without `label` its column is read no more than any other."""
    table = pets / "t.csv"
    table.write_text("image,label\ncat/b.png,cat\ndog/deep/er/c.jpg,dog\n")
    rows = read_images(table, label=None)
    assert [row.image and row.image.path for row in rows] == [
        pets / "cat/b.png",
        pets / "dog/deep/er/c.jpg",
    ]
    assert {row.label for row in rows} == {None} and rows[0].source == f"{table}:2"


def test_a_folder_is_read_as_images(pets: Path) -> None:
    assert reader_of(pets) is read_images
    with pytest.raises(ConfigError, match="expected a file name that ends in one of"):
        reader_of(pets / "cat" / "a.PNG")


def test_a_link_to_a_folder_is_followed_for_a_label_and_no_deeper(pets: Path) -> None:
    (pets / "kitten").symlink_to(pets / "cat")
    (pets / "cat" / "loop").symlink_to(pets)
    assert read_images(pets).labels() == {"cat": 2, "dog": 1, "kitten": 2}


@pytest.mark.parametrize(
    ("name", "text", "options"),
    [
        ("t.csv", "image,label\ncat/b.png,cat\ndog/deep/er/c.jpg,dog\n", {}),
        ("t.tsv", "label\tfile_name\ncat\tcat/b.png\ndog\tdog/deep/er/c.jpg\n", {}),
        ("t.csv", "p,c\ncat/b.png,cat\ndog/deep/er/c.jpg,dog\n", {"image": "p", "label": "c"}),
        (
            "t.jsonl",
            '{"image": "cat/b.png", "label": "cat"}\n{"path": "dog/deep/er/c.jpg", "label": "dog"}',
            {},
        ),
    ],
)
def test_tables(pets: Path, name: str, text: str, options: dict[str, str]) -> None:
    (pets / name).write_text(text)
    rows = read_images(pets / name, **options)  # type: ignore[arg-type]
    assert [row.label for row in rows] == ["cat", "dog"]
    assert rows[1].image == Picture(pets / "dog/deep/er/c.jpg")
    assert rows[0].source.startswith(f"{pets / name}:")


def test_json_lines_with_several_labels_and_labels_by_task(pets: Path) -> None:
    several = {"image": "cat/b.png", "label": ["cat", "indoors"]}
    (pets / "s.jsonl").write_text(json.dumps(several))
    assert read_images(pets / "s.jsonl")[0].label == ("cat", "indoors")
    tasks = {"image": "cat/b.png", "labels": {"kind": "cat", "place": "indoors"}}
    (pets / "t.jsonl").write_text(json.dumps(tasks))
    rows = read_images(pets / "t.jsonl")
    assert rows.tasks == ("kind", "place") and rows[0].label_for("place") == "indoors"


def test_faults_are_handed_over_one_by_one(pets: Path) -> None:
    text = "image,label\ncat/b.png,cat\nno.png,dog\ncat/a.PNG,\n,x\ncat/a.PNG,a,b\ncat/a.PNG,cat\n"
    (pets / "t.csv").write_text(text)
    faults: list[DataError] = []
    rows = read_images(pets / "t.csv", on_fault=faults.append)
    assert [row.label for row in rows] == ["cat", "cat"] and len(faults) == 4
    assert [":" + str(n) in str(one) for n, one in zip((3, 4, 5, 6), faults, strict=True)]
    with pytest.raises(DataError, match=r"t\.csv:3: expected the file"):
        read_images(pets / "t.csv")


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: p / "none", FileNotFoundError, "No such file"),
        (lambda p: p / "t.xls", ConfigError, "expected a folder, or a table"),
        (lambda p: p / "cat", DataError, "beside them; move it into one"),
        (lambda p: p / "empty", DataError, "expected images; found none"),
    ],
)
def test_no_images(pets: Path, make: object, error: type[Exception], message: str) -> None:
    (pets / "empty").mkdir()
    (pets / "t.xls").touch()
    with pytest.raises(error, match=message):
        read_images(make(pets))  # type: ignore[operator]


def test_a_label_without_images(pets: Path) -> None:
    (pets / "bird").mkdir()
    with pytest.raises(DataError, match=r"bird: expected images of the label 'bird'; found none"):
        read_images(pets)
    with pytest.raises(ConfigError, match="image= names a column of a table"):
        read_images(pets, image="path")


def test_plain_rows(tmp_path: Path) -> None:
    """What can be nothing but an image is one; a str stays a text, but under the key `image`."""
    from PIL import Image

    array = pixels(4, 6)
    image = Image.fromarray(array)
    rows = Examples.from_rows([(array, "a"), (image, "b"), (Picture(array), 1), (Path("x"), 0.5)])
    assert rows.kind == "image" and [row.label for row in rows] == ["a", "b", 1, 0.5]
    assert rows[0].image == rows[1].image == rows[2].image
    assert Examples.from_rows([("x.png", "a")]).kind == "text"
    named = Examples.from_rows(
        [
            {"image": "x.png", "label": "a"},
            {"image": {"bytes": PNG, "path": None}, "label": "b"},
            {"img": array, "labels": ["a", "b"]},
            {"image": array, "labels": {"task": "c"}},
        ]
    )
    assert [one.image and one.image.path for one in named][:2] == [Path("x.png"), None]
    assert named[2].label == ("a", "b") and named[3].labels == {"task": "c"}
    columns = Examples.from_rows({"image": [array, array], "label": ["a", "b"]})
    assert columns.labels() == {"a": 1, "b": 1}


def test_a_row_of_a_text_stays_one_whatever_else_it_has(tmp_path: Path) -> None:
    row = {"text": "a", "image": "a.png", "label": "b"}
    with pytest.warns(UnusedDataWarning, match="'image'"):
        rows = Examples.from_rows([row])
    assert rows.kind == "text"
    (tmp_path / "a.jsonl").write_text('{"image": "a.png", "label": "b"}')
    with pytest.raises(DataError, match="read the file with read_images"):
        read_jsonl(tmp_path / "a.jsonl")


def test_images_without_labels_and_splits() -> None:
    rows = Examples.from_images([np.full((2, 2, 3), i, np.uint8) for i in range(10)])
    assert repr(rows) == "Examples(10 images, name='data', labels: none)"
    first, second = rows.split(0.7)
    assert {row.content for row in first} | {row.content for row in second} == {
        row.content for row in rows
    }
    with pytest.raises(DataError, match="rows of one kind; row 0 of data holds an image"):
        rows + Examples.from_texts(["a"])


def test_boxes_are_a_label() -> None:
    boxes = [Box("cat", 0, 1, 2, 3), Box("dog", 0, 0, 6, 4)]
    rows = Examples.from_rows([(pixels(4, 6), boxes), {"image": pixels(4, 6), "boxes": boxes[:1]}])
    assert rows[0].label == tuple(boxes) and rows.labels() == {"cat": 2, "dog": 1}


def test_one_image_is_no_data() -> None:
    with pytest.raises(TypeError, match=r"expected a list of images; .*; give \['a.png'\]"):
        Examples.from_images("a.png")  # type: ignore[arg-type]
