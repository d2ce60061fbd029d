"""PyTorch: fp32 and bf16 autocast, eager (its fused attention) or through `torch.compile`.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from .base import Batch, Engine, padded
from .folder import source_folder


class Embedder(torch.nn.Module):
    """Backbone, mean pooling, normalization."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.backbone = AutoModel.from_pretrained(
            folder, attn_implementation="sdpa", dtype=torch.float32, add_pooling_layer=False
        )

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return (n, width) unit vectors."""
        hidden = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state.float()
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weight).sum(1) / weight.sum(1)
        return torch.nn.functional.normalize(pooled, dim=-1)


class PyTorchEngine(Engine):
    """The model of transformers; two streams are two threads that call it."""

    def __init__(
        self, folder: Path, precision: str, streams: int, threads: int, compiled: bool
    ) -> None:
        super().__init__(folder, streams)
        self.threads, self.bf16 = threads, precision == "bf16"
        torch.set_num_threads(threads)
        # Autocast keeps casts of weights that want a gradient behind a lock, and two threads that
        # compile wait for it and for Python's at once, for ever. A pass uses each cast only once.
        self.model: Any = Embedder(folder).eval().requires_grad_(False)
        if compiled:
            # One graph for every shape; freezing of weights was tried and is not faster here.
            self.model = torch.compile(self.model, dynamic=True)

    def begin_stream(self) -> None:
        # The number of OpenMP threads belongs to the calling thread.
        torch.set_num_threads(self.threads)

    def prepare(self, batch: Batch) -> tuple[torch.Tensor, ...]:
        return tuple(torch.from_numpy(part) for part in padded(batch))

    def embed(self, prepared: Any) -> np.ndarray:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return self.model(*prepared).float().numpy()


def make(precision: str, streams: int, threads: int, folder: str | None) -> PyTorchEngine:
    """Return the eager engine in ``"fp32"`` or ``"bf16"``."""
    return PyTorchEngine(source_folder(folder), precision, streams, threads, False)


def make_compiled(precision: str, streams: int, threads: int, folder: str | None) -> PyTorchEngine:
    """Return the engine through `torch.compile` in ``"fp32"`` or ``"bf16"``."""
    return PyTorchEngine(source_folder(folder), precision, streams, threads, True)
