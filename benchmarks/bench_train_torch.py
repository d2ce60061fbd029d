"""PyTorch's side of the training benchmarks; imports no mtfreeze, so that memory can be told apart.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch_train as tt
from torch_model import TorchMultiTask

BATCH = 32
RATES = {"backbone": 2e-5, "heads": 1e-3}
LABELS = ["negative", "positive"]
Rows = list[tuple[str, int]]


def torch_steps(mode: str, batches: list[Rows]) -> tuple[Callable[[], None], int]:
    """Return a function that takes a step a batch, and the number of real tokens in them."""
    model = TorchMultiTask({"classifier": ("sequence", 2)})
    model.freeze_mode(mode)
    model.train()
    flat = [(text, LABELS[label]) for batch in batches for text, label in batch]
    task = tt.sequence_task(model, LABELS, flat, [])
    optimizer = torch.optim.AdamW(tt.parameter_groups(model, RATES, 0.01))
    trainable = [p for p in model.parameters() if p.requires_grad]

    def steps() -> None:
        for at in range(0, len(flat), BATCH):
            optimizer.zero_grad(set_to_none=True)
            tt.backward(model, task, "classifier", list(range(at, at + BATCH)), None)
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step()

    return steps, sum(map(len, task.train_ids))
