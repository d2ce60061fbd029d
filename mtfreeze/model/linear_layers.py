# SPDX-License-Identifier: Apache-2.0
"""The linear layers of a backbone by their paths: where adapters can stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .state import ModelState

__all__ = ["linear_paths"]


def linear_paths(model: ModelState) -> list[str]:
    """Return the paths of the linear layers of the backbone, in its order.

    Examples
    --------
    >>> linear_paths(model)[0]
    'encoder.layer.0.attention.self.query'
    """
    family = model.index.family
    return [
        family.name_of(info.key).removesuffix(".weight")
        for info in model._core.params()
        if info.in_products
        and len(info.shape) == 2  # not a convolution
        and family.owns(info.key)
        and info.key.endswith(".weight")
    ]
