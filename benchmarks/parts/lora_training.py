"""Both sides of LoRA in `bench_ways.py`: a run from texts to accuracy, ours and PEFT's.

One recipe: rank 8, alpha 16 at query and value of all layers, a linear head on the mean of the
words, no dropout, batches of 32 in random order, adapter at 5e-4, head at 1e-3, AdamW with decay
0.01 but not of the head's bias, warm-up over a tenth and down to zero, clipping at 1. PEFT's
side imports no mtfreeze, so that memory can be told apart.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import math
from typing import Any

from peers.folder import minilm_folder

from .clocks import clocks, since
from .memory import peak_bytes

LABELS = ["negative", "positive"]
RANK, ALPHA, BATCH = 8, 16, 32
ADAPTER_RATE, HEAD_RATE, DECAY = 5e-4, 1e-3, 0.01
LENGTH = 256
Rows = list[Any]


class OurLora:
    """mtfreeze."""

    def __init__(self, threads: int) -> None:
        import mtfreeze as mtf

        mtf.set_threads(threads)

    def run(self, rows: Rows, held_out: Rows, seed: int, epochs: int) -> dict[str, Any]:
        """Train and judge; return accuracy, processor seconds of training, peak bytes."""
        import mtfreeze as mtf

        model = mtf.MultiTaskModel.from_pretrained(
            minilm_folder(), pooling="mean", normalize=False, max_length=LENGTH
        )
        head = mtf.SequenceClassification(LABELS, dropout=0.0)
        model.add_head("mood", head, seed=seed).freeze("backbone")
        model.add_lora(rank=RANK, alpha=ALPHA, seed=seed)
        start = clocks()
        mtf.fit(
            model, {"mood": mtf.Task(train=rows)}, epochs=epochs, batch_size=BATCH, seed=seed,
            learning_rate={"lora": ADAPTER_RATE, "heads": HEAD_RATE}, weight_decay=DECAY,
            progress=False,
        )  # fmt: skip
        times = since(start)
        found = mtf.evaluate(model, {"mood": mtf.Task(eval=held_out)})
        return {"score": found["eval_mood_accuracy"], **times, "peak": peak_bytes()}


class PeftLora:
    """PEFT on transformers, batches padded to their longest text."""

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)

    def run(self, rows: Rows, held_out: Rows, seed: int, epochs: int) -> dict[str, Any]:
        """Train and judge; return the same."""
        import peft
        import torch
        from transformers import AutoModel, AutoTokenizer

        torch.manual_seed(seed)
        tokenizer: Any = AutoTokenizer.from_pretrained(minilm_folder())
        base: Any = AutoModel.from_pretrained(
            minilm_folder(),
            dtype=torch.float32,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
        )
        config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["query", "value"])
        model: Any = peft.get_peft_model(base, config)
        head = torch.nn.Linear(base.config.hidden_size, len(LABELS))
        adapter = [p for p in model.parameters() if p.requires_grad]

        def logits(some: Rows) -> Any:
            texts = [row[0] for row in some]
            batch = tokenizer(
                texts, padding=True, truncation=True, max_length=LENGTH, return_tensors="pt"
            )
            mask = batch["attention_mask"][..., None].float()
            hidden = model(**batch).last_hidden_state
            return head((hidden * mask).sum(1) / mask.sum(1))

        start = clocks()
        optimizer = torch.optim.AdamW(
            [
                {"params": adapter, "lr": ADAPTER_RATE},
                {"params": [head.weight], "lr": HEAD_RATE},
                {"params": [head.bias], "lr": HEAD_RATE, "weight_decay": 0.0},
            ],
            weight_decay=DECAY,
        )
        total = epochs * math.ceil(len(rows) / BATCH)
        warm = math.ceil(0.1 * total)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer,
            lambda n: min((n + 1) / max(1, warm), (total - n) / max(1, total - warm)),
        )
        for _ in range(epochs):
            order = torch.randperm(len(rows)).tolist()
            for at in range(0, len(rows), BATCH):
                some = [rows[i] for i in order[at : at + BATCH]]
                gold = torch.tensor([LABELS.index(row[1]) for row in some])
                torch.nn.functional.cross_entropy(logits(some), gold).backward()
                torch.nn.utils.clip_grad_norm_([*adapter, *head.parameters()], 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad(set_to_none=True)
        times = since(start)
        right = 0
        with torch.no_grad():
            for at in range(0, len(held_out), 64):
                some = held_out[at : at + 64]
                told = logits(some).argmax(1).tolist()
                right += sum(LABELS[one] == row[1] for one, row in zip(told, some, strict=True))
        return {"score": right / len(held_out), **times, "peak": peak_bytes()}
