"""The recipe of `bench_images.py` in PyTorch: a head on the frozen DINOv2, then every way on.

Pixels are those that mtfreeze prepares, rates, warm-up, decay and clipping those that its `fit`
takes by itself: AdamW, a linear schedule over the run, 0.01 of decay on weights of two axes. What a
frozen backbone gives is stored here, too.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel

from mtfreeze.images import Picture, Processor

from .image_sets import Rows

BATCH = 32
HEAD_RATE = 1e-2
RATES = {"backbone": 2e-5, "heads": 1e-3}
DROPOUT, DECAY, WARMUP, LARGEST_NORM = 0.1, 0.01, 0.1, 1.0
Way = Callable[[int], int]
"""Epoch -> how many of the lowest layers are frozen, embeddings with them; -1: nothing is."""


class TorchImages:
    """DINOv2 with a head over its class token and the mean of its patches, on one set.

    Parameters
    ----------
    folder : Path
        Of the model.
    train, held_out : list of (pixels, label)
    """

    def __init__(self, folder: Path, train: Rows, held_out: Rows) -> None:
        self.folder = folder
        labels = sorted({label for _, label in [*train, *held_out]})
        self.n_labels = len(labels)
        values = json.loads((folder / "preprocessor_config.json").read_text("utf-8"))
        processor = Processor.from_json(values)
        self.pixels, self.labels = [], []
        for rows in (train, held_out):
            read = [processor.floats(processor.uint8(Picture(one))) for one, _ in rows]
            self.pixels.append(torch.from_numpy(np.stack(read)).permute(0, 3, 1, 2).contiguous())
            self.labels.append(torch.tensor([labels.index(label) for _, label in rows]))

    def begin(self, seed: int, epochs: int) -> tuple[Any, Any]:
        """Return the backbone and a head that was trained on what it gives, for so many epochs."""
        torch.manual_seed(seed)
        model = AutoModel.from_pretrained(self.folder, dtype=torch.float32)
        head = torch.nn.Linear(2 * model.config.hidden_size, self.n_labels)
        self.stored = self._pooled_all(model, 0)
        self.train(model, head, seed, epochs, None)
        return model, head

    def train(self, model: Any, head: Any, seed: int, epochs: int, way: Way | None) -> float:
        """Train in place, a frozen backbone where `way` is None; return processor seconds."""
        begin = time.process_time()
        rng = np.random.default_rng(seed)
        rates = {"backbone": 0.0, "heads": HEAD_RATE} if way is None else RATES
        groups = [*_groups(model.parameters(), rates["backbone"])] if way else []
        optimizer = torch.optim.AdamW([*groups, *_groups(head.parameters(), rates["heads"])])
        n = len(self.labels[0])
        steps = epochs * -(-n // BATCH)
        warm = int(np.ceil(WARMUP * steps))
        plan = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda step: (
                step / max(1, warm) if step < warm else (steps - step) / max(1, steps - warm)
            ),
        )
        drop = torch.nn.Dropout(DROPOUT)
        model.eval()  # there is no dropout in it
        for epoch in range(epochs):
            if way is not None:
                _freeze(model, way(epoch))
            trained = [*(model.parameters() if way else ()), *head.parameters()]
            trained = [one for one in trained if one.requires_grad]
            order = rng.permutation(n)
            for at in range(0, n, BATCH):
                rows = torch.from_numpy(order[at : at + BATCH])
                pooled = self.stored[rows] if way is None else _pooled(model, self.pixels[0][rows])
                optimizer.zero_grad(set_to_none=True)
                loss = torch.nn.functional.cross_entropy(head(drop(pooled)), self.labels[0][rows])
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, LARGEST_NORM)
                optimizer.step()
                plan.step()
        return time.process_time() - begin

    def accuracy(self, model: Any, head: Any) -> float:
        """Return the share of held-out rows that are answered right."""
        with torch.no_grad():
            found = head(self._pooled_all(model, 1)).argmax(1)
        return float((found == self.labels[1]).float().mean())

    def ways(
        self, seed: int, start_epochs: int, epochs: int, ways: dict[str, Way | None]
    ) -> dict[str, tuple[float, float]]:
        """Return accuracy and processor seconds of the start, of each way on from it, and of a head
        that begins anew."""
        model, head = self.begin(seed, start_epochs)
        found = {"start": (self.accuracy(model, head), 0.0)}
        for name, way in ways.items():
            own, its_head = copy.deepcopy(model), copy.deepcopy(head)
            if way is None:  # as mtfreeze has it: nothing is started where the head is all
                torch.manual_seed(seed)
                its_head.reset_parameters()
            seconds = self.train(own, its_head, seed, epochs, way)
            found[name] = self.accuracy(own, its_head), seconds
        return found

    def _pooled_all(self, model: Any, part: int) -> torch.Tensor:
        with torch.no_grad():
            return torch.cat([_pooled(model, some) for some in self.pixels[part].split(BATCH)])


def ways_of(n_layers: int, per_step: int | None) -> dict[str, Way | None]:
    """Return the ways by the names that `mtfreeze.compare` gives them."""
    found: dict[str, Way | None] = {
        "backbone": None,
        f"backbone[:{n_layers // 2}]": lambda epoch: n_layers // 2,
        "none": lambda epoch: -1,
    }
    if per_step is not None:
        steps = [*range(n_layers - per_step, -1, -per_step)]
        frozen = [n_layers, *steps, *([] if steps[-1] == 0 else [0]), -1]
        found["gradual"] = lambda epoch: frozen[min(epoch, len(frozen) - 1)]
    return found


def _groups(parameters: Iterable[Any], rate: float) -> Sequence[dict[str, Any]]:
    every = list(parameters)
    return [
        {"params": [p for p in every if p.ndim > 1], "lr": rate, "weight_decay": DECAY},
        {"params": [p for p in every if p.ndim <= 1], "lr": rate, "weight_decay": 0.0},
    ]


def _freeze(model: Any, n: int) -> None:
    """Freeze the embeddings and the lowest n layers; -1: nothing; all of them: the norm, too."""
    # where transformers 5 keeps them, and where it did before
    layers = getattr(model, "layers", None) or model.encoder.layer
    model.requires_grad_(n < len(layers))
    if 0 <= n < len(layers):
        for part in (model.embeddings, *layers[:n]):
            part.requires_grad_(False)


def _pooled(model: Any, pixels: torch.Tensor) -> torch.Tensor:
    states = model(pixel_values=pixels).last_hidden_state
    return torch.cat([states[:, 0], states[:, 1:].mean(1)], 1)
