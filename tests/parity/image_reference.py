# SPDX-License-Identifier: Apache-2.0
"""What parity tests of convolution networks share: a VGG of torch, batches, differences."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtfreeze import _core

__all__ = ["check_prices", "difference", "rows", "vgg"]


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


def rows(state: Any) -> Any:
    """Return (1, C, H, W) as rows (H W, C)."""
    return state[0].permute(1, 2, 0).reshape(-1, state.shape[1])


def difference(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    """Return the largest difference relative to the largest value."""
    assert found.shape == wanted.shape
    return float(np.abs(found - wanted).max() / max(float(np.abs(wanted).max()), 1e-3))


def check_prices(core: Any, head: str, batch: dict[str, Any], **options: Any) -> None:
    """Check that a plan's FLOPs of a training step are those that the step counts."""
    labels = np.zeros(len(batch["widths"]["pixels"]), np.int32)
    budget = 1 << 40
    price = core.plan(
        [head],
        training=True,
        offsets=batch["offsets"],
        widths=batch["widths"],
        token_budget=budget,
    )
    _core.count_flops(True)
    try:
        core.train_gradients(batch, [(head, labels, 1.0)], token_budget=budget, **options)
        counted = _core.flops()
    finally:
        _core.count_flops(False)
    assert (counted.forward, counted.dx, counted.dw) == (
        price.forward_flops,
        price.dx_flops,
        price.dw_flops,
    )
