"""Both sides of the scaling benchmark: a forward pass or a training step on sequences of a length.

Token ids are random but seeded, since only their number matters for time. Short calls are repeated:
the first ones after a pause pay for threads that sleep and caches that are cold, which is another
cost.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from peers.folder import cache_root, minilm_folder

RATES = {"backbone": 2e-5, "heads": 1e-3}
FIRST_ID, LAST_ID = 1000, 29000
ENOUGH = 0.1
"""Seconds for which short calls are repeated."""


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of a call; of a short one the mean, after as many unmeasured."""
    spent, n = repeated(call)
    if n > 1:
        spent, n = repeated(call)
    return spent / n


def repeated(call: Callable[[], object]) -> tuple[float, int]:
    """Call until enough time has passed; return the seconds and the calls."""
    n, start = 0, time.perf_counter()
    while (spent := time.perf_counter() - start) < ENOUGH:
        call()
        n += 1
    return spent, n


def random_ids(lengths: list[int]) -> list[np.ndarray]:
    """Return int32 token ids of sequences, the same for the same lengths."""
    rng = np.random.default_rng(len(lengths))
    return [rng.integers(FIRST_ID, LAST_ID, n).astype(np.int32) for n in lengths]


def bert_base_folder() -> Path:
    """Return a checkpoint of BERT-base's size with seeded random weights, made on first use."""
    folder = cache_root() / "bert-base-random"
    if not (folder / "model.safetensors").is_file():
        import shutil

        import torch
        from transformers import BertConfig, BertModel

        torch.manual_seed(0)
        BertModel(BertConfig(), add_pooling_layer=False).save_pretrained(folder)
        # The vocabulary is the same.
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            shutil.copy(minilm_folder() / name, folder / name)
    return folder


class OurScaling:
    """mtfreeze, in a process of its own."""

    def __init__(self, folder: str, precision: str, threads: int) -> None:
        import mtfreeze as mtf

        mtf.set_threads(threads)
        self.precision = precision
        self.model = mtf.MultiTaskModel.from_pretrained(folder, pooling="mean", normalize=True)
        self.model.add_head("classifier", mtf.SequenceClassification(labels=["no", "yes"]))

    def threads(self, n: int) -> None:
        """Set the number of threads."""
        import mtfreeze as mtf

        mtf.set_threads(n)

    def forward(self, lengths: list[int]) -> float:
        """Return the seconds of one pass to embeddings."""
        from mtfreeze.inputs.packing import pack

        batch = pack(random_ids(lengths)).for_core()
        code = {"fp32": 0, "bf16": 1, "int8": 2}[self.precision]
        return timed(lambda: self.model._core.forward(batch, ["embedding"], precision=code))

    def step(self, lengths: list[int]) -> float:
        """Return the seconds of one training step, nothing frozen."""
        from mtfreeze.inputs.packing import pack
        from mtfreeze.steps.batch import StepBatch

        labels = np.zeros(len(lengths), dtype=np.int32)
        batch = StepBatch(pack(random_ids(lengths)), [("classifier", labels, 1.0)])
        return timed(lambda: self.model.step(batch, learning_rate=RATES, precision=self.precision))


class TorchScaling:
    """PyTorch, in a process of its own."""

    def __init__(self, folder: str, precision: str, threads: int) -> None:
        import torch

        from . import torch_train as tt
        from .torch_model import TorchMultiTask

        torch.set_num_threads(threads)
        self.bf16 = precision == "bf16"
        self.model = TorchMultiTask({"classifier": ("sequence", 2)}, folder=Path(folder))
        groups = tt.parameter_groups(self.model, RATES, 0.01)
        self.optimizer = torch.optim.AdamW(groups)

    def threads(self, n: int) -> None:
        """Set the number of threads."""
        import torch

        torch.set_num_threads(n)

    def forward(self, lengths: list[int]) -> float:
        """Return the seconds of one pass to pooled vectors."""
        import torch
        from peers.base import padded

        ids, mask = (torch.from_numpy(part) for part in padded(random_ids(lengths)))
        self.model.eval()
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=self.bf16):
            return timed(lambda: self.model.pooled(ids, mask))

    def step(self, lengths: list[int]) -> float:
        """Return the seconds of one training step, nothing frozen."""
        import torch

        from . import torch_train as tt

        rows = [ids.tolist() for ids in random_ids(lengths)]
        task = tt.TorchTask("sequence", ["no", "yes"], rows, [[0]] * len(rows))
        numbers = list(range(len(rows)))
        self.model.train()

        def step() -> None:
            self.optimizer.zero_grad(set_to_none=True)
            tt.backward(self.model, task, "classifier", numbers, None, bf16=self.bf16)
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()

        return timed(step)
