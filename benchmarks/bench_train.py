"""One training step on all-MiniLM-L6-v2: mtfreeze against PyTorch, fp32, batches of 32 sentences.

A classifier on SST-2; AdamW with clipping; token ids are made before the clock starts. PyTorch gets
batches grouped by length (its better setting) and, once, in random order. Modes: nothing frozen,
`backbone[:3]` frozen, backbone frozen. Then counts the allocations that a step makes in the core.
Prints markdown. Each case is timed in a process of its own: the thread teams that PyTorch's
backward pass leaves behind slow down whatever is timed after it in the same process.

    python benchmarks/bench_train.py [--threads 2] [--repeats 5] [--batches 8]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import machine
import pairs
import torch
from bench_train_torch import BATCH, LABELS, RATES, Rows, torch_steps
from sst2 import FLOPS_PER_TOKEN, sentences

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.stepping import make_batch

# (mode, grouped by length, least ratio to PyTorch, FLOPs of a step over those of a forward pass)
CASES = (
    ("none", True, 1.35, 3.0),
    ("none", False, 1.35, 3.0),
    ("backbone[:3]", True, 1.35, 2.0),
    ("backbone", True, 1.6, 1.0),
)


def cut(rows: Rows, n: int, grouped: bool) -> list[Rows]:
    """Return `n` batches of `rows`, each of neighbours by length where `grouped`."""
    rows = sorted(rows, key=lambda row: len(row[0])) if grouped else list(rows)
    batches = [rows[at : at + BATCH] for at in range(0, n * BATCH, BATCH)]
    random.Random(0).shuffle(batches)
    return batches


def our_model(mode: str) -> mtf.MultiTaskModel:
    """Return MiniLM with a classifier, frozen as `mode` says."""
    model = mtf.MultiTaskModel.from_pretrained("sentence-transformers/all-MiniLM-L6-v2")
    model.add_head("classifier", mtf.SequenceClassification(labels=LABELS, dropout=0.1))
    return model if mode == "none" else model.freeze(mode)


def our_steps(mode: str, batches: list[Rows]) -> Callable[[], None]:
    """Return a function that takes a step a batch."""
    model = our_model(mode)
    ready = [make_batch(model, {"classifier": batch}) for batch in batches]

    def steps() -> None:
        for batch in ready:
            model.step(batch, learning_rate=RATES)

    return steps


def allocations_per_step(mode: str, batches: list[Rows]) -> float:
    """Return how often a step of the core allocates once its arenas are there."""
    model = our_model(mode)
    ready: list[Any] = [make_batch(model, {"classifier": batch}) for batch in batches]

    def steps() -> None:
        for batch in ready:
            model.step(batch, learning_rate=RATES)

    steps()
    before = _core.memory_info().n_allocations
    steps()
    return (_core.memory_info().n_allocations - before) / len(ready)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--case", type=int, choices=range(len(CASES)), help="only this one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mtf.set_threads(options.threads)
    texts, labels = sentences(options.batches * BATCH)
    rows = list(zip(texts, labels, strict=True))
    if options.case is None:
        print(f"### Training steps, batches of {BATCH}, {options.threads} threads\n")
        print(pairs.HEADER, flush=True)
        for case in range(len(CASES)):
            subprocess.run([sys.executable, *sys.argv, "--case", str(case)], check=True)
    else:
        roof = machine.fp32_roof(options.threads)
        mode, grouped, target, passes = CASES[options.case]
        batches = cut(rows, options.batches, grouped)
        theirs, tokens = torch_steps(mode, batches)
        pair = pairs.measure(theirs, our_steps(mode, batches), options.repeats)
        what = f"frozen: {mode}, {'grouped by length' if grouped else 'random order'}"
        flops = passes * FLOPS_PER_TOKEN * tokens
        print(pairs.row(what, pair, tokens, flops, roof, target), flush=True)
        return
    batches = cut(rows, options.batches, True)
    counts = {mode: allocations_per_step(mode, batches) for mode, _, _, _ in CASES}
    said = ", ".join(f"{mode}: {count:g}" for mode, count in counts.items())
    print(f"\nAllocations of the core per step after warm-up: {said}")


if __name__ == "__main__":
    main()
