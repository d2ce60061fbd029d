#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Make scenes whose boxes are known, and a small random DETR to find things in them.

A scene is a part of one of scikit-learn's photographs (CC-BY 2.0, by their authors there) with one
to three shapes painted on it: discs, squares and triangles of any colour, mostly apart. Written
they are PNG files with a COCO file beside them, which `mtfreeze.read_coco` reads.

The model is what ``transformers`` calls DetrForObjectDetection, without its head: a residual
network of three stages and a transformer of one encoder and two decoder layers, 0.3 M values drawn
from a seed. It has learned nothing; a head and the transformer can learn the scenes by heart while
its residual network stays as it was drawn.

    python tools/make_scenes.py FOLDER [--scenes 20] [--seed 0]

writes FOLDER/scenes, FOLDER/scenes.json and FOLDER/detr.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["SHAPES", "SIZE", "scenes", "write_detr", "write_scenes"]

SHAPES = ("disc", "square", "triangle")
SIZE = 96, 128
"""Height and width of a scene."""

_LEAST, _MOST = 22, 44
"""Sides of shapes in pixels."""

Uint8 = NDArray[np.uint8]
Scene = tuple[Uint8, list[tuple[str, int, int, int, int]]]
"""Pixels (96, 128, 3), and name, left, top, right and bottom of what is on them."""


def scenes(n: int, seed: int = 0) -> list[Scene]:
    """Draw `n` scenes."""
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images().images
    random = np.random.default_rng(seed)
    return [_scene(photographs[at % len(photographs)], random) for at in range(n)]


def _scene(photograph: Uint8, random: np.random.Generator) -> Scene:
    height, width = SIZE
    top = int(random.integers(photograph.shape[0] - 2 * height))
    left = int(random.integers(photograph.shape[1] - 2 * width))
    # Every other pixel: more of the photograph is to be seen.
    pixels = photograph[top : top + 2 * height : 2, left : left + 2 * width : 2].copy()
    boxes: list[tuple[str, int, int, int, int]] = []
    for _ in range(int(random.integers(1, 4))):
        side, name = int(random.integers(_LEAST, _MOST)), SHAPES[int(random.integers(3))]
        for _ in range(20):  # a place that is mostly free
            x, y = int(random.integers(width - side)), int(random.integers(height - side))
            box = name, x, y, x + side, y + side
            if not any(_overlap(box, other) for other in boxes):
                colour = random.integers(0, 256, 3)
                pixels[y : y + side, x : x + side][_shape(name, side)] = colour
                boxes.append(box)
                break
    return pixels, boxes


def _overlap(one: tuple[str, int, int, int, int], other: tuple[str, int, int, int, int]) -> bool:
    _, x0, y0, x1, y1 = one
    _, left, top, right, bottom = other
    return x0 < right and left < x1 and y0 < bottom and top < y1


def _shape(name: str, side: int) -> NDArray[np.bool_]:
    """Return which pixels of a square belong to a shape that touches all of its sides."""
    y, x = np.mgrid[0:side, 0:side] + 0.5
    if name == "disc":
        return np.asarray((x - side / 2) ** 2 + (y - side / 2) ** 2 <= (side / 2) ** 2)
    if name == "triangle":
        return np.asarray(np.abs(x - side / 2) <= y / 2)
    return np.ones((side, side), np.bool_)


def write_scenes(folder: Path, n: int, seed: int = 0) -> Path:
    """Write scenes into ``folder/scenes`` and what is on them to ``folder/scenes.json``."""
    from PIL import Image

    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    (folder / "scenes").mkdir(parents=True, exist_ok=True)
    for number, (pixels, boxes) in enumerate(scenes(n, seed)):
        name = f"{number:03}.png"
        Image.fromarray(pixels).save(folder / "scenes" / name)
        images.append({"id": number, "file_name": name, "height": SIZE[0], "width": SIZE[1]})
        for label, left, top, right, bottom in boxes:
            box = [left, top, right - left, bottom - top]
            of = {"id": len(annotations), "image_id": number, "category_id": SHAPES.index(label)}
            annotations.append({**of, "bbox": box, "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": number, "name": name} for number, name in enumerate(SHAPES)]
    table = {"images": images, "annotations": annotations, "categories": categories}
    place = folder / "scenes.json"
    place.write_text(json.dumps(table), "utf-8")
    return place


# ---- the model -----------------------------------------------------------------------------------

