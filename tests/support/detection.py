# SPDX-License-Identifier: Apache-2.0
"""Folders of tiny seeded DETRs, and scenes of coloured rectangles whose boxes are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze.families import FAMILIES

from .detr import CONFIG, detr_core
from .tiny_bert import write_json

__all__ = ["SHAPES", "detector", "scenes", "write_coco", "write_detr_folder"]

SHAPES = ("blue", "red")
"""Labels of `scenes`."""

_PROCESSOR = {
    "image_processor_type": "DetrImageProcessor",
    "size": {"shortest_edge": 40, "longest_edge": 64},
}


def write_detr_folder(folder: Path, number: int = 0, **changes: Any) -> Path:
    """Write a seeded model as transformers does, and return the folder."""
    config, family = {**CONFIG, **changes}, FAMILIES["detr"]
    core = detr_core(number, **changes)
    tensors = {
        family.written_name(family.name_of(info.key), config): np.array(core.view(at))
        for at, info in enumerate(core.params())
    }
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors")
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", _PROCESSOR)
    return folder


def scenes(n: int, number: int = 0) -> list[tuple[NDArray[np.uint8], list[mtf.Box]]]:
    """Return n pictures (48, 60, 3) with none to two rectangles each, and their boxes."""
    random = np.random.default_rng(number)
    rows = []
    for at in range(n):
        pixels = random.integers(90, 120, (48, 60, 3)).astype(np.uint8)
        boxes = []
        for _ in range(at % 3):
            left, top = int(random.integers(0, 40)), int(random.integers(0, 30))
            right, bottom = left + int(random.integers(10, 20)), top + int(random.integers(10, 18))
            label = int(random.integers(2))
            pixels[top:bottom, left:right] = (0, 0, 255) if label == 0 else (255, 0, 0)
            boxes.append(mtf.Box(SHAPES[label], left, top, right, bottom))
        rows.append((pixels, boxes))
    return rows


def detector(folder: Path, **settings: Any) -> mtf.MultiTaskModel:
    """Return the model of a folder with a head for `scenes`."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    return model.add_head("shapes", mtf.Detection(SHAPES, **settings))


def write_coco(
    folder: Path, name: str, rows: list[tuple[NDArray[np.uint8], list[mtf.Box]]]
) -> Path:
    """Write pictures into ``folder/name`` and their boxes to ``folder/name.json``, as COCO does."""
    from PIL import Image

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / name).mkdir(parents=True, exist_ok=True)
    for number, (pixels, boxes) in enumerate(rows):
        Image.fromarray(pixels).save(folder / name / f"{number}.png")
        height, width = pixels.shape[:2]
        images.append(
            {"id": number, "file_name": f"{number}.png", "height": height, "width": width}
        )
        annotations += [
            {
                "image_id": number,
                "category_id": SHAPES.index(str(box.label)),
                "bbox": [box.left, box.top, box.width, box.height],
            }
            for box in boxes
        ]
    categories = [{"id": number, "name": shape} for number, shape in enumerate(SHAPES)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    path = folder / f"{name}.json"
    write_json(path, table)
    return path
