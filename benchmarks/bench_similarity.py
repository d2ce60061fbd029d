"""Losses over batches: what each costs beside its step, and a batch that is larger than memory.

The first table: value and gradient of every loss on made-up vectors, 384 wide, as a share of the
step that they belong to (forward and backward of MiniLM on as many texts of 16 tokens, on this
machine). The second: gradients of one batch of pairs in two passes with the usual token budget,
against one pass over the same texts with a loss that couples nothing, in the same micro-batches,
and against one pass that keeps all of the batch: two passes compute the forward pass twice, which
is 4/3 of the work of one. Prints markdown.

    python benchmarks/bench_similarity.py [--threads 2] [--repeats 5] [--batch 1024]
        [--only losses|passes]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np
from parts import sst2
from parts.figures import Target, header, line, spread
from parts.workers import Worker

from mtfreeze.losses.batch_losses import KINDS, SimilarityLoss
from mtfreeze.losses.batch_rows import BatchRows

WIDTH, TOKENS = 384, 16
SHARE = Target(0.03, at_most=True)
TWICE = Target(1.35, at_most=True)
WORK_OF_TWO = 4 / 3


def seconds_of(name: str, n: int, repeats: int) -> float:
    """Return the least seconds of a loss on n rows."""
    n_texts = max(KINDS[name].texts[0], 3 if name in ("triplet", "margin_mse") else 2)
    rng = np.random.default_rng(0)
    scores = np.repeat(rng.integers(0, 2, (n, 1)).astype(float), n_texts, axis=1)
    texts = np.arange(n * n_texts).reshape(n, n_texts)
    rows = BatchRows(rng.normal(size=(n, n_texts, WIDTH)), scores, texts)
    loss = SimilarityLoss(name)
    found = []
    for _ in range(repeats + 1):
        start = time.process_time()
        loss.of_rows(rows)
        found.append(time.process_time() - start)
    return min(found)


def pairs(n: int) -> list[tuple[str, str]]:
    """Return pairs of different sentences."""
    texts, _ = sst2.sentences(2 * n)
    return list(zip(texts[:n], texts[n:], strict=True))


def show_losses(worker: Worker, options: argparse.Namespace) -> None:
    """Measure the losses beside their steps."""
    for n in (32, min(256, options.batch)):
        rows = [(" ".join(["word"] * (TOKENS - 2)), " ".join(["text"] * (TOKENS - 2)))] * n
        steps = [worker("run", rows=rows, token_budget=10**6)["cpu"] for _ in range(3)]
        step = min(steps) / (2 * n)  # a text
        print(header(f"loss of {n} rows", "CPU ms", "its step, CPU ms", "share"))
        for name in KINDS:
            n_texts = 3 if name in ("triplet", "margin_mse") else 2
            own, whole = seconds_of(name, n, options.repeats), step * n * n_texts
            share = f"{own / whole:.2%}: {SHARE.said(own / whole, '{:.0%}')}"
            print(line(name, f"{1e3 * own:.2f}", f"{1e3 * whole:.0f}", share))
        print(flush=True)


def show_passes(worker: Worker, options: argparse.Namespace) -> None:
    """Measure one batch in one pass and in two, in turn."""
    rows = pairs(options.batch)
    found: dict[str, list[float]] = {"plain": [], "two passes": [], "all kept": []}
    worker("run", rows=rows[:64], token_budget=1024)  # packs the weights
    for _ in range(options.repeats):
        found["plain"].append(worker("plain", rows=rows, token_budget=4096)["cpu"])
        found["two passes"].append(worker("run", rows=rows, token_budget=4096)["cpu"])
        found["all kept"].append(worker("run", rows=rows, token_budget=10**7)["cpu"])
    names = {
        "plain": "one pass, a loss of single rows",
        "two passes": "two passes",
        "all kept": "one pass, all kept",
    }
    print(header(f"{options.batch} pairs", "CPU s", "to the plain pass", "over its FLOPs"))
    for name, values in found.items():
        ratio = spread([b / a for a, b in zip(found["plain"], values, strict=True)])
        judged = f"{ratio}: {TWICE.said(ratio.median)}" if name == "two passes" else ""
        over = f"{ratio.median / WORK_OF_TWO:.2f}x" if name == "two passes" else ""
        print(line(names[name], f"{statistics.median(values):.2f}", judged, over))


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--only", choices=("losses", "passes"))
    options = parser.parse_args()
    worker = Worker("parts.similarity_ours:OurBatch", options.threads, threads=options.threads)
    if options.only != "passes":
        show_losses(worker, options)
    if options.only != "losses":
        show_passes(worker, options)


if __name__ == "__main__":
    main()
