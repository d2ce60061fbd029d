"""Two-task training and evaluation in PyTorch, the way the recipes of this folder describe it.

One task a step in proportion to its batches, AdamW without decay on biases and norms, clipping by
the global norm, linear warm-up and decay. Labels of words sit on the first sub-word; words lost to
truncation count as predicted `O`; entity scores are seqeval's strict mode on IOB2.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from .torch_model import TorchMultiTask

IGNORE = -100


@dataclass
class TorchTask:
    """Encoded rows of one task: sub-word ids, and a label each or one label a sub-word."""

    kind: str
    labels: list[str]
    train_ids: list[list[int]] = field(default_factory=list)
    train_labels: list[list[int]] = field(default_factory=list)
    eval_ids: list[list[int]] = field(default_factory=list)
    eval_first: list[list[int]] = field(default_factory=list)  # position of each word, -1: lost
    eval_gold: list[list[str]] = field(default_factory=list)


def sequence_task(
    model: TorchMultiTask,
    labels: list[str],
    train: Sequence[tuple[str, str]],
    evaluation: Sequence[tuple[str, str]],
    max_length: int = 256,
) -> TorchTask:
    """Encode (text, label) rows."""
    task = TorchTask("sequence", labels)

    def encode(rows: Sequence[tuple[str, str]]) -> list[list[int]]:
        texts = [text for text, _ in rows]
        if not texts:
            return []
        return model.tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]

    task.train_ids = encode(train)
    task.train_labels = [[labels.index(label)] for _, label in train]
    task.eval_ids = encode(evaluation)
    task.eval_gold = [[label] for _, label in evaluation]
    return task


def token_task(
    model: TorchMultiTask,
    labels: list[str],
    train: Sequence[tuple[list[str], list[str]]],
    evaluation: Sequence[tuple[list[str], list[str]]],
    max_length: int = 256,
) -> TorchTask:
    """Encode (words, tags) rows."""
    task = TorchTask("token", labels)
    for part, rows in (("train", train), ("eval", evaluation)):
        for words, tags in rows:
            encoded = model.tokenizer(
                words, is_split_into_words=True, truncation=True, max_length=max_length
            )
            first: dict[int, int] = {}
            for position, word in enumerate(encoded.word_ids()):
                if word is not None:
                    first.setdefault(word, position)
            if part == "train":
                row = [IGNORE] * len(encoded["input_ids"])
                for word, position in first.items():
                    row[position] = labels.index(tags[word])
                task.train_ids.append(encoded["input_ids"])
                task.train_labels.append(row)
            else:
                task.eval_ids.append(encoded["input_ids"])
                task.eval_first.append([first.get(i, -1) for i in range(len(words))])
                task.eval_gold.append(list(tags))
    return task


def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
    """Return the rows as one tensor, filled up on the right."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def parameter_groups(
    model: TorchMultiTask, rates: dict[str, float], weight_decay: float
) -> list[dict[str, object]]:
    """Return AdamW's groups: backbone and heads, each with and without decay."""
    groups: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            part = "backbone" if name.startswith("backbone.") else "heads"
            decay = not (name.endswith("bias") or "LayerNorm" in name)
            groups.setdefault((part, decay), []).append(parameter)
    return [
        {"params": parameters, "lr": rates[part], "weight_decay": weight_decay if decay else 0.0}
        for (part, decay), parameters in groups.items()
    ]


def schedule(
    tasks: dict[str, TorchTask], batch_size: int, epoch: int, seed: int, grouped: bool = False
) -> Iterator[tuple[str, list[int]]]:
    """Yield (task, rows) of one epoch: every batch of every task once, in random order.

    With `grouped` a batch holds rows of neighbouring lengths: less padding, other batches.
    """
    steps: list[tuple[str, list[int]]] = []
    for name, task in tasks.items():
        rows = list(range(len(task.train_ids)))
        random.Random(f"{seed}/{name}/{epoch}").shuffle(rows)
        if grouped:
            rows.sort(key=lambda i: len(task.train_ids[i]))
        steps += [(name, rows[i : i + batch_size]) for i in range(0, len(rows), batch_size)]
    random.Random(f"{seed}/{epoch}").shuffle(steps)
    yield from steps


def loss_of(
    model: TorchMultiTask,
    task: TorchTask,
    name: str,
    rows: list[int],
    n_labelled: int,
    features: list[torch.Tensor] | None = None,
) -> torch.Tensor:
    """Return the cross entropy summed over labelled rows or sub-words, divided by `n_labelled`."""
    gold = pad([task.train_labels[i] for i in rows], IGNORE)
    if features is not None:
        hidden = nn.utils.rnn.pad_sequence([features[i] for i in rows], batch_first=True)
        logits = model.heads[name](model.dropout[name](hidden))
    else:
        ids = pad([task.train_ids[i] for i in rows], 0)
        mask = pad([[1] * len(task.train_ids[i]) for i in rows], 0)
        logits = model.logits(name, ids, mask)
    total = nn.functional.cross_entropy(
        logits.reshape(-1, logits.shape[-1]),
        gold.reshape(-1),
        ignore_index=IGNORE,
        reduction="sum",
    )
    return total / n_labelled


@torch.no_grad()
def frozen_features(model: TorchMultiTask, task: TorchTask) -> list[torch.Tensor]:
    """Return what a head reads of every training row when the backbone is frozen.

    Hidden states (tokens, width), or the one pooled row (1, width) for a head of sequences: a
    frozen backbone has no dropout, so they are the same in every epoch.
    """
    model.eval()
    result: list[torch.Tensor] = [torch.empty(0)] * len(task.train_ids)
    by_length = sorted(range(len(task.train_ids)), key=lambda i: len(task.train_ids[i]))
    for at in range(0, len(by_length), 32):
        rows = by_length[at : at + 32]
        ids = pad([task.train_ids[i] for i in rows], 0)
        mask = pad([[1] * len(task.train_ids[i]) for i in rows], 0)
        hidden = model.hidden(ids, mask)
        for row, i in enumerate(rows):
            own = hidden[row, : len(task.train_ids[i])]
            result[i] = own.mean(0, keepdim=True) if task.kind == "sequence" else own.clone()
    return result


