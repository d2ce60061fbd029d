# SPDX-License-Identifier: Apache-2.0
"""Readers of images, of tables that name them and of how they are processed, with right files."""

from __future__ import annotations

import json
from pathlib import Path

import mtfreeze as mtf
from mtfreeze.images import Processor
from mtfreeze.images.picture import MOST_PIXELS
from support.made_up_images import file_bytes, pixels

__all__ = [
    "DECODED",
    "PICTURES",
    "read_annotations",
    "read_pictures",
    "read_processors",
    "read_tables",
    "write_images",
]

PICTURES = ("png", "jpeg", "gif", "bmp", "tiff", "ppm", "webp", "tga")

DECODED = 64_000_000 + 7 * MOST_PIXELS
"""Bytes that the largest picture takes, four a pixel of Pillow's and three of ours: a header may
promise it in a few bytes, since some formats can hold it in as many."""


def read_pictures(folder: Path) -> None:
    """Decode every file of a folder, and look at each one's header alone."""
    for path in sorted(folder.iterdir()):
        picture = mtf.Picture(path)
        height, width = picture.size()
        assert picture.decode().shape == (height, width, 3)


def read_processors(folder: Path) -> None:
    """Read every description of a processor."""
    for path in sorted(folder.iterdir()):
        Processor.from_json(path.read_bytes(), path.name).to_json()


def read_annotations(folder: Path) -> None:
    """Read annotations in COCO's form."""
    mtf.read_coco(folder / "coco.json", folder)


def read_tables(folder: Path) -> None:
    """Read tables of images."""
    for path in sorted([*folder.glob("*.csv"), *folder.glob("*.jsonl")]):
        mtf.read_images(path)


def write_images(root: Path) -> None:
    """Write the right files of all of these."""
    folders = {name: root / name for name in ("pictures", "processors", "COCO", "image tables")}
    for folder in folders.values():
        folder.mkdir()
    for kind in PICTURES:
        data = file_bytes(pixels(13, 21), kind.upper())
        (folders["pictures"] / f"a.{kind}").write_bytes(data)
    for kind in ("ViT", "ConvNext", "Detr"):
        made = Processor.from_json({"image_processor_type": f"{kind}ImageProcessor"})
        (folders["processors"] / f"{kind}.json").write_bytes(made.to_json())
    png = file_bytes(pixels(4, 6), "PNG")
    for name in ("COCO", "image tables"):
        (folders[name] / "a.png").write_bytes(png)
    coco = {
        "images": [{"id": 1, "file_name": "a.png", "height": 4, "width": 6}],
        "annotations": [{"image_id": 1, "category_id": 2, "bbox": [0, 0.5, 2, 3], "iscrowd": 0}],
        "categories": [{"id": 2, "name": "cat"}],
    }
    (folders["COCO"] / "coco.json").write_text(json.dumps(coco))
    (folders["image tables"] / "a.csv").write_text('image,label\na.png,cat\n"a.png","a, b"\n')
    rows = [{"image": "a.png", "label": ["a", "b"]}, {"image": "a.png", "labels": {"x": 1}}]
    (folders["image tables"] / "a.jsonl").write_text("\n".join(map(json.dumps, rows[:1])))
    (folders["image tables"] / "b.jsonl").write_text(json.dumps(rows[1]))
