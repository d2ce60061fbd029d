"""mtfreeze's side of the benchmarks of similarity: few rows, scored pairs, large batches.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mtfreeze as mtf

from .clocks import clocks, since

NAME = "all-MiniLM-L6-v2"
LABELS = ["negative", "positive"]
RATE = 2e-5
Rows = list[Any]


class OurFewShot:
    """`few_shot` on a few rows a label, judged on others."""

    def __init__(self, threads: int) -> None:
        mtf.set_threads(threads)
        self.model = mtf.MultiTaskModel.from_pretrained(NAME, max_length=256)
        self.model.add_head("mood", mtf.SequenceClassification(LABELS, features="embedding"))

    def run(self, rows: Rows, held_out: Rows, seed: int, train: str = "backbone") -> dict[str, Any]:
        """Train a copy; return accuracy and the seconds of training."""
        model, start = self.model.copy(), clocks()
        mtf.few_shot(model, "mood", rows, train=train, seed=seed, progress=False)
        times = since(start)
        found = mtf.evaluate(model, {"mood": mtf.Task(eval=held_out)})
        return {"score": found["eval_mood_accuracy"], **times}


class OurPairs:
    """Scored pairs: one pass of cosine or CoSENT, judged by Spearman on others."""

    def __init__(self, threads: int) -> None:
        mtf.set_threads(threads)
        self.model = mtf.MultiTaskModel.from_pretrained(NAME, max_length=256)

    def run(self, rows: Rows, held_out: Rows, seed: int, loss: str, epochs: int) -> dict[str, Any]:
        """Train a copy (not at all for 0 epochs); return Spearman's rho and the seconds."""
        model = self.model.copy().add_head("sts", mtf.Similarity(loss))
        start = clocks()
        if epochs:
            mtf.fit(
                model, {"sts": mtf.Task(train=rows)}, epochs=epochs, batch_size=16,
                learning_rate=2e-5, seed=seed, progress=False,
            )  # fmt: skip
        times = since(start)
        found = mtf.evaluate(model, {"sts": mtf.Task(eval=held_out)})
        return {"score": found["eval_sts_spearman_cosine"], **times}


class OurLabelledPairs:
    """Pairs with one of several labels: one pass of a siamese head, judged by accuracy."""

    def __init__(self, threads: int) -> None:
        mtf.set_threads(threads)
        self.model = mtf.MultiTaskModel.from_pretrained(NAME, max_length=256)

    def _with_head(self, labels: list[str], seed: int, dropout: float) -> mtf.MultiTaskModel:
        spec = mtf.PairClassification(
            labels, encode="siamese", features="embedding", dropout=dropout
        )
        return self.model.copy().add_head("nli", spec, seed=seed)

    def first_step(self, rows: Rows, labels: list[str], path: str) -> float:
        """Return the loss of the rows, nothing drawn; write head and gradients (npz)."""
        model = self._with_head(labels, 0, 0.0)
        head = {f"value of {k}": v for k, v in model.parameters().items() if k.startswith("nli.")}
        np.savez(path, **head, **model.gradients({"nli": rows}))
        return mtf.evaluate(model, {"nli": mtf.Task(eval=rows)})["eval_nli_loss"]

    def run(
        self, rows: Rows, held_out: Rows, seed: int, labels: list[str], epochs: int
    ) -> dict[str, Any]:
        """Train a copy; return accuracy and the seconds."""
        model = self._with_head(labels, seed, 0.0)
        start = clocks()
        mtf.fit(
            model, {"nli": mtf.Task(train=rows)}, epochs=epochs, batch_size=16,
            learning_rate=RATE, seed=seed, progress=False,
        )  # fmt: skip
        times = since(start)
        found = mtf.evaluate(model, {"nli": mtf.Task(eval=held_out)})
        return {"score": found["eval_nli_accuracy"], **times}


class OurBatch:
    """One step on a large batch of pairs at a token budget."""

    def __init__(self, threads: int) -> None:
        mtf.set_threads(threads)
        self.model = mtf.MultiTaskModel.from_pretrained(NAME)
        self.model.add_head("near", mtf.Similarity("multiple_negatives"))
        self.model.add_head("mood", mtf.SequenceClassification(LABELS, features="embedding"))

    def run(self, rows: Rows, token_budget: int) -> dict[str, Any]:
        """Compute the gradients of one step; return the seconds."""
        batch, start = {"near": mtf.Task(train=rows)}, clocks()
        self.model.gradients(batch, token_budget=token_budget, dropout=True)
        return since(start)

    def plain(self, rows: Rows, token_budget: int) -> dict[str, Any]:
        """Do the same with a loss that couples nothing, one pass over the same texts."""
        texts = [(text, LABELS[0]) for row in rows for text in row]
        batch, start = {"mood": mtf.Task(train=texts)}, clocks()
        self.model.gradients(batch, token_budget=token_budget, dropout=True)
        return since(start)
