"""LoRA of rank 8 on a BERT of base size with random weights: mtfreeze against PEFT.

Batches of 32 SST-2 sentences, neighbours by length or in random order; adapters at query and value
of all layers, or of the upper half with what lies below stored. The base is frozen and without
dropout on both sides. Each side runs in a process of its own, timed alternately (A B A B) after one
round that is not counted. Where other work runs on the machine, `--clock cpu --threads 1`. Prints
markdown.

    python benchmarks/bench_adapters.py [--threads 2] [--repeats 3] [--batches 3]
        [--clock wall|cpu] [--layers 12]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import os
import random
import statistics

from parts import workloads as wl
from parts.figures import Target, header, line, spread, verdicts
from parts.sst2 import sentences
from parts.workers import Worker


def batches_of(n: int, grouped: bool) -> list[list[str]]:
    """Return `n` batches of texts: neighbours by length, or as they come."""
    texts = sentences(n * wl.BATCH)[0]
    if grouped:
        texts = [text for _, text in sorted(zip(wl.token_counts(texts), texts, strict=True))]
    else:
        random.Random(0).shuffle(texts)
    return [texts[at : at + wl.BATCH] for at in range(0, len(texts), wl.BATCH)]


def measure(
    options: argparse.Namespace, grouped: bool, first: int
) -> tuple[int, list[tuple[float, float]], list[int]]:
    """Return tokens, seconds of both sides in turn, and their peaks in bytes."""
    given = {
        "first": first,
        "layers": options.layers,
        "batches": batches_of(options.batches, grouped),
        "threads": options.threads,
        "clock": options.clock,
    }
    theirs = Worker("parts.adapter_sides:PeftLora", options.threads, **given)
    ours = Worker("parts.adapter_sides:OurLora", options.threads, **given)
    what = "epoch" if first else "step"
    for side, name in ((theirs, "step"), (ours, what)):
        side(name)
    times = [(theirs("step"), ours(what)) for _ in range(options.repeats)]
    peaks = [side("peak") for side in (theirs, ours)]
    tokens = theirs("tokens")
    theirs.close()
    ours.close()
    return tokens, times, peaks


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, default=3)
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    parser.add_argument("--layers", type=int, default=12)
    options = parser.parse_args()
    print(f"### LoRA, rank 8, batches of {wl.BATCH}, {options.threads} threads, load "
          f"{os.getloadavg()[0]:.1f}\n")  # fmt: skip
    print(header("adapters", "batches", "PEFT, tokens/s", "mtfreeze", "ratio (lowest-highest)",
                 "peak MB, PEFT / mtfreeze"), flush=True)  # fmt: skip
    rows = []
    half = options.layers // 2
    cases = [(True, 0, Target(1.05)), (False, 0, Target(2.0)), (True, half, Target(1.5))]
    for grouped, first, target in cases:
        tokens, times, peaks = measure(options, grouped, first)
        ratio = spread([a / b for a, b in times])
        speeds = [f"{tokens / statistics.median(s):,.0f}" for s in zip(*times, strict=True)]
        where = f"layers {first}-{options.layers - 1}, prefix stored" if first else "all layers"
        order = "grouped by length" if grouped else "random"
        said = " / ".join(f"{peak / 1e6:,.0f}" for peak in peaks)
        print(line(where, order, *speeds, ratio, said), flush=True)
        rows.append((f"{where}, {order}", f"{ratio.median:.2f}x", target.said(ratio.median)))
        if not first:
            share = peaks[1] / peaks[0]
            judged = Target(0.8, at_most=True).said(share, "{:.2f}")
            rows.append((f"memory, {order}", f"{share:.2f}", judged))
    print(f"\n{verdicts(rows)}")


if __name__ == "__main__":
    main()
