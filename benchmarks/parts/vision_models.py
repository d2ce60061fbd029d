"""Vision models with random weights that `bench_vision_peers.py` measures: folder and ONNX graph.

ResNet-50, ViT-B/16, ViT-S/16 and VGG-16 at 224 pixels, and small ones for a trial. Made once by
transformers, VGGs by `vgg_torch.py`, in the benchmarks' cache. Pictures are noise of 8 bits, the
same on every side.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.folder import cache_root, converted

from .vgg_torch import vgg

_VIT = {"image_size": 224, "patch_size": 16}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "resnet-50": ("resnet", {}),
    "vit-b": ("vit", {**_VIT}),
    "vit-s": (
        "vit",
        {**_VIT, "hidden_size": 384, "num_attention_heads": 6, "intermediate_size": 1536},
    ),
    "vgg-16": (
        "vgg",
        {
            "depths": [2, 2, 3, 3, 3],
            "hidden_sizes": [64, 128, 256, 512, 512],
            "classifier_sizes": [4096, 4096],
            "pooled_size": 7,
            "dropout": 0.0,
        },
    ),
    "tiny-vgg": (
        "vgg",
        {
            "depths": [1, 1],
            "hidden_sizes": [16, 32],
            "classifier_sizes": [40, 30],
            "pooled_size": 4,
            "dropout": 0.0,
        },
    ),
    "tiny-resnet": (
        "resnet",
        {"embedding_size": 16, "hidden_sizes": [32, 64], "depths": [1, 1], "layer_type": "basic"},
    ),
    "tiny-vit": (
        "vit",
        {
            "image_size": 32,
            "patch_size": 8,
            "hidden_size": 48,
            "num_attention_heads": 4,
            "intermediate_size": 96,
            "num_hidden_layers": 2,
        },
    ),
}
"""By name: ``model_type``, and arguments of its configuration."""

TINY = ("tiny-resnet", "tiny-vit", "tiny-vgg")
CONVOLUTIONS = ("resnet", "vgg")
"""What has convolutions, by ``model_type``."""

SIDES = dict.fromkeys(TINY, 32)
PIXELS = "pixels"
WEIGHTS = "model.safetensors"
HALF = np.float32(0.5)


def side_of(name: str) -> int:
    """Return height and width of the pictures of a model."""
    return SIDES.get(name, 224)


def pooling_of(name: str) -> str:
    """Return how its heads read it: class token, mean over the last grid, a VGG's wide layers."""
    return {"resnet": "mean", "vgg": "pooler"}.get(MODELS[name][0], "cls")


def folder_of(name: str) -> Path:
    """Return the folder of a model, which is made when it is not there yet."""
    folder = cache_root() / "vision" / name
    if (folder / "preprocessor_config.json").is_file():
        return folder
    import torch
    from safetensors.torch import save_model
    from transformers import AutoConfig, AutoModel

    torch.manual_seed(0)
    model_type, more = MODELS[name]
    if model_type == "vgg":
        folder.mkdir(parents=True, exist_ok=True)
        config = {"model_type": model_type, **more}
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        save_model(vgg(more), str(folder / WEIGHTS))
    else:
        options = {} if model_type == "resnet" else {"add_pooling_layer": False}
        theirs = AutoConfig.for_model(model_type, **more)
        AutoModel.from_config(theirs, **options).save_pretrained(folder)
    processor = {
        "image_processor_type": "ViTImageProcessor",
        "do_resize": False,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def pictures(name: str, batch: int) -> NDArray[np.uint8]:
    """Return (batch, side, side, 3) pixels."""
    side = side_of(name)
    return np.random.default_rng(batch).integers(0, 256, (batch, side, side, 3), dtype=np.uint8)


def planes(name: str, batch: int) -> NDArray[np.float32]:
    """Return the same pictures as all peers read them, prepared, (batch, 3, side, side)."""
    scaled = (pictures(name, batch) / 255).astype(np.float32)
    return np.ascontiguousarray(((scaled - HALF) / HALF).transpose(0, 3, 1, 2))


def torch_model(name: str, eager: bool = False) -> Any:
    """Return the peers' model, which gives pooled vectors through `torch_pooled`."""
    import torch
    from safetensors.torch import load_model
    from transformers import AutoModel

    if MODELS[name][0] == "vgg":
        made = vgg(MODELS[name][1])
        load_model(made, str(folder_of(name) / WEIGHTS))
        return made

    more: dict[str, Any] = {"attn_implementation": "eager"} if eager else {}
    if MODELS[name][0] != "resnet":
        more["add_pooling_layer"] = False
    return AutoModel.from_pretrained(folder_of(name), dtype=torch.float32, **more)


def torch_pooled(name: str, model: Any, pixels: Any) -> Any:
    """Return one vector a picture."""
    if MODELS[name][0] == "vgg":
        return model(pixels)
    found = model(pixel_values=pixels)
    if MODELS[name][0] == "resnet":
        return found.pooler_output.flatten(1)
    return found.last_hidden_state[:, 0]


def onnx_file(name: str) -> Path:
    """Return the exported graph of a model, any number of pictures."""
    made = converted(
        f"onnx-{name}", ("onnx", "torch"), folder_of(name), lambda to: _export(name, to)
    )
    return made / "m.onnx"


def _export(name: str, target: Path) -> None:
    import torch

    class Pooled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # Eager attention exports to the pattern that the optimizers of both runtimes know.
            self.model = torch_model(name, eager=MODELS[name][0] not in CONVOLUTIONS)

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch_pooled(name, self.model, pixels)

    with warnings.catch_warnings():
        # The exporter's notes about the tracing that is asked for here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Pooled().eval(),
            (torch.from_numpy(planes(name, 2)),),
            str(target / "m.onnx"),
            input_names=[PIXELS],
            output_names=["pooled"],
            dynamic_axes={PIXELS: {0: "batch"}, "pooled": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
