# SPDX-License-Identifier: Apache-2.0
"""What users get wrong about images, as calls: each must end in a typed error that helps.

`CASES` maps a name to a call that takes an empty folder. ``images/test_bad_images.py`` runs them
and compares the messages with ``images/bad_image_messages.txt``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mtfreeze as mtf
from mtfreeze.images import Processor
from support.made_up_images import file_bytes, pixels, png_header

__all__ = ["CASES"]

Case = Callable[[Path], object]
ROW = pixels(4, 6)


def file(content: bytes, name: str = "a.png") -> Case:
    """Return a case that decodes a file of these bytes."""

    def run(folder: Path) -> object:
        (folder / name).write_bytes(content)
        return mtf.Picture(folder / name).decode()

    return run


def cut_off(kind: str, keep: float) -> Case:
    """Return a case that decodes the beginning of a right file."""
    data = file_bytes(pixels(64, 64), kind)
    return file(data[: int(len(data) * keep)], f"cut.{kind.lower()}")


def source(make: Callable[[], object]) -> Case:
    """Return a case that makes a picture of something."""
    return lambda folder: mtf.Picture(make())


def row(make: Callable[[], object]) -> Case:
    """Return a case that gives one plain row."""
    return lambda folder: mtf.Examples.from_rows([(ROW, "a"), make()], name="train")


def config(kind: str = "ViTImageProcessor", **settings: Any) -> Case:
    """Return a case that reads such a preprocessor_config.json."""
    return lambda folder: Processor.from_json({"image_processor_type": kind, **settings})


def raw_config(content: bytes) -> Case:
    """Return a case that reads a preprocessor_config.json of these bytes."""
    return lambda folder: Processor.from_json(content, "model/preprocessor_config.json")


def table(name: str, text: str, **options: Any) -> Case:
    """Return a case that reads a table beside one image, cat.png."""

    def run(folder: Path) -> object:
        (folder / "cat.png").write_bytes(file_bytes(ROW, "PNG"))
        (folder / name).write_text(text, "utf-8")
        return mtf.read_images(folder / name, **options)

    return run


def tree(*names: str, **options: Any) -> Case:
    """Return a case that reads a folder of such files; a name that ends in / is a folder."""

    def run(folder: Path) -> object:
        for name in names:
            place = folder / "data" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                place.mkdir()
            else:
                place.write_bytes(file_bytes(ROW, "PNG"))
        return mtf.read_images(folder / "data", **options)

    return run


def missing(folder: Path) -> object:
    """Decode a file whose name is a slip of another."""
    (folder / "kitten.png").write_bytes(file_bytes(ROW, "PNG"))
    return mtf.Picture(folder / "kiten.png").decode()


def of_pillow(**spoil: Any) -> object:
    """Return an image of Pillow whose file is cut off."""
    from PIL import Image

    data = file_bytes(pixels(64, 64), "PNG")
    return Image.open(io.BytesIO(data[: len(data) // 2]))


def empty_of_pillow() -> object:
    """Return an image of Pillow without a pixel."""
    from PIL import Image

    return Image.new("RGB", (0, 4))


def pipe(folder: Path) -> object:
    """Decode a pipe into which nobody writes."""
    os.mkfifo(folder / "pipe.png")
    return mtf.Picture(folder / "pipe.png").decode()


def box(*values: Any) -> Case:
    """Return a case that makes a box."""
    return lambda folder: mtf.Box(*values)


def augment(**arguments: Any) -> Case:
    """Return a case that describes variants."""
    return lambda folder: mtf.Augment(**arguments)


FLOAT_TIFF = file_bytes(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4), "TIFF")
DEEP_TIFF = file_bytes(np.full((3, 4), 70_000, np.int32), "TIFF")

CASES: dict[str, Case] = {
    # Files.
    "empty file": file(b""),
    "text": file(b"not an image at all"),
    "html": file(b"<!DOCTYPE html><html>404</html>", "cat.jpg"),
    "svg": file(b'<svg xmlns="http://www.w3.org/2000/svg"/>', "a.svg"),
    "postscript": file(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "a.eps"),
    "half a png": cut_off("PNG", 0.5),
    "half a jpeg": cut_off("JPEG", 0.6),
    "half a webp": cut_off("WEBP", 0.5),
    "half a bmp": cut_off("BMP", 0.5),
    "half a gif": cut_off("GIF", 0.5),
    "half a tiff": cut_off("TIFF", 0.5),
    "half a ppm": cut_off("PPM", 0.5),
    "a signature": file(b"\x89PNG\r\n\x1a\n"),
    "no pixels in a png": file(png_header(8, 8)),
    "bomb by its header": file(png_header(10_000, 8_500)),
    "bomb beyond what Pillow opens": file(png_header(60_000, 60_000)),
    "a png of no height": file(png_header(0, 8)),
    "float tiff": file(FLOAT_TIFF, "a.tif"),
    "32-bit tiff": file(DEEP_TIFF, "a.tif"),
    "a damaged png": file(file_bytes(pixels(64, 64), "PNG").replace(b"IDAT", b"IDAX", 1)),
    "no such file": missing,
    "no such folder": lambda folder: mtf.Picture(folder / "none" / "a.png").decode(),
    "a folder": lambda folder: mtf.Picture(folder).decode(),
    "a pipe": pipe,
    "a device": lambda folder: mtf.Picture("/dev/zero").decode(),
    # What is given for a picture.
    "none": source(lambda: None),
    "a number": source(lambda: 7),
    "a list of lists": source(lambda: [[0, 1], [2, 3]]),
    "no path": source(lambda: ""),
    "a NUL in a path": source(lambda: "a\0.png"),
    "floats from 0 to 1": source(lambda: np.zeros((4, 4, 3))),
    "int64 pixels": source(lambda: np.zeros((4, 4, 3), np.int64)),
    "bools": source(lambda: np.zeros((4, 4, 3), bool)),
    "channels first": source(lambda: np.zeros((3, 8, 9), np.uint8)),
    "four channels": source(lambda: np.zeros((8, 9, 4), np.uint8)),
    "one channel": source(lambda: np.zeros((8, 9, 1), np.uint8)),
    "a batch": source(lambda: np.zeros((2, 8, 9, 3), np.uint8)),
    "a line of pixels": source(lambda: np.zeros(8, np.uint8)),
    "no height": source(lambda: np.zeros((0, 4, 3), np.uint8)),
    "no width": source(lambda: np.zeros((4, 0, 3), np.uint8)),
    "too many pixels": source(
        lambda: np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (10_000, 9_000, 3))
    ),
    "half an image of Pillow": source(of_pillow),
    "an empty image of Pillow": source(empty_of_pillow),
    # Rows.
    "floats in a row": row(lambda: (np.zeros((4, 4, 3)), "a")),
    "a text among images": row(lambda: ("a text", "a")),
    "no label beside an image": row(lambda: {"image": "a.png"}),
    "two labels beside an image": row(lambda: {"image": "a.png", "label": 1, "labels": [2]}),
    "label none": row(lambda: (ROW, None)),
    "a dictionary for an image": row(lambda: {"image": {"url": "a"}, "label": 1}),
    "a number for an image": row(lambda: {"image": 3, "label": 1}),
    "images that are numbers": lambda folder: mtf.Examples.from_images([1, 2]),
    "one path for images": lambda folder: mtf.Examples.from_images("a.png"),
    "boxes that are no boxes": row(lambda: {"image": ROW, "boxes": [{"x": 1}]}),
    # Folders and tables.
    "no images in a folder": tree("cat/", label=None),
    "no folder of images": tree(label=None),
    "images beside folders": tree("a.png", "cat/b.png"),
    "a label without an image": tree("cat/a.png", "dog/"),
    "image= of a folder": tree("cat/a.png", image="path"),
    "an unknown label": tree("cat/a.png", "dgo/a.png", label_map={"cat": "c", "dog": "d"}),
    "another suffix": table("t.xlsx", ""),
    "an empty table": table("t.csv", ""),
    "a table without rows": table("t.csv", "image,label\n"),
    "no column of images": table("t.csv", "picture,label\ncat.png,cat\n"),
    "a misspelt column": table("t.csv", "image,label\ncat.png,cat\n", image="imgae"),
    "no column of labels": table("t.csv", "image,lable\ncat.png,cat\n"),
    "an image that is not there": table("t.csv", "image,label\ncta.png,cat\n"),
    "an empty path": table("t.csv", "image,label\n,cat\n"),
    "an empty label": table("t.csv", "image,label\ncat.png,\n"),
    "a field too many": table("t.csv", "image,label\ncat.png,cat,dog\n"),
    "columns of one name": table("t.csv", "image,image\ncat.png,cat\n"),
    "no json": table("t.jsonl", "cat.png"),
    "a number for a path": table("t.jsonl", '{"image": 3, "label": "a"}'),
    "a label that is none": table("t.jsonl", '{"image": "cat.png", "label": true}'),
    # Processors.
    "an unknown processor": config("ViTImageProcesor"),
    "a processor of another kind": config("CLIPImageProcessor"),
    "a number for a processor": config(7),  # type: ignore[arg-type]
    "no processor": raw_config(b"{}"),
    "an unknown key": config(do_thumbnail=True),
    "a misspelt key": config(image_maen=[0.5] * 3),
    "no object": raw_config(b"[1]"),
    "no JSON": raw_config(b"{"),
    "NaN": raw_config(b'{"image_processor_type": "ViTImageProcessor", "rescale_factor": NaN}'),
    "size of no pixels": config(size=0),
    "a giant size": config(size=10**9),
    "size of a text": config(size="224"),
    "size of one side": config(size={"height": 224}),
    "size of three": config(size=[1, 2, 3]),
    "height and width of a ConvNext": config("ConvNextImageProcessor", size=[224, 224]),
    "shortest edge of a DETR": config("DetrImageProcessor", size={"shortest_edge": 800}),
    "max_size of a ViT": config(max_size=1333),
    "a flag that is none": config(do_resize="yes"),
    "a crop of no size": config(do_center_crop=True),
    "an unknown filter": config(resample=9),
    "a filter by name": config(resample="bicubic"),
    "crop_pct of two": config("ConvNextImageProcessor", crop_pct=2),
    "a factor of zero": config(rescale_factor=0),
    "two means": config(image_mean=[0.5, 0.5]),
    "a mean of texts": config(image_mean=["0.5"] * 3),
    "a deviation of zero": config(image_std=[0.5, 0, 0.5]),
    "a model of texts": lambda folder: Processor.published("bert"),
    "a side of a half": lambda folder: Processor.published("vit", 22.5),  # type: ignore[arg-type]
    # Boxes and variants.
    "a box of no width": box("cat", 5, 0, 5, 9),
    "width for right": box("cat", 50, 50, 20, 30),
    "a box of texts": box("cat", "0", 0, 5, 9),
    "a box to infinity": box("cat", 0, 0, float("inf"), 9),
    "a box of nothing": box(None, 0, 0, 5, 9),
    "a crop of a number": augment(crop=0.6),
    "a crop of more than all": augment(crop=(0.6, 1.1)),
    "a crop the other way": augment(crop=(1.0, 0.6)),
    "no variants": augment(variants=0),
    "colour of a text": augment(colour="much"),
}
