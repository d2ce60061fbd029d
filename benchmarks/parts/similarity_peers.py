"""The other side of the benchmarks of similarity: SetFit and sentence-transformers.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from typing import Any

import torch
from peers.folder import minilm_folder
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses

from .clocks import clocks, since

LABELS = ["negative", "positive"]
Rows = list[Any]
KINDS = {"cosine": losses.CosineSimilarityLoss, "cosent": losses.CoSENTLoss}


class SetFit:
    """SetFit with its defaults on the same rows."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)

    def run(self, rows: Rows, held_out: Rows, seed: int) -> dict[str, Any]:
        """Train; return accuracy and the seconds of training."""
        from datasets import Dataset
        from setfit import SetFitModel, Trainer, TrainingArguments

        torch.manual_seed(seed)
        model = SetFitModel.from_pretrained(str(minilm_folder()))
        data = Dataset.from_dict(
            {"text": [row[0] for row in rows], "label": [LABELS.index(row[1]) for row in rows]}
        )
        with tempfile.TemporaryDirectory() as folder:
            settings = TrainingArguments(
                output_dir=folder, seed=seed, show_progress_bar=False, report_to="none",
                save_strategy="no",
            )  # fmt: skip
            trainer = Trainer(model=model, args=settings, train_dataset=data)
            start = clocks()
            trainer.train()
            times = since(start)
        found = model.predict([row[0] for row in held_out], show_progress_bar=False)
        right = [LABELS[int(one)] == row[1] for one, row in zip(found, held_out, strict=True)]
        return {"score": sum(right) / len(right), **times}


class TheirPairs:
    """sentence-transformers' losses in the loop of its trainer: AdamW, warm-up, clipping."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        warnings.simplefilter("ignore")

    def run(self, rows: Rows, held_out: Rows, seed: int, loss: str, epochs: int) -> dict[str, Any]:
        """Train (not at all for 0 epochs); return Spearman's rho and the seconds."""
        from scipy.stats import spearmanr

        model = SentenceTransformer(str(minilm_folder()), device="cpu")
        start = clocks()
        if epochs:
            _train(model, KINDS[loss](model), rows, seed, epochs)
        times = since(start)
        model.eval()
        first, second = (model.encode([row[i] for row in held_out]) for i in (0, 1))
        cosines = (first * second).sum(axis=1)  # of length one
        return {"score": float(spearmanr(cosines, [row[2] for row in held_out])[0]), **times}


def _train(model: Any, loss: Any, rows: Rows, seed: int, epochs: int, batch: int = 16) -> None:
    """Take an epoch's steps in the recipe of both sides."""
    torch.manual_seed(seed)
    plain = [p for name, p in model.named_parameters() if name.endswith("bias") or "Norm" in name]
    others = [p for p in model.parameters() if not any(p is one for one in plain)]
    optimizer = torch.optim.AdamW(
        [{"params": others, "weight_decay": 0.01}, {"params": plain, "weight_decay": 0.0}], lr=2e-5
    )
    per_epoch = math.ceil(len(rows) / batch)
    total, warm = per_epoch * epochs, math.ceil(0.1 * per_epoch * epochs)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda n: min((n + 1) / max(1, warm), (total - n) / max(1, total - warm)),
    )
    model.train()
    for _ in range(epochs):
        order = torch.randperm(len(rows)).tolist()
        for at in range(0, len(rows), batch):
            some = [rows[i] for i in order[at : at + batch]]
            features = [model.preprocess([row[i] for row in some]) for i in (0, 1)]
            value = loss(features, torch.tensor([row[2] for row in some]))
            value.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
