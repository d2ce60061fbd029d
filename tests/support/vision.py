# SPDX-License-Identifier: Apache-2.0
"""Tiny vision transformers straight on the core: configurations, seeded weights, batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.inputs.image_encoder import patches
from mtfreeze.inputs.row_layout import RowLayout, starts
from mtfreeze.runtime import threads
from support.tiny_bert import write_json

__all__ = [
    "CASES",
    "PATCH",
    "SMALL_MOBILE",
    "SMALL_VGG",
    "core_of",
    "image_batch",
    "images",
    "seed",
    "write_vision",
]

PATCH = 4

SMALL_VGG: dict[str, Any] = {
    "model_type": "vgg",
    "depths": [1, 2],
    "hidden_sizes": [5, 9],
    "classifier_sizes": [12, 11],
    "pooled_size": 7,
}
SMALL_MOBILE: dict[str, Any] = {
    "depth_multiplier": 0.25,
    "depth_divisible_by": 4,
    "min_depth": 4,
    "expand_ratio": 2.0,
    "finegrained_output": False,
}
"""Of ``config.json``, but its ``model_type``."""

_COMMON: dict[str, Any] = {
    "attention_probs_dropout_prob": 0.0,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.0,
    "hidden_size": 24,
    "image_size": 20,
    "layer_norm_eps": 1e-6,
    "num_attention_heads": 3,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": PATCH,
    "qkv_bias": True,
}
_PROCESSOR: dict[str, Any] = {
    "image_processor_type": "ViTImageProcessor",
    "do_resize": True,
    "size": {"height": 20, "width": 20},
    "resample": 2,
    "do_rescale": True,
    "rescale_factor": 1 / 255,
    "do_normalize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_std": [0.5, 0.5, 0.5],
}
"""``preprocessor_config.json`` for the grid of the table of positions."""

_VIT = {**_COMMON, "intermediate_size": 40}

CASES: dict[str, dict[str, Any]] = {
    "vit": {**_VIT, "model_type": "vit", "pooler_output_size": 16},
    "vit without biases": {**_VIT, "model_type": "vit", "qkv_bias": False, "hidden_act": "relu"},
    "deit": {**_VIT, "model_type": "deit"},
    "dinov2": {**_COMMON, "model_type": "dinov2", "mlp_ratio": 2},
    "dinov2 gated": {**_COMMON, "model_type": "dinov2", "use_swiglu_ffn": True},
    "dinov2_with_registers": {
        **_COMMON,
        "model_type": "dinov2_with_registers",
        "num_register_tokens": 3,
        "mlp_ratio": 2,
    },
}
"""Keys of ``config.json`` by name."""


def core_of(config: Mapping[str, Any], pooling: str = "cls", **more: Any) -> _core.Model:
    """Return the backbone that a configuration describes, weights zero."""
    threads.initialize()
    family = FAMILIES[config["model_type"]]
    return _core.Model({**core_config(family, config, "config.json"), "pooling": pooling, **more})


def seed(model: _core.Model, number: int = 0, scale: float = 0.1) -> None:
    """Give every parameter seeded values, factors around one."""
    random = np.random.default_rng(number)
    for index, info in enumerate(model.params()):
        values = scale * random.standard_normal(info.shape)
        if "norm" in info.key.removesuffix(".bias") and info.key.endswith(".weight"):
            values += 1
        model.set_param(index, values.astype(np.float32))


def images(sizes: Sequence[tuple[int, int]], number: int = 0) -> list[NDArray[np.float32]]:
    """Return (H, W, 3) images of these heights and widths, prepared."""
    random = np.random.default_rng(number)
    return [random.normal(0, 1, (*size, 3)).astype(np.float32) for size in sizes]


def image_batch(
    model: _core.Model, pictures: Sequence[NDArray[np.float32]], side: int = PATCH
) -> dict[str, Any]:
    """Return the batch of these images (H, W, 3), cut into squares, in the form of the core."""
    heights = [one.shape[0] // side for one in pictures]
    widths = [one.shape[1] // side for one in pictures]
    grids = RowLayout.of(model).grids(heights, widths)
    return {
        "inputs": {"pixels": np.concatenate([patches(one, side) for one in pictures])},
        "offsets": {name: starts(rows) for name, (rows, _) in grids.items()},
        "widths": {name: width for name, (_, width) in grids.items() if width is not None},
    }


def grid_batch(model: _core.Model, pictures: Sequence[NDArray[np.float32]]) -> dict[str, Any]:
    """Return the same for a network that reads pixels."""
    return image_batch(model, pictures, 1)


def write_vision(folder: Path, name: str, number: int = 0, **changes: Any) -> Path:
    """Write a seeded model, with the pooler where the family has one, and return the folder."""
    from safetensors.numpy import save_file

    config = {**CASES[name], **changes}
    core = core_of(config, "pooler" if FAMILIES[config["model_type"]].pooler else "cls")
    seed(core, number)
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", _PROCESSOR)
    save_file(tensors, str(folder / "model.safetensors"))
    return folder
