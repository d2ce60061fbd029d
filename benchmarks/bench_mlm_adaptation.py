"""Reviews across domains, with and without adapting the backbone to the target's words first.

The classifier of all-MiniLM-L6-v2 learns from reviews of goods and is judged on reviews of
restaurants. *Adapted*: before that the backbone guesses masked words of restaurant reviews, whose
labels nobody reads, with a fresh head tied to its table of words. Three seeds; with `--torch` the
same recipe in transformers. Prints markdown.

    python benchmarks/bench_mlm_adaptation.py [--seeds 3] [--epochs 3] [--threads 2] [--torch]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from parts.advice_sources import REVIEWS
from parts.two_tasks import DATA, LABEL_MAP
from peers.folder import minilm_folder

import mtfreeze as mtf

RATE, HEAD_RATE, BATCH = 5e-5, 1e-3, 32
Run = tuple[float, float, float, float]
"""Accuracy, perplexity before and after, seconds of the adaptation."""


def domain(name: str) -> mtf.Examples:
    """Return all reviews of a domain."""
    return mtf.read_tsv(DATA / "reviews" / REVIEWS[name], label_map=LABEL_MAP)


def ours(seed: int, epochs: int, adapt: bool) -> Run:
    """Adapt, or not, then train on goods and judge on restaurants."""
    model = mtf.MultiTaskModel.from_pretrained(minilm_folder())
    target = domain("yelp")
    before = after = seconds = float("nan")
    if adapt:
        model.add_head("mlm", mtf.MaskedLM())
        task = {"mlm": mtf.Task(train=target, eval=target)}
        rates = {"backbone": RATE, "heads": HEAD_RATE}
        common: dict[str, Any] = {"batch_size": BATCH, "seed": seed, "progress": False}
        before = mtf.evaluate(model, task)["eval_mlm_perplexity"]
        begin = time.perf_counter()
        run = mtf.fit(model, task, epochs=epochs, learning_rate=rates, eval_every=None, **common)
        seconds = time.perf_counter() - begin
        after = run.metrics["eval_mlm_perplexity"]
        model.remove_head("mlm")
    model.add_head("sentiment", mtf.SequenceClassification(["negative", "positive"]), seed=seed)
    run = mtf.fit(
        model,
        {"sentiment": mtf.Task(train=domain("amazon"), eval=target)},
        epochs=2,
        learning_rate={"backbone": RATE, "heads": HEAD_RATE},
        batch_size=BATCH,
        seed=seed,
        progress=False,
    )
    return run.metrics["eval_sentiment_accuracy"], before, after, seconds


def theirs(seed: int, epochs: int, adapt: bool) -> Run:
    """Do the same in transformers: DataCollatorForLanguageModeling, then BertModel and a head."""
    import torch
    from transformers import AutoTokenizer, BertForMaskedLM, BertModel

    torch.manual_seed(seed)
    folder = minilm_folder()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    target, source = domain("yelp"), domain("amazon")
    backbone, seconds = BertModel.from_pretrained(folder), float("nan")
    if adapt:
        masked = BertForMaskedLM.from_pretrained(folder)
        begin = time.perf_counter()
        _torch_mlm(torch, tokenizer, masked.train(), [row.text or "" for row in target], epochs)
        seconds = time.perf_counter() - begin
        backbone.load_state_dict(masked.bert.state_dict(), strict=False)
    head = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(384, 2))
    groups = [
        {"params": backbone.parameters(), "lr": RATE},
        {"params": head.parameters(), "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)

    def logits(texts: list[str]) -> Any:
        batch = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
        mask = batch["attention_mask"][..., None].float()
        hidden = backbone(**batch).last_hidden_state
        return head((hidden * mask).sum(1) / mask.sum(1))

    backbone.train(), head.train()
    _torch_steps(
        torch,
        len(source),
        2,
        optimizer,
        backbone,
        lambda rows: torch.nn.functional.cross_entropy(
            logits([source[i].text or "" for i in rows]),
            torch.tensor([int(source[i].label == "positive") for i in rows]),
        ),
    )
    backbone.eval(), head.eval()
    right = 0
    with torch.no_grad():
        for at in range(0, len(target), 64):
            rows = target[at : at + 64]
            found = logits([row.text or "" for row in rows]).argmax(1).tolist()
            right += sum(
                int(row.label == "positive") == one for row, one in zip(rows, found, strict=True)
            )
    return right / len(target), float("nan"), float("nan"), seconds


def _torch_mlm(torch: Any, tokenizer: Any, model: Any, texts: list[str], epochs: int) -> None:
    from transformers import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    groups = [
        {"params": model.bert.parameters(), "lr": RATE},
        {"params": model.cls.predictions.transform.parameters(), "lr": HEAD_RATE},
        {"params": [model.cls.predictions.bias], "lr": HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.01)
    encoded = [tokenizer(text, truncation=True) for text in texts]

    def loss(rows: list[int]) -> Any:
        return model(**collate([encoded[i] for i in rows])).loss

    _torch_steps(torch, len(texts), epochs, optimizer, model, loss)


def _torch_steps(
    torch: Any, n: int, epochs: int, optimizer: Any, model: Any, loss: Callable[[list[int]], Any]
) -> None:
    total = epochs * -(-n // BATCH)
    warm = total // 10
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: s / max(1, warm) if s < warm else (total - s) / max(1, total - warm),
    )
    for _ in range(epochs):
        order = torch.randperm(n).tolist()
        for at in range(0, n, BATCH):
            loss(order[at : at + BATCH]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            schedule.step()


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch", action="store_true")
    given = parser.parse_args()
    mtf.set_threads(given.threads)
    sides = {"mtfreeze": ours}
    if given.torch:
        import torch

        torch.set_num_threads(given.threads)
        sides["transformers"] = theirs
    print("| side | backbone | accuracy on restaurants | perplexity | adapting, s |")
    print("|---|---|---|---|---|", flush=True)
    for side, run in sides.items():
        for adapt in (False, True):
            found = np.array([run(seed, given.epochs, adapt) for seed in range(given.seeds)])
            means = found.mean(axis=0)
            spread = statistics.stdev(found[:, 0]) if len(found) > 1 else 0.0
            words = f"{means[1]:.0f} -> {means[2]:.0f}" if means[2] == means[2] else "-"
            seconds = f"{means[3]:.0f}" if means[3] == means[3] else "-"
            print(
                f"| {side} | {'adapted' if adapt else 'as it is'} | {means[0]:.4f} +- {spread:.4f} "
                f"| {words} | {seconds} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
