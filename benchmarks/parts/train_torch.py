"""PyTorch's side of the training benchmarks; imports no mtfreeze, so that memory can be told apart.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch

from . import torch_train as tt
from .memory import peak_bytes
from .torch_model import TorchMultiTask

BATCH = 32
RATES = {"backbone": 2e-5, "heads": 1e-3}
HEAD_RATES = {"backbone": 2e-5, "heads": 1e-2}
LABELS = ["negative", "positive"]
EPOCHS = 5
Rows = list[tuple[str, int]]


def torch_steps(
    mode: str, batches: list[Rows], bf16: bool = False
) -> tuple[Callable[[], None], int]:
    """Return a function that takes a step a batch, and the number of real tokens in them.

    `bf16` is PyTorch's autocast.
    """
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
            rows = list(range(at, min(at + BATCH, len(flat))))
            tt.backward(model, task, "classifier", rows, None, bf16=bf16)
            torch.nn.utils.clip_grad_norm_(trainable, 1.0)
            optimizer.step()

    return steps, sum(map(len, task.train_ids))


class TorchSteps:
    """The steps in a process of their own (see `workers.py`)."""

    def __init__(self, mode: str, batches: list[Rows], threads: int, precision: str) -> None:
        torch.set_num_threads(threads)
        self.steps, self.n_tokens = torch_steps(mode, batches, precision == "bf16")

    def tokens(self) -> int:
        """Return the real tokens of all batches."""
        return self.n_tokens

    def seconds(self) -> float:
        """Take a step a batch and return the seconds."""
        start = time.perf_counter()
        self.steps()
        return time.perf_counter() - start

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()


class TorchEpochs:
    """Whole trainings of five epochs in a process of their own.

    Parameters
    ----------
    mode
        What is frozen.
    rows
        Of text and label index.
    threads
        Of PyTorch.
    cache
        Compute the features of a frozen backbone once, its pass counted.
    grouped
        Batches of neighbours by length, in random order; else the rows as they come.
    """

    def __init__(
        self, mode: str, rows: Rows, threads: int, cache: bool = False, grouped: bool = True
    ) -> None:
        torch.set_num_threads(threads)
        self.mode, self.rows, self.cached = mode, rows, cache
        if cache:
            self.model = TorchMultiTask({"classifier": ("sequence", len(LABELS))})
            labelled = [(text, LABELS[label]) for text, label in rows]
            self.task = tt.sequence_task(self.model, LABELS, labelled, [])
        else:
            ordered = sorted(rows, key=lambda row: len(row[0])) if grouped else rows
            batches = [ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]
            random.Random(0).shuffle(batches)
            self.steps, _ = torch_steps(mode, batches)

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of a training, and of one of its later epochs."""
        start = time.perf_counter()
        if not self.cached:
            for _ in range(EPOCHS):
                self.steps()
            spent = time.perf_counter() - start
            return spent, spent / EPOCHS
        marks: list[float] = []
        tt.train(
            self.model, {"classifier": self.task}, self.mode, epochs=EPOCHS, batch_size=BATCH,
            rates=HEAD_RATES, cache=True, report=lambda step, _: marks.append(time.perf_counter()),
        )  # fmt: skip
        first = marks[-(-len(self.rows) // BATCH) - 1]
        return marks[-1] - start, (marks[-1] - first) / (EPOCHS - 1)
