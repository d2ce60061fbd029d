"""Training steps on all-MiniLM-L6-v2: mtfreeze against PyTorch, fp32 and bf16.

A classifier on SST-2, batches of 32, AdamW with clipping; token ids are made before the clock
starts. Modes: nothing frozen, `backbone[:3]` frozen, backbone frozen; batches in random order and
grouped by length. PyTorch's bf16 is its autocast, mtfreeze's `precision="bf16"`: both keep fp32
weights. Each side runs in a process of its own, timed alternately (A B A B). Also counts the
allocations that a step makes in the core. Prints markdown.

    python benchmarks/bench_train.py [--threads 2] [--repeats 5] [--batches 8]
        [--mode none backbone[:3] backbone] [--precision fp32 bf16]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
import statistics
from typing import NamedTuple

from parts import machine
from parts.figures import Spread, Target, header, line, spread, verdicts
from parts.sst2 import FLOPS_PER_TOKEN, sentences
from parts.workers import Worker

BATCH = 32
MODES = {"none": 3.0, "backbone[:3]": 2.0, "backbone": 1.0}
"""What is frozen: FLOPs of a step over those of a forward pass."""
Rows = list[tuple[str, int]]


class Found(NamedTuple):
    """One comparison."""

    mode: str
    precision: str
    grouped: bool
    ratio: Spread
    speed: float
    """Of mtfreeze, in FLOP/s."""


def cut(rows: Rows, n: int, grouped: bool) -> list[Rows]:
    """Return `n` batches of `rows`, each of neighbours by length where `grouped`."""
    rows = sorted(rows, key=lambda row: len(row[0])) if grouped else list(rows)
    batches = [rows[at : at + BATCH] for at in range(0, n * BATCH, BATCH)]
    random.Random(0).shuffle(batches)
    return batches


def compare(
    mode: str, precision: str, batches: list[Rows], threads: int, repeats: int
) -> tuple[int, list[tuple[float, float]], list[int], float]:
    """Return real tokens, seconds of both sides alternately, peaks, and allocations of a step."""
    options = {"mode": mode, "batches": batches, "threads": threads, "precision": precision}
    theirs = Worker("parts.train_torch:TorchSteps", threads, **options)
    ours = Worker("parts.train_ours:OurSteps", threads, **options)
    tokens = [side("tokens") for side in (theirs, ours)]
    if tokens[0] != tokens[1]:
        raise SystemExit(f"the two do not see the same: {tokens[0]} and {tokens[1]} tokens")
    for side in (theirs, ours):
        side("seconds")
    times = [(theirs("seconds"), ours("seconds")) for _ in range(repeats)]
    peaks = [side("peak") for side in (theirs, ours)]
    allocations = ours("allocations")
    theirs.close()
    ours.close()
    return tokens[0], times, peaks, allocations


def judge(found: list[Found], allocations: float, roofs: dict[str, float]) -> str:
    """Return the targets with their verdicts; those without a measured figure are left out."""
    rows: list[tuple[str, str, str]] = []
    full = {(one.precision, one.grouped): one for one in found if one.mode == "none"}
    if ("fp32", True) in full:
        one = full["fp32", True]
        share, ratio = one.speed / 1e9 / roofs["fp32"], one.ratio.median
        said = Target(0.72, 0.8).said(share, "{:.0%}")
        rows.append(("full fine-tuning fp32, share of the roof", f"{share:.1%}", said))
        said = Target(1.85, 2.1).said(ratio)
        rows.append(("full fine-tuning fp32, to PyTorch grouped", f"{ratio:.2f}x", said))
    if ("fp32", False) in full:
        ratio = full["fp32", False].ratio.median
        said = Target(2.6).said(ratio)
        rows.append(("full fine-tuning fp32, to PyTorch random", f"{ratio:.2f}x", said))
    if ("bf16", True) in full:
        ratio = full["bf16", True].ratio.median
        said = Target(1.8, 2.5).said(ratio)
        what = "full fine-tuning bf16, to PyTorch bf16 autocast grouped"
        rows.append((what, f"{ratio:.2f}x", said))
    said = Target(0, at_most=True).said(allocations, "{:g}")
    rows.append(("allocations of the core per step, most of all modes", f"{allocations:g}", said))
    return verdicts(rows)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=8)
    parser.add_argument("--mode", nargs="+", choices=tuple(MODES), default=list(MODES))
    parser.add_argument(
        "--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32", "bf16"]
    )
    options = parser.parse_args()
    texts, labels = sentences(options.batches * BATCH)
    rows = list(zip(texts, labels, strict=True))
    roofs = machine.roofs(options.threads)
    print(f"### Training steps, batches of {BATCH}, {options.threads} threads\n")
    print(header("frozen", "precision", "batches", "PyTorch, tokens/s (of roof)", "mtfreeze",
                 "ratio (lowest-highest)", "peak MB, PyTorch / mtfreeze"), flush=True)  # fmt: skip
    found: list[Found] = []
    most = 0.0
    for precision in options.precision:
        for mode in options.mode:
            for grouped in (True, False):
                batches = cut(rows, options.batches, grouped)
                tokens, times, peaks, allocations = compare(
                    mode, precision, batches, options.threads, options.repeats
                )
                roofs = machine.higher_roofs(roofs, options.threads)
                most = max(most, allocations)
                flops = MODES[mode] * FLOPS_PER_TOKEN * tokens
                ratio = spread([a / b for a, b in times])
                medians = [statistics.median(side) for side in zip(*times, strict=True)]
                cells = [
                    f"{tokens / s:,.0f} ({flops / s / 1e9 / roofs[precision]:.0%})" for s in medians
                ]
                order = "grouped by length" if grouped else "random"
                said = " / ".join(f"{peak / 1e6:,.0f}" for peak in peaks)
                print(line(mode, precision, order, *cells, ratio, said), flush=True)
                found.append(Found(mode, precision, grouped, ratio, flops / medians[1]))
    print(f"\n{machine.said_roofs(roofs)}\n\n{judge(found, most, roofs)}")


if __name__ == "__main__":
    main()