def backward(
    model: TorchMultiTask,
    task: TorchTask,
    name: str,
    rows: list[int],
    micro_batch: int | None,
    features: list[torch.Tensor] | None = None,
    bf16: bool = False,
) -> None:
    """Leave the gradients of the mean loss of a batch in the parameters.

    With `micro_batch` the rows are ordered by length and passed in parts of that many rows whose
    gradients add up to the same: less padding, the same step (but for the draws of dropout).
    `bf16` is autocast, over the forward pass as PyTorch asks for.
    """
    n_labelled = sum(y != IGNORE for i in rows for y in task.train_labels[i])
    parts = [rows]
    if micro_batch is not None:
        rows = sorted(rows, key=lambda i: len(task.train_ids[i]))
        parts = [rows[at : at + micro_batch] for at in range(0, len(rows), micro_batch)]
    for part in parts:
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = loss_of(model, task, name, part, n_labelled, features)
        loss.backward()


def train(
    model: TorchMultiTask,
    tasks: dict[str, TorchTask],
    mode: str,
    *,
    epochs: int,
    batch_size: int,
    rates: dict[str, float],
    weight_decay: float = 0.01,
    warmup_ratio: float = 0.1,
    max_grad_norm: float = 1.0,
    seed: int = 0,
    micro_batch: int | None = None,
    cache: bool = False,
    grouped: bool = False,
    report: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Train in place with what `mode` names frozen; return seconds, steps and tokens.

    The task of a frozen head is not trained on, as in mtfreeze. `cache` computes the features of a
    frozen backbone once instead of in every epoch; without effect in the other modes. `grouped` is
    that of `schedule`.
    """
    model.freeze_mode(mode)
    if mode == "all":
        return {"seconds": 0.0, "steps": 0, "tokens": 0}
    active = {name: task for name, task in tasks.items() if name != mode}
    optimizer = torch.optim.AdamW(parameter_groups(model, rates, weight_decay))
    plan = [
        step
        for epoch in range(epochs)
        for step in schedule(active, batch_size, epoch, seed, grouped)
    ]
    warmup = math.ceil(warmup_ratio * len(plan))
    decay = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            step / max(1, warmup)
            if step < warmup
            else max(0.0, (len(plan) - step) / max(1, len(plan) - warmup))
        ),
    )
    trainable = [p for p in model.parameters() if p.requires_grad]
    torch.manual_seed(seed)
    tokens = 0
    start = time.perf_counter()
    features: dict[str, list[torch.Tensor]] = {}
    if cache and mode == "backbone":
        features = {name: frozen_features(model, task) for name, task in active.items()}
    model.train()
    for step, (name, rows) in enumerate(plan):
        optimizer.zero_grad(set_to_none=True)
        backward(model, active[name], name, rows, micro_batch, features.get(name))
        nn.utils.clip_grad_norm_(trainable, max_grad_norm)
        optimizer.step()
        decay.step()
        tokens += sum(len(active[name].train_ids[i]) for i in rows)
        if report is not None:
            report(step + 1, len(plan))
    return {"seconds": time.perf_counter() - start, "steps": len(plan), "tokens": tokens}


@torch.no_grad()
def predict(model: TorchMultiTask, name: str, task: TorchTask) -> list[list[str]]:
    """Return the predicted labels of each evaluation row: one, or one a word."""
    model.eval()
    result: list[list[str]] = [[] for _ in task.eval_ids]
    by_length = sorted(range(len(task.eval_ids)), key=lambda i: len(task.eval_ids[i]))
    for at in range(0, len(by_length), 64):
        rows = by_length[at : at + 64]
        ids = pad([task.eval_ids[i] for i in rows], 0)
        mask = pad([[1] * len(task.eval_ids[i]) for i in rows], 0)
        best = model.logits(name, ids, mask).argmax(-1)
        for row, i in enumerate(rows):
            if task.kind == "sequence":
                result[i] = [task.labels[int(best[row])]]
            else:
                result[i] = [
                    "O" if position < 0 else task.labels[int(best[row, position])]
                    for position in task.eval_first[i]
                ]
    return result


def evaluate(model: TorchMultiTask, tasks: dict[str, TorchTask]) -> dict[str, float]:
    """Return accuracy and macro F1, or strict entity precision, recall and F1, of every task."""
    result: dict[str, float] = {}
    for name, task in tasks.items():
        predicted = predict(model, name, task)
        result |= {f"{name}_{k}": v for k, v in scores(task, predicted).items()}
    return result


def scores(task: TorchTask, predicted: list[list[str]]) -> dict[str, float]:
    """Return the metrics of predictions of one task."""
    if task.kind == "sequence":
        gold = [row[0] for row in task.eval_gold]
        found = [row[0] for row in predicted]
        return {
            "accuracy": float(accuracy_score(gold, found)),
            "f1_macro": float(f1_score(gold, found, average="macro")),
        }
    from seqeval import metrics
    from seqeval.scheme import IOB2

    strict = {"mode": "strict", "scheme": IOB2, "zero_division": 0}
    return {
        "precision": float(metrics.precision_score(task.eval_gold, predicted, **strict)),
        "recall": float(metrics.recall_score(task.eval_gold, predicted, **strict)),
        "f1": float(metrics.f1_score(task.eval_gold, predicted, **strict)),
    }
