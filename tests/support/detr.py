# SPDX-License-Identifier: Apache-2.0
"""Tiny DETRs straight on the core, and from transformers with the same weights."""

from __future__ import annotations

from typing import Any

import numpy as np

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads

from .vision import seed

__all__ = ["CONFIG", "detr_core", "hugging_face_detr"]

RESNET: dict[str, Any] = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 12, 20],
    "depths": [1, 2, 1],
    "layer_type": "basic",
    "out_features": ["stage3"],
}
CONFIG: dict[str, Any] = {
    "model_type": "detr",
    "d_model": 24,
    "num_queries": 5,
    "encoder_layers": 2,
    "encoder_attention_heads": 3,
    "encoder_ffn_dim": 40,
    "decoder_layers": 3,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 36,
    "dropout": 0.1,
    "backbone_config": RESNET,
    "use_timm_backbone": False,
}
"""``config.json`` of a model whose encoder and decoder differ in every size that may differ."""


def detr_core(number: int = 0, **changes: Any) -> _core.Model:
    """Return a seeded model on the core."""
    threads.initialize()
    core = _core.Model(core_config(FAMILIES["detr"], {**CONFIG, **changes}, "config.json"))
    seed(core, number)
    for index, info in enumerate(core.params()):
        if info.key.endswith("running_var"):
            core.set_param(index, np.abs(core.view(index)) + 0.5)
        elif info.key.startswith("query_position"):
            core.set_param(index, 10 * core.view(index))
    return core


def hugging_face_detr(torch: Any, transformers: Any, **changes: Any) -> Any:
    """Return a DetrForObjectDetection in eval whose norms are not those of a fresh one."""
    torch.manual_seed(3)
    values = {key: value for key, value in {**CONFIG, **changes}.items() if key != "model_type"}
    nested = {key: v for key, v in values.pop("backbone_config").items() if key != "model_type"}
    values["backbone_config"] = transformers.ResNetConfig(**nested)
    config = transformers.DetrConfig(num_labels=4, **values)
    model = transformers.DetrForObjectDetection(config)
    with torch.no_grad():
        for name, value in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("running_mean"):
                value.normal_(0, 0.2)
            elif name.endswith("running_var"):
                value.uniform_(0.5, 1.5)
            elif "norm" in name and value.is_floating_point():
                value.add_(torch.randn_like(value) * 0.2)
            elif name.endswith("bias"):
                value.normal_(0, 0.1)
            elif "query_position" in name:
                value.normal_(0, 1)
    return model.eval()
