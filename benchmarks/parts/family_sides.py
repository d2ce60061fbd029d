"""Both sides of `bench_families.py`, each in a process of its own (see `workers.py`).

A side holds one model with a classifier over the mean of its tokens, and batches of texts whose
token ids are made before the clock starts. PyTorch's side imports no mtfreeze, so that memory can
be told apart. A third side is the fp32 roof, measured in turn with the two. The clock is the wall's
or the process's: seconds that its threads ran, which other work on the machine disturbs less.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import time
from typing import Any

from . import machine
from .family_models import folder_of
from .memory import peak_bytes

RATE = 1e-5
LABELS = ["no", "yes"]
Batches = list[list[str]]
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


class Roof:
    """The fp32 product of two (2048, 2048) matrices."""

    def __init__(self, threads: int, clock: str) -> None:
        self.threads, self.clock = threads, CLOCKS[clock]

    def rate(self) -> float:
        """Return the better of two measurements, in GFLOP/s."""
        return machine.measure_fp32(self.threads, repeats=2, clock=self.clock)


class OurFamily:
    """mtfreeze with a model of a family."""

    def __init__(
        self,
        model_type: str,
        layers: int,
        batches: Batches,
        threads: int,
        precision: str,
        clock: str,
    ) -> None:
        import mtfreeze as mtf
        from mtfreeze.steps.by_hand import make_batch

        mtf.set_threads(threads)
        self.clock = CLOCKS[clock]
        self.model = mtf.MultiTaskModel.from_pretrained(
            folder_of(model_type, layers), pooling="mean"
        )
        self.model.add_head("classifier", mtf.SequenceClassification(labels=LABELS))
        encoded = [self.model.encoder.encode_texts(batch) for batch in batches]
        self.lengths = [one.lengths.tolist() for one in encoded]
        self.ready = [one.pack(range(len(one))).for_core() for one in encoded]
        rows = [[(text, LABELS[i % 2]) for i, text in enumerate(batch)] for batch in batches]
        self.steps = [make_batch(self.model, {"classifier": batch}) for batch in rows]
        self.precision = precision

    def tokens(self) -> int:
        """Return the tokens of all batches."""
        return sum(map(sum, self.lengths))

    def flops(self, training: bool) -> float:
        """Return the floating-point operations of all batches."""
        from mtfreeze.pricing.plan_prices import PlanPrices, sizes_of

        prices = PlanPrices(self.model._core)
        output = "classifier" if training else "pooled"
        return sum(
            prices.flops([output], sizes_of(lengths), training=training).total
            for lengths in self.lengths
        )

    def forward(self) -> float:
        """Compute the pooled vectors of all batches and return the seconds."""
        from peers.ours import CODES

        options: Any = {} if self.precision == "fp32" else {"precision": CODES[self.precision]}
        start = self.clock()
        for batch in self.ready:
            self.model._core.forward(batch, ["pooled"], **options)
        return self.clock() - start

    def step(self) -> float:
        """Take a step a batch and return the seconds."""
        start = self.clock()
        for batch in self.steps:
            self.model.step(batch, learning_rate=RATE, precision=self.precision)
        return self.clock() - start

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()


class TorchFamily:
    """PyTorch with the same model: batches padded to their longest text."""

    def __init__(
        self,
        model_type: str,
        layers: int,
        batches: Batches,
        threads: int,
        precision: str,
        clock: str,
    ) -> None:
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModel

        torch.set_num_threads(threads)
        self.clock = CLOCKS[clock]
        folder = folder_of(model_type, layers)
        # Some families have no fused attention in transformers; those keep the one they have.
        self.model: Any = AutoModel.from_pretrained(folder, dtype=torch.float32)
        self.head = torch.nn.Linear(self.model.config.hidden_size, len(LABELS))
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(512)
        self.n_tokens, self.ready = 0, []
        for batch in batches:
            tokenizer.no_padding()
            self.n_tokens += sum(len(row.ids) for row in tokenizer.encode_batch(batch))
            tokenizer.enable_padding()
            rows = tokenizer.encode_batch(batch)
            ids = torch.tensor([row.ids for row in rows])
            mask = torch.tensor([row.attention_mask for row in rows])
            self.ready.append((ids, mask, torch.arange(len(batch)) % 2))
        self.bf16 = precision == "bf16"
        self.trained = [*self.model.parameters(), *self.head.parameters()]
        self.optimizer: Any = None

    def _pooled(self, ids: Any, mask: Any) -> Any:
        import torch

        with torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            hidden = self.model(input_ids=ids, attention_mask=mask)[0]
            weight = mask.unsqueeze(-1).to(hidden.dtype)
            return (hidden * weight).sum(1) / weight.sum(1)

    def tokens(self) -> int:
        """Return the tokens of all batches, without padding."""
        return self.n_tokens

    def forward(self) -> float:
        """Compute the pooled vectors of all batches and return the seconds."""
        import torch

        self.model.eval()
        start = self.clock()
        with torch.no_grad():
            for ids, mask, _ in self.ready:
                self._pooled(ids, mask)
        return self.clock() - start

    def step(self) -> float:
        """Take a step a batch and return the seconds."""
        import torch

        self.model.train()
        if self.optimizer is None:
            self.optimizer = torch.optim.AdamW(self.trained, lr=RATE)
        start = self.clock()
        for ids, mask, labels in self.ready:
            self.optimizer.zero_grad(set_to_none=True)
            logits = self.head(self._pooled(ids, mask).float())
            torch.nn.functional.cross_entropy(logits, labels).backward()
            torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
            self.optimizer.step()
        return self.clock() - start

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()
