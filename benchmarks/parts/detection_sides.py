"""DETR at batch 1 with its residual network frozen: the sides of `bench_vision_peers.py`.

One random `DetrForObjectDetection` over ResNet-50, one picture of 800 x 800 pixels with twelve
boxes. Both sides train everything but the residual network, with the loss of the last layer of the
decoder alone, which is what transformers computes by itself. No dropout: both begin with the same
loss. PyTorch computes the residual network in every step, without gradients; mtfreeze reads what it
stored of it.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from peers.folder import cache_root

from .memory import peak_bytes
from .vision_sides import CLOCKS, DECAY, RATE, WHOLE

N_LABELS, N_BOXES = 91, 12
MODELS: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "detr-r50": (800, {}, {}),
    "tiny-detr": (
        64,
        {"embedding_size": 16, "hidden_sizes": [16, 32], "depths": [1, 1], "layer_type": "basic"},
        {
            "d_model": 32,
            "encoder_layers": 1,
            "decoder_layers": 1,
            "encoder_attention_heads": 4,
            "decoder_attention_heads": 4,
            "encoder_ffn_dim": 64,
            "decoder_ffn_dim": 64,
            "num_queries": 15,
        },
    ),
}
"""By name: the side of pictures, keys of the residual network, keys of the detector."""


def folder_of(name: str) -> Path:
    """Return the folder of a detector, which is made when it is not there yet."""
    folder = cache_root() / "vision" / name
    if (folder / "preprocessor_config.json").is_file():
        return folder
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    _, network, more = MODELS[name]
    n_stages = len(network.get("depths", [3, 4, 6, 3]))
    config = DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=ResNetConfig(**network, out_features=[f"stage{n_stages}"]),
        num_labels=N_LABELS,
        dropout=0.0,
        **more,
    )
    torch.manual_seed(0)
    DetrForObjectDetection(config).save_pretrained(folder)
    processor = {
        "image_processor_type": "DetrImageProcessor",
        "do_resize": False,
        "do_pad": False,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
    }
    (folder / "preprocessor_config.json").write_text(json.dumps(processor), "utf-8")
    return folder


def picture(name: str) -> NDArray[np.uint8]:
    """Return (side, side, 3) pixels of noise."""
    side = MODELS[name][0]
    return np.random.default_rng(1).integers(0, 256, (side, side, 3), dtype=np.uint8)


def boxes() -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return labels (n,) and centres, widths and heights (n, 4), shares of the picture."""
    random = np.random.default_rng(2)
    return (
        random.integers(0, N_LABELS, N_BOXES),
        random.uniform(0.2, 0.6, (N_BOXES, 4)).astype(np.float32),
    )


def _name_of(key: str) -> str:
    """Return what transformers calls a tensor of our head."""
    _, kind, rest = key.split(".", 2)
    return (
        f"class_labels_classifier.{rest}" if kind == "labels" else f"bbox_predictor.layers.{rest}"
    )


class Ours:
    """mtfreeze; steps read the last grid of the residual network, or compute it too."""

    def __init__(self, name: str, threads: int, clock: str) -> None:
        from safetensors.numpy import load_file

        import mtfreeze as mtf

        mtf.set_threads(threads)
        self.clock = CLOCKS[clock]
        self.model = mtf.MultiTaskModel.from_pretrained(folder_of(name))
        labels = [f"kind {k}" for k in range(N_LABELS)]
        self.model.add_head("found", mtf.Detection(labels, auxiliary=False))
        core = self.model._core
        theirs = load_file(folder_of(name) / "model.safetensors")
        for position, info in enumerate(core.params()):
            if info.key.startswith("found."):
                core.set_param(position, theirs[_name_of(info.key)])
        self.model.freeze("backbone")
        encoded = self.model.encoder.encode_images([picture(name)])
        self.lengths = encoded.lengths.tolist()
        self.ready: Any = encoded.pack(np.arange(1)).for_core()
        self.top = f"hidden_states.{self.model.index.n_layers}"
        rows = core.forward(self.ready, [self.top])[0]
        self.stored: Any = {**self.ready, "inputs": {}, "features": {self.top: rows}}
        n_queries = int(self.model.config["num_queries"])
        self.targets = np.full((n_queries, 5), -1, np.float32)
        self.targets[:N_BOXES, 0], self.targets[:N_BOXES, 1:] = boxes()
        n_params = len(core.params())
        self.rates = np.full(n_params, RATE), np.full(n_params, DECAY)

    def trained(self) -> int:
        """Return how many parameters train."""
        return sum(view.size for view in self.model.trainable_parameters().values())

    def step(self, stored: bool = True) -> tuple[float, float]:
        """Take an optimizer step; return its seconds and the loss before it."""
        core, begin = self.model._core, self.clock()
        given = self.stored if stored else self.ready
        means, _ = core.train_gradients(given, [("found", self.targets, 1.0)], token_budget=WHOLE)
        core.train_apply(*self.rates)
        return self.clock() - begin, float(means[0])

    def flops(self, stored: bool = True) -> float:
        """Return the floating-point operations of a step."""
        from mtfreeze.pricing.plan_prices import PlanPrices, sizes_of

        features = [self.top] if stored else []
        prices = PlanPrices(self.model._core)
        sizes = sizes_of(self.lengths)
        return float(prices.flops(["found"], sizes, features=features, training=True).total)

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()


class Torch:
    """PyTorch, convolutions in channels_last; the residual network runs in every step."""

    def __init__(self, name: str, threads: int, clock: str) -> None:
        import torch
        from transformers import DetrForObjectDetection

        torch.set_num_threads(threads)
        self.clock = CLOCKS[clock]
        self.model = DetrForObjectDetection.from_pretrained(folder_of(name), dtype=torch.float32)
        self.model.train().to(memory_format=torch.channels_last)
        self.model.requires_grad_(True).model.backbone.requires_grad_(False)
        values = (picture(name) / 255).astype(np.float32)
        pixels = torch.from_numpy((values - np.float32(0.5)) / np.float32(0.5))
        self.pixels = pixels.permute(2, 0, 1)[None].contiguous(memory_format=torch.channels_last)
        labels, where = boxes()
        given = {"class_labels": torch.from_numpy(labels), "boxes": torch.from_numpy(where)}
        self.labels = [given]
        self.parameters = [one for one in self.model.parameters() if one.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=RATE, weight_decay=DECAY)

    def trained(self) -> int:
        """Return how many parameters train."""
        return sum(one.numel() for one in self.parameters)

    def step(self) -> tuple[float, float]:
        """Take an optimizer step; return its seconds and the loss before it."""
        import torch

        begin = self.clock()
        self.optimizer.zero_grad(set_to_none=True)
        loss = self.model(pixel_values=self.pixels, labels=self.labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return self.clock() - begin, float(loss.detach())

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()
