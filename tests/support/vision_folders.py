# SPDX-License-Identifier: Apache-2.0
"""Folders of tiny seeded vision transformers, and small pictures that a head can tell apart."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze.families import FAMILIES

from .vision import CASES, PATCH, core_of, seed

__all__ = [
    "COLOURS",
    "SIDE",
    "coloured",
    "vision_model",
    "write_network_folder",
    "write_resnet_folder",
    "write_vision_folder",
]

COLOURS = ("blue", "green", "red")
"""Labels of `coloured`."""

SIDE = 5 * PATCH


def write_vision_folder(
    folder: Path, name: str = "vit", scale: float = 0.1, **changes: object
) -> Path:
    """Write a configuration of `CASES` with seeded weights, as the hub names them; return where."""
    config = {**CASES[name], **changes}
    folder.mkdir(parents=True)
    core = core_of(config)
    seed(core, scale=scale)
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
    }
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": SIDE, "width": SIDE},
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def write_resnet_folder(folder: Path, **changes: object) -> Path:
    """Write a ResNet of two stages, seeded, its statistics those of what is positive."""
    config = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 12],
        "depths": [1, 2],
        "layer_type": "basic",
        **changes,
    }
    return write_network_folder(folder, config)


def write_network_folder(folder: Path, config: dict[str, Any], **processing: object) -> Path:
    """Write a network over grids, seeded, its statistics those of what is positive."""
    folder.mkdir(parents=True)
    core = core_of(config, FAMILIES[config["model_type"]].pooling)
    seed(core, scale=0.2)
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
    }
    for name, values in tensors.items():
        if name.endswith("running_var"):
            tensors[name] = np.abs(values) + np.float32(0.5)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config), "utf-8")
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "size": {"height": 24, "width": 24},
        **processing,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def coloured(n: int, number: int = 0) -> list[tuple[NDArray[np.uint8], str]]:
    """Return n noisy pictures (24, 30, 3) with the name of the channel that is brighter."""
    random = np.random.default_rng(number)
    rows = []
    for at in range(n):
        pixels = random.integers(0, 160, (24, 30, 3)).astype(np.uint8)
        pixels[..., 2 - at % 3] += 90
        rows.append((pixels, COLOURS[at % 3]))
    return rows


def vision_model(folder: Path, **settings: object) -> mtf.MultiTaskModel:
    """Return the model of a folder with a head for colours."""
    model = mtf.MultiTaskModel.from_pretrained(folder, **settings)  # type: ignore[arg-type]
    return model.add_head("colour", mtf.SequenceClassification(list(COLOURS), dropout=0.0))
