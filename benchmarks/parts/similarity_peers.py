"""The other side of the benchmarks of similarity: SetFit and sentence-transformers.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import logging
import math
import tempfile
import warnings
from typing import Any

import numpy as np
import torch
from peers.folder import minilm_folder
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses

from .clocks import clocks, since

LABELS = ["negative", "positive"]
WIDTH = 384
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


class TheirLabelledPairs:
    """sentence-transformers' SoftmaxLoss, in the same loop."""

    def __init__(self, threads: int) -> None:
        torch.set_num_threads(threads)
        warnings.simplefilter("ignore")

    def first_step(self, rows: Rows, labels: list[str], path: str) -> dict[str, float]:
        """Return the loss of the rows in float64 with the head of the other side's file, and how
        far that side's gradients are off: norm of the difference over the norm, over all weights.
        """
        ours = np.load(path)
        model = SentenceTransformer(str(minilm_folder()), device="cpu").double().eval()
        loss = losses.SoftmaxLoss(model, WIDTH, len(labels)).double()
        with torch.no_grad():
            for part in ("weight", "bias"):
                values = torch.tensor(ours[f"value of nli.{part}"]).double()
                getattr(loss.classifier, part).copy_(values)
        features = [model.preprocess([row[i] for row in rows]) for i in (0, 1)]
        value = loss(features, torch.tensor([labels.index(row[2]) for row in rows]))
        value.backward()
        of_network = model[0].auto_model.named_parameters()
        found = {f"backbone.{k}": p.grad.numpy() for k, p in of_network if p.grad is not None}
        found |= {f"nli.{k}": p.grad.numpy() for k, p in loss.classifier.named_parameters()}
        names = {name for name in ours.files if not name.startswith("value of ")}
        if names != found.keys():
            raise RuntimeError(f"in only one of the two: {sorted(names ^ found.keys())[:4]}")
        off = sum(float(((ours[k] - g) ** 2).sum()) for k, g in found.items())
        whole = sum(float((g**2).sum()) for g in found.values())
        return {"loss": value.item(), "off": math.sqrt(off / whole)}

    def run(
        self, rows: Rows, held_out: Rows, seed: int, labels: list[str], epochs: int
    ) -> dict[str, Any]:
        """Train; return accuracy and the seconds."""
        torch.manual_seed(seed)
        model = SentenceTransformer(str(minilm_folder()), device="cpu")
        loss = losses.SoftmaxLoss(model, WIDTH, len(labels))
        coded = [(a, b, labels.index(label)) for a, b, label in rows]
        start = clocks()
        _train(model, loss, coded, seed, epochs, head=loss.classifier)
        times = since(start)
        model.eval()
        first, second = (
            model.encode([row[i] for row in held_out], convert_to_tensor=True) for i in (0, 1)
        )
        with torch.no_grad():
            logits = loss.classifier(torch.cat([first, second, (first - second).abs()], 1))
        gold = torch.tensor([labels.index(row[2]) for row in held_out])
        return {"score": float((logits.argmax(1) == gold).float().mean()), **times}


def _train(
    model: Any, loss: Any, rows: Rows, seed: int, epochs: int, batch: int = 16, head: Any = None
) -> None:
    """Take an epoch's steps in the recipe of both sides; `head` trains with the model."""
    torch.manual_seed(seed)
    named = [*model.named_parameters(), *(head.named_parameters() if head is not None else ())]
    plain = [p for name, p in named if name.endswith("bias") or "Norm" in name]
    others = [p for _, p in named if not any(p is one for one in plain)]
    everything = [p for _, p in named]
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
            torch.nn.utils.clip_grad_norm_(everything, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
