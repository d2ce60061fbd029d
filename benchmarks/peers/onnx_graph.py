"""MiniLM as an ONNX graph, mean pooling and normalization inside: for ONNX Runtime and OpenVINO.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import warnings
from pathlib import Path

from .folder import converted

INPUTS = ["input_ids", "attention_mask"]


def onnx_file(source: Path) -> Path:
    """Return the exported graph of a checkpoint."""
    return converted("onnx", ("onnx", "torch"), source, lambda to: _export(source, to)) / "m.onnx"


def _export(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModel

    class Embedder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            # Eager attention exports to the pattern that the optimizers of both runtimes know.
            self.backbone = AutoModel.from_pretrained(
                source, attn_implementation="eager", dtype=torch.float32, add_pooling_layer=False
            )

        def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            hidden = self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state
            weight = mask.unsqueeze(-1).to(hidden.dtype)
            pooled = (hidden * weight).sum(1) / weight.sum(1)
            return torch.nn.functional.normalize(pooled, dim=-1)

    ids = torch.arange(1000, 1022).reshape(2, 11)
    mask = torch.ones_like(ids)
    mask[1, 7:] = 0
    axes = {0: "batch", 1: "length"}
    with warnings.catch_warnings():
        # The exporter's notes about the tracing that is asked for here.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Embedder().eval(),
            (ids, mask),
            str(target / "m.onnx"),
            input_names=INPUTS,
            output_names=["embedding"],
            dynamic_axes={**dict.fromkeys(INPUTS, axes), "embedding": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
