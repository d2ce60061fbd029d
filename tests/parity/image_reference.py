# SPDX-License-Identifier: Apache-2.0
"""What parity tests of convolution networks share: a VGG of torch, batches, differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtfreeze.inputs.row_layout import RowLayout, starts

__all__ = ["difference", "packed", "rows", "vgg"]


def vgg(torch: Any, config: dict[str, Any]) -> Any:
    """Return torchvision's VGG of a configuration, without its head."""
    nn = torch.nn
    layers: list[Any] = []
    inputs = 3
    for depth, width in zip(config["depths"], config["hidden_sizes"], strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(inputs, width, 3, padding=1))
            layers += [nn.BatchNorm2d(width)] * bool(config.get("use_batch_norm"))
            layers.append(nn.ReLU())
            inputs = width
        layers.append(nn.MaxPool2d(2))
    wide: list[Any] = []
    inputs *= config["pooled_size"] ** 2
    for width in config["classifier_sizes"]:
        wide += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(0.5)]
        inputs = width
    made = nn.Module()
    made.features, made.classifier = nn.Sequential(*layers), nn.Sequential(*wide)
    made.avgpool = nn.AdaptiveAvgPool2d(config["pooled_size"])
    with torch.no_grad():
        for name, values in [*made.named_buffers(), *made.named_parameters()]:
            if name.endswith("running_mean"):
                values.normal_(0, 0.2)
            elif name.endswith("running_var"):
                values.uniform_(0.5, 1.5)
            elif values.is_floating_point() and values.ndim == 1:
                values.add_(torch.randn_like(values) * 0.1)
    return made.eval()


def packed(core: Any, pictures: list[NDArray[np.float32]]) -> dict[str, Any]:
    """Return pictures (H, W, 3) as a batch of the core."""
    heights, widths = [p.shape[0] for p in pictures], [p.shape[1] for p in pictures]
    grids = RowLayout.of(core).grids(heights, widths)
    return {
        "inputs": {"pixels": np.concatenate([p.reshape(-1, 3) for p in pictures])},
        "offsets": {name: starts(count) for name, (count, _) in grids.items()},
        "widths": {name: width for name, (_, width) in grids.items()},
    }


def rows(state: Any) -> Any:
    """Return (1, C, H, W) as rows (H W, C)."""
    return state[0].permute(1, 2, 0).reshape(-1, state.shape[1])


def difference(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Return the largest difference relative to the largest value."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), 1e-3))
