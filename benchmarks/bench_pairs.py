"""Labelled pairs, each text by itself: a siamese head against sentence-transformers' SoftmaxLoss.

all-MiniLM-L6-v2 on pairs of STS-B with three labels by their score, as sets of natural language
inference have: below 2, below 4, from 4 on. First the loss and every gradient of one batch of 64,
ours against theirs in float64, nothing drawn, both with the same head. Then an epoch: batch 16,
rate 2e-5, warm-up over a tenth and down to zero, AdamW, clipping at 1, each side with an order and
a dropout of its own; accuracy on the test pairs. Each side is a process of its own and takes its
turn. Prints markdown.

    python benchmarks/bench_pairs.py [--threads 2] [--seeds 3] [--epochs 1] [--rows 5749]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from typing import Any

from bench_stsb import read
from parts.figures import Target, header, line
from parts.workers import Worker

LABELS = ["different", "related", "alike"]
BATCH = 64
SAME = Target(1e-5, at_most=True)
"""Relative, for float32; the tests hold small models to the same."""


def labelled(name: str, n: int | None = None) -> list[tuple[str, str, str]]:
    """Return pairs with labels, or end the program with status 0."""
    return [(a, b, LABELS[(score >= 0.4) + (score >= 0.8)]) for a, b, score in read(name)[:n]]


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rows", type=int, default=5749)
    options = parser.parse_args()
    train, test = labelled("train.csv", options.rows), labelled("test.csv")
    sides = {
        "sentence-transformers": "parts.similarity_peers:TheirLabelledPairs",
        "mtfreeze": "parts.similarity_ours:OurLabelledPairs",
    }
    workers = {
        side: Worker(target, options.threads, threads=options.threads)
        for side, target in sides.items()
    }
    batch = train[:: max(1, len(train) // BATCH)][:BATCH]
    with tempfile.TemporaryDirectory() as folder:
        given = {"rows": batch, "labels": LABELS, "path": f"{folder}/ours.npz"}
        loss = workers["mtfreeze"]("first_step", **given)
        theirs = workers["sentence-transformers"]("first_step", **given)
    print(header(f"{len(batch)} pairs, to float64", "relative difference"))
    figures = {
        "loss": abs(loss - theirs["loss"]) / theirs["loss"],
        "gradient of all weights, norm over norm": theirs["off"],
    }
    for name, apart in figures.items():
        print(line(name, f"{apart:.1e}: {SAME.said(apart, '{:.0e}')}"))
    print()
    print(header("side", "accuracy by seed", "mean", "seconds", "CPU s", "ratio"))
    runs: dict[str, list[dict[str, Any]]] = {side: [] for side in workers}
    for seed in range(options.seeds):
        for side, worker in workers.items():
            given = {"held_out": test, "seed": seed, "labels": LABELS, "epochs": options.epochs}
            runs[side].append(worker("run", rows=train, **given))
    base = statistics.median(one["cpu"] for one in runs["sentence-transformers"])
    for side, found in runs.items():
        scores = [one["score"] for one in found]
        seconds, cpu = (statistics.median(one[k] for one in found) for k in ("seconds", "cpu"))
        shown = " ".join(f"{one:.4f}" for one in scores)
        ratio = f"{cpu / base:.2f}x" if side == "mtfreeze" else ""
        print(
            line(
                side, shown, f"{statistics.mean(scores):.4f}", f"{seconds:.1f}", f"{cpu:.1f}", ratio
            )
        )


if __name__ == "__main__":
    main()
