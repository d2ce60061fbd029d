"""Both sides of `bench_adapters.py`: LoRA on a model of base size, ours and PEFT's.

The base is frozen on both sides, and without dropout, so that both compute the same. PyTorch's side
imports no mtfreeze, so that memory can be told apart.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from typing import Any

from .family_models import folder_of
from .family_sides import CLOCKS, LABELS, RATE, Batches, OurFamily, TorchFamily


class OurLora(OurFamily):
    """mtfreeze with LoRA of rank 8 at query and value; `first`: in the layers from there on."""

    def __init__(self, first: int, layers: int, batches: Batches, threads: int, clock: str) -> None:
        super().__init__("bert", layers, batches, threads, "fp32", clock)
        self.model.freeze("backbone").add_lora(
            rank=8, layers=range(first, self.model.index.n_layers)
        )
        self.rows = [(text, LABELS[i % 2]) for batch in batches for i, text in enumerate(batch)]
        self.size = len(batches[0])

    def epoch(self) -> float:
        """Return the seconds of an epoch whose prefix is stored: of the later ones of a run."""
        import mtfreeze as mtf

        tasks = {"classifier": mtf.Task(train=self.rows)}
        seconds = []
        for epochs in (1, 3):
            start = self.clock()
            mtf.fit(
                self.model,
                tasks,
                epochs=epochs,
                batch_size=self.size,
                learning_rate=RATE,
                cache="memory",
                progress=False,
            )
            seconds.append(self.clock() - start)
        return (seconds[1] - seconds[0]) / 2


class PeftLora(TorchFamily):
    """PEFT with the same adapter."""

    def __init__(self, first: int, layers: int, batches: Batches, threads: int, clock: str) -> None:
        import peft
        import torch
        from transformers import AutoModel

        super().__init__("bert", layers, batches, threads, "fp32", clock)
        self.clock = CLOCKS[clock]
        base: Any = AutoModel.from_pretrained(
            folder_of("bert", layers),
            dtype=torch.float32,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        config = peft.LoraConfig(
            r=8,
            lora_alpha=16,
            target_modules=["query", "value"],
            layers_to_transform=list(range(first, base.config.num_hidden_layers)),
        )
        self.model = peft.get_peft_model(base, config)
        adapter = [p for p in self.model.parameters() if p.requires_grad]
        self.trained = [*adapter, *self.head.parameters()]
