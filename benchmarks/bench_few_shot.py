"""Learning from 8 and 16 rows a label: `mtfreeze.few_shot` against SetFit on the same draws.

SST-2 sentences, all-MiniLM-L6-v2, the defaults of SetFit on both sides: all pairs, oversampled,
one pass at batch 16 and rate 2e-5, then a logistic regression. Judged on the development rows. Also
with the upper two layers alone, below which nothing runs backward. Each side is a process of its
own and takes its turn; seconds are those of training, texts in, without loading. Prints markdown.

    python benchmarks/bench_few_shot.py [--threads 2] [--seeds 3] [--rows 8 16] [--held-out 872]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from pathlib import Path
from typing import Any

from parts.figures import Target, header, line
from parts.workers import Worker

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "sst2"
NAMES = {"0": "negative", "1": "positive"}
TIME = Target(0.5, at_most=True)
UPPER = "backbone.layers[4:]"


def read(name: str) -> list[tuple[str, str]]:
    """Return the rows of a file, or end the program with status 0."""
    path = DATA / name
    if not path.is_file():
        print("skipped: needs sst2/ of shared/data beside the checkout")
        sys.exit(0)
    rows = (text.rsplit("\t", 1) for text in path.read_text("utf-8").split("\n") if text)
    return [(text, NAMES[label]) for text, label in rows]


def draw(rows: list[tuple[str, str]], n: int, seed: int) -> list[tuple[str, str]]:
    """Draw n rows of each label."""
    source = random.Random(seed)
    return [
        row
        for name in NAMES.values()
        for row in source.sample([one for one in rows if one[1] == name], n)
    ]


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[8, 16])
    parser.add_argument("--held-out", type=int, default=872)
    options = parser.parse_args()
    train, held_out = read("train.tsv"), read("dev.tsv")[: options.held_out]
    ours = Worker("parts.similarity_ours:OurFewShot", options.threads, threads=options.threads)
    theirs = Worker("parts.similarity_peers:SetFit", options.threads, threads=options.threads)
    print(header("rows a label", "side", "accuracy by seed", "mean", "seconds", "CPU s", "ratio"))
    for n in options.rows:
        runs: dict[str, list[dict[str, Any]]] = {}
        for seed in range(options.seeds):
            given = {"rows": draw(train, n, seed), "held_out": held_out, "seed": seed}
            runs.setdefault("SetFit", []).append(theirs("run", **given))
            runs.setdefault("mtfreeze", []).append(ours("run", **given))
            runs.setdefault(f"mtfreeze, {UPPER}", []).append(ours("run", **given, train=UPPER))
        base = statistics.median(one["cpu"] for one in runs["SetFit"])
        for side, found in runs.items():
            scores = [one["score"] for one in found]
            seconds, cpu = (statistics.median(one[k] for one in found) for k in ("seconds", "cpu"))
            print(
                line(
                    n, side, " ".join(f"{one:.3f}" for one in scores),
                    f"{statistics.mean(scores):.3f}", f"{seconds:.1f}", f"{cpu:.1f}",
                    "" if side == "SetFit" else TIME.said(cpu / base, "{:.2f}x")
                    + f": {cpu / base:.2f}x",
                )
            )  # fmt: skip


if __name__ == "__main__":
    main()