_STAGES = (24, 48, 96)
_WIDTH, _FEED, _HEADS, _ENCODER, _DECODER, _QUERIES = 64, 128, 4, 1, 2, 8
_BODY = "model.backbone.conv_encoder.model."


def write_detr(folder: Path, seed: int = 0) -> Path:
    """Write the model, drawn from a seed, as transformers would."""
    from safetensors.numpy import save_file

    random = np.random.default_rng(seed)
    tensors: dict[str, NDArray[np.float32]] = {}

    def normal(name: str, shape: tuple[int, ...], scale: float) -> None:
        tensors[name] = (scale * random.standard_normal(shape)).astype(np.float32)

    def fixed(name: str, n: int, value: float = 0.0) -> None:
        tensors[name] = np.full(n, value, np.float32)

    def convolution(name: str, shape: tuple[int, int, int, int]) -> None:
        normal(f"{name}.convolution.weight", shape, math.sqrt(2 / math.prod(shape[1:])))
        norm = f"{name}.normalization"
        for part, value in (("weight", 1), ("bias", 0), ("running_mean", 0), ("running_var", 1)):
            fixed(f"{norm}.{part}", shape[0], value)

    def linear(name: str, n_out: int, n_in: int) -> None:
        normal(f"{name}.weight", (n_out, n_in), math.sqrt(2 / (n_in + n_out)))
        fixed(f"{name}.bias", n_out)

    def norm(name: str) -> None:
        fixed(f"{name}.weight", _WIDTH, 1.0)
        fixed(f"{name}.bias", _WIDTH)

    convolution(f"{_BODY}embedder.embedder", (_STAGES[0], 3, 7, 7))
    below = _STAGES[0]
    for at, width in enumerate(_STAGES):
        block = f"{_BODY}encoder.stages.{at}.layers.0"
        convolution(f"{block}.layer.0", (width, below, 3, 3))
        convolution(f"{block}.layer.1", (width, width, 3, 3))
        if at:
            convolution(f"{block}.shortcut", (width, below, 1, 1))
        below = width
    normal("model.input_projection.weight", (_WIDTH, below, 1, 1), math.sqrt(1 / below))
    fixed("model.input_projection.bias", _WIDTH)
    normal("model.query_position_embeddings.weight", (_QUERIES, _WIDTH), 1.0)
    for stack, n in (("encoder", _ENCODER), ("decoder", _DECODER)):
        for at in range(n):
            layer = f"model.{stack}.layers.{at}"
            attentions = ("self_attn", "encoder_attn") if stack == "decoder" else ("self_attn",)
            for name in attentions:
                for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                    linear(f"{layer}.{name}.{part}", _WIDTH, _WIDTH)
                norm(f"{layer}.{name}_layer_norm")
            linear(f"{layer}.fc1", _FEED, _WIDTH)
            linear(f"{layer}.fc2", _WIDTH, _FEED)
            norm(f"{layer}.final_layer_norm")
    norm("model.decoder.layernorm")
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, str(folder / "model.safetensors"))
    for name, values in (("config.json", _config()), ("preprocessor_config.json", _processor())):
        (folder / name).write_text(json.dumps(values, indent=2), "utf-8")
    return folder


def _config() -> dict[str, Any]:
    network = {
        "model_type": "resnet",
        "embedding_size": _STAGES[0],
        "hidden_sizes": list(_STAGES),
        "depths": [1] * len(_STAGES),
        "layer_type": "basic",
        "out_features": [f"stage{len(_STAGES)}"],
    }
    return {
        "model_type": "detr",
        "architectures": ["DetrModel"],
        "backbone_config": network,
        "use_timm_backbone": False,
        "d_model": _WIDTH,
        "num_queries": _QUERIES,
        "encoder_layers": _ENCODER,
        "encoder_attention_heads": _HEADS,
        "encoder_ffn_dim": _FEED,
        "decoder_layers": _DECODER,
        "decoder_attention_heads": _HEADS,
        "decoder_ffn_dim": _FEED,
        "dropout": 0.0,
    }


def _processor() -> dict[str, Any]:
    size = {"shortest_edge": min(SIZE), "longest_edge": max(SIZE)}
    return {"image_processor_type": "DetrImageProcessor", "size": size}


def main() -> None:
    """Write both."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n", maxsplit=1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print(write_scenes(options.folder, options.scenes, options.seed))
    print(write_detr(options.folder / "detr", options.seed))


if __name__ == "__main__":
    main()
