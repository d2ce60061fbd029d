"""A VGG of plain torch modules by the configuration of ours: torchvision's network and its names.

torchvision itself is not asked for: its wheels load beside torch's build for GPUs alone.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def vgg(config: Mapping[str, Any]) -> Any:
    """Return (batch, 3, H, W) -> what the wide layers give; weights are drawn by torch."""
    from torch import nn

    features: list[Any] = []
    inputs = 3
    for depth, width in zip(config["depths"], config["hidden_sizes"], strict=True):
        for _ in range(depth):
            features += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
            nn.init.kaiming_normal_(features[-2].weight, nonlinearity="relu")
            inputs = width
        features.append(nn.MaxPool2d(2))
    wide: list[Any] = []
    inputs *= config["pooled_size"] ** 2
    for width in config["classifier_sizes"]:
        wide += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(config["dropout"])]
        inputs = width
    made = nn.Sequential()
    made.add_module("features", nn.Sequential(*features))
    made.add_module("avgpool", nn.AdaptiveAvgPool2d(config["pooled_size"]))
    made.add_module("flatten", nn.Flatten())
    made.add_module("classifier", nn.Sequential(*wide))
    return made
