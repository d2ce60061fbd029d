# SPDX-License-Identifier: Apache-2.0
"""Heads whose layers nobody chooses: they have none, or those of the published model."""

from __future__ import annotations

from dataclasses import dataclass, field

from .kind import HeadSpec

__all__ = ["LayerlessHead"]


@dataclass(frozen=True)
class LayerlessHead(HeadSpec):
    """Common to heads that take no arguments for layers."""

    hidden: tuple[int, ...] = field(default=(), init=False)
    dropout: float = field(default=0.0, init=False)
    activation: str = field(default="none", init=False)
    norm_eps: float | None = field(default=None, init=False)
    bias: bool = field(default=True, init=False)
    hidden_bias: bool = field(default=True, init=False)
    norm_bias: bool = field(default=True, init=False)
