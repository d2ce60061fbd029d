"""mtfreeze's side of the training benchmarks: a classifier on MiniLM, a step a batch.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import time

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.features import clear_memory
from mtfreeze.steps.by_hand import make_batch
from mtfreeze.training.run import Run

from .memory import peak_bytes

LABELS = ["negative", "positive"]
RATES = {"backbone": 2e-5, "heads": 1e-3}
HEAD_RATES = {"backbone": 2e-5, "heads": 1e-2}
BATCH = 32
EPOCHS = 5
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
Rows = list[tuple[str, int]]


def our_model(mode: str, frozen_precision: str | None = None) -> mtf.MultiTaskModel:
    """Return MiniLM with a classifier, frozen as `mode` says, the frozen part in a precision."""
    model = mtf.MultiTaskModel.from_pretrained(MODEL)
    model.add_head("classifier", mtf.SequenceClassification(labels=LABELS, dropout=0.1))
    return model if mode == "none" else model.freeze(mode, precision=frozen_precision)


class OurSteps:
    """The steps in a process of their own (see `workers.py`).

    Parameters
    ----------
    mode
        What is frozen.
    batches
        Rows of text and label index.
    threads
        Of mtfreeze's pool.
    precision
        Of the step's products; ``"bf16"`` runs the frozen part in bf16 too.
    save_activations
        Precision of what is kept for the backward pass.
    """

    def __init__(
        self,
        mode: str,
        batches: list[Rows],
        threads: int,
        precision: str,
        save_activations: str = "fp32",
    ) -> None:
        mtf.set_threads(threads)
        self.model = our_model(mode, None if precision == "fp32" else precision)
        self.ready = [make_batch(self.model, {"classifier": batch}) for batch in batches]
        self.how = {"precision": precision, "save_activations": save_activations}

    def steps(self) -> None:
        """Take a step a batch."""
        for batch in self.ready:
            self.model.step(batch, learning_rate=RATES, **self.how)

    def tokens(self) -> int:
        """Return the real tokens of all batches."""
        return sum(ready.batch.n_tokens for ready in self.ready)

    def seconds(self) -> float:
        """Take a step a batch and return the seconds."""
        start = time.perf_counter()
        self.steps()
        return time.perf_counter() - start

    def allocations(self) -> float:
        """Return how often a step of the core allocates once its arenas are there."""
        self.steps()
        before = _core.memory_info().n_allocations
        self.steps()
        return (_core.memory_info().n_allocations - before) / len(self.ready)

    def peak(self) -> int:
        """Return the largest resident size so far, in bytes."""
        return peak_bytes()


class OurEpochs:
    """Whole trainings of five epochs in a process of their own, each on an empty cache.

    Parameters
    ----------
    mode
        What is frozen.
    rows
        Of text and label index.
    threads
        Of mtfreeze's pool.
    cache
        Of `mtfreeze.fit`.
    frozen_precision
        Precision in which the frozen part runs.
    """

    def __init__(
        self,
        mode: str,
        rows: Rows,
        threads: int,
        cache: str | bool = "memory",
        frozen_precision: str | None = None,
    ) -> None:
        mtf.set_threads(threads)
        self.model = our_model(mode, frozen_precision)
        self.rows, self.cache = rows, cache

    def train(self) -> Run:
        """Train five epochs."""
        clear_memory()
        task = mtf.Task(train=[(text, LABELS[label]) for text, label in self.rows])
        return mtf.fit(
            self.model,
            {"classifier": task},
            epochs=EPOCHS,
            batch_size=BATCH,
            learning_rate=HEAD_RATES,
            cache=self.cache,
            progress=False,
        )

    def seconds(self) -> tuple[float, float]:
        """Return the seconds of a training, and of one of its later epochs."""
        done = self.train()
        later = [
            row["seconds"] for row in done.history if row.get("epoch", 0) > 1 and "loss" in row
        ]
        seconds = done.metrics["train_runtime"] + done.metrics.get("prefix_runtime", 0.0)
        return seconds, sum(later) / (EPOCHS - 1)
