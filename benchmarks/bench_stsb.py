"""STS-B: Spearman's rho on the test pairs, untouched and fine-tuned, against sentence-transformers.

all-MiniLM-L6-v2; cosine on scores divided by 5, and CoSENT; batch 16, rate 2e-5, warm-up over a
tenth and down to zero, AdamW, clipping at 1: the same recipe on both sides, each with an order and
a dropout of its own. Each side is a process of its own and takes its turn. `--rows` draws that many
training pairs at random, for the file is ordered by kind of text. Prints markdown.

    python benchmarks/bench_stsb.py [--threads 2] [--seeds 3] [--epochs 1] [--rows 5749]
        [--losses cosine cosent]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import csv
import random
import statistics
import sys
from pathlib import Path
from typing import Any

from parts.figures import header, line
from parts.workers import Worker

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "stsb"


def read(name: str) -> list[tuple[str, str, float]]:
    """Return pairs with scores from 0 to 1, or end the program with status 0."""
    path = DATA / name
    if not path.is_file():
        print("skipped: needs stsb/ of shared/data beside the checkout")
        sys.exit(0)
    with path.open(encoding="utf-8", newline="") as file:
        return [(a, b, float(score) / 5) for a, b, score in csv.reader(file)]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--rows", type=int, default=5749)
    parser.add_argument("--losses", nargs="+", default=["cosine", "cosent"])
    options = parser.parse_args()
    train, test = read("train.csv"), read("test.csv")
    if options.rows < len(train):
        train = random.Random(0).sample(train, options.rows)
    sides = {
        "sentence-transformers": "parts.similarity_peers:TheirPairs",
        "mtfreeze": "parts.similarity_ours:OurPairs",
    }
    workers = {
        side: Worker(target, options.threads, threads=options.threads)
        for side, target in sides.items()
    }
    print(
        header("loss", "side", "Spearman by seed", "mean", "seconds", "CPU s", "ratio"), flush=True
    )
    for loss, epochs in [("untouched", 0), *((one, options.epochs) for one in options.losses)]:
        runs: dict[str, list[dict[str, Any]]] = {side: [] for side in workers}
        for seed in range(options.seeds if epochs else 1):
            for side, worker in workers.items():
                runs[side].append(
                    worker(
                        "run", rows=train, held_out=test, seed=seed,
                        loss=loss if epochs else "cosine", epochs=epochs,
                    )
                )  # fmt: skip
        base = statistics.median(one["cpu"] for one in runs["sentence-transformers"])
        for side, found in runs.items():
            scores = [one["score"] for one in found]
            seconds, cpu = (statistics.median(one[k] for one in found) for k in ("seconds", "cpu"))
            ratio = f"{cpu / base:.2f}x" if epochs and side == "mtfreeze" else ""
            shown = " ".join(f"{one:.4f}" for one in scores)
            mean = f"{statistics.mean(scores):.4f}"
            cells = [loss, side, shown, mean, f"{seconds:.1f}", f"{cpu:.1f}", ratio]
            print(line(*cells), flush=True)


if __name__ == "__main__":
    main()
