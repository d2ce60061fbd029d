# SPDX-License-Identifier: Apache-2.0
"""Tiny ResNets: straight on the core, and in folders with a head for colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads

from .vision import seed
from .vision_folders import COLOURS

__all__ = [
    "CONFIG",
    "STATISTICS",
    "residual_core",
    "residual_model",
    "write_residual_folder",
]

CONFIG: dict[str, Any] = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 12, 16],
    "depths": [1, 2, 1],
    "layer_type": "basic",
    "downsample_in_bottleneck": False,
    "downsample_in_first_stage": False,
    "hidden_act": "relu",
    "num_channels": 3,
}

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Ends of the keys of what batch norms count."""


def residual_core(batch_norm: str = "stored", **changes: Any) -> _core.Model:
    """Return a seeded backbone, its variances above zero."""
    threads.initialize()
    config = {**CONFIG, **changes, "batch_norm": batch_norm}
    core = _core.Model(core_config(FAMILIES["resnet"], config, "config.json"))
    seed(core, scale=0.3)
    for index, info in enumerate(core.params()):
        if info.key.endswith("running_var"):
            core.set_param(index, np.abs(core.view(index)) + np.float32(0.5))
        elif info.key.endswith("num_batches_tracked"):
            core.set_param(index, np.array([7], np.float32))
    return core


def write_residual_folder(folder: Path, **changes: Any) -> Path:
    """Write a seeded ResNet as the hub has it, counts at 7; return where."""
    core = residual_core("batch", **changes)
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
    }
    for name in tensors:
        if name.endswith(STATISTICS[2]):
            tensors[name] = np.array(7, np.int64)
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({**CONFIG, **changes}), "utf-8")
    processor = {
        "image_processor_type": "ConvNextImageProcessor",
        "size": {"shortest_edge": 24},
        "crop_pct": 1.0,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def residual_model(folder: Path, batch_norm: str | None = "batch") -> mtf.MultiTaskModel:
    """Return the model of a folder with a head for colours."""
    model = mtf.MultiTaskModel.from_pretrained(folder, batch_norm=batch_norm)
    return model.add_head("colour", mtf.SequenceClassification(list(COLOURS), dropout=0.0))
