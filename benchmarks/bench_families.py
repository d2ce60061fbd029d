"""Every family at base size: forward and full steps, mtfreeze against PyTorch.

Models have random weights and the sizes of the usual "base" models; texts are SST-2 sentences in
batches of 32 that are neighbours by length, and texts of 128 to 256 tokens. Both sides run in
processes of their own, timed alternately (A B A B), after one round that is not counted, and the
roof in turn with them. PyTorch's bf16 is its autocast. Prints one markdown table; models are made
once, in the benchmarks' cache. Where other work runs on the machine, `--clock cpu --threads 1`.

    python benchmarks/bench_families.py [--threads 2] [--repeats 3] [--batches 2]
        [--family bert mpnet ...] [--precision fp32 bf16 int8] [--work short long] [--no-steps]
        [--clock wall|cpu] [--layers 3]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics

from parts import machine
from parts import workloads as wl
from parts.family_models import MODELS, folder_of
from parts.figures import header, line, spread
from parts.sst2 import sentences
from parts.workers import Worker


def batches_of(work: str, n: int) -> list[list[str]]:
    """Return `n` batches of texts, each of neighbours by length."""
    if work == "long":
        texts = wl.long_texts(n * wl.BATCH // 4, wl.token_counts)
        size = wl.BATCH // 4
    else:
        texts, size = sentences(n * wl.BATCH)[0], wl.BATCH
    texts = [text for _, text in sorted(zip(wl.token_counts(texts), texts, strict=True))]
    return [texts[at : at + size] for at in range(0, len(texts), size)]


def measure(
    family: str, work: str, precision: str, options: argparse.Namespace, roofs: dict[str, float]
) -> list[str]:
    """Return the lines of one family, workload and precision."""
    given = {
        "model_type": family,
        "layers": options.layers,
        "batches": batches_of(work, options.batches),
        "threads": options.threads,
        "precision": precision,
        "clock": options.clock,
    }
    roof_side = Worker(
        "parts.family_sides:Roof", options.threads, threads=options.threads, clock=options.clock
    )
    ours = Worker("parts.family_sides:OurFamily", options.threads, **given)
    sides = [ours]
    if precision != "int8":  # PyTorch's own has no entry for these models
        sides.append(Worker("parts.family_sides:TorchFamily", options.threads, **given))
    tokens = {side("tokens") for side in sides}
    if len(tokens) > 1:
        raise SystemExit(f"the two do not see the same: {tokens} tokens")
    what = ["forward"] + ([] if options.no_steps or precision == "int8" else ["step"])
    lines = []
    for name in what:
        for side in sides:
            side(name)
        times, fp32 = [], [roof_side("rate")]
        for _ in range(options.repeats):
            times.append([side(name) for side in sides])
            fp32.append(roof_side("rate"))
        mine = statistics.median(row[0] for row in times)
        flops = ours("flops", training=name == "step")
        kind = precision if name == "forward" or precision == "fp32" else "bf16"
        roof = statistics.median(fp32) * roofs[kind] / roofs["fp32"]
        share = f"{tokens.copy().pop() / mine:,.0f} ({flops / mine / 1e9 / roof:.0%})"
        cells = [family, work, name, precision, share]
        if len(sides) > 1:
            ratio = spread([row[1] / row[0] for row in times])
            theirs = statistics.median(row[1] for row in times)
            peaks = " / ".join(f"{side('peak') / 1e6:,.0f}" for side in sides)
            cells += [f"{tokens.copy().pop() / theirs:,.0f}", str(ratio), peaks]
        else:
            cells += ["", "", f"{ours('peak') / 1e6:,.0f}"]
        lines.append(line(*cells))
    for side in [roof_side, *sides]:
        side.close()
    return lines


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--batches", type=int, default=2)
    parser.add_argument("--family", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument(
        "--precision", nargs="+", choices=("fp32", "bf16", "int8"), default=["fp32", "bf16", "int8"]
    )
    parser.add_argument("--work", nargs="+", choices=("short", "long"), default=["short", "long"])
    parser.add_argument("--no-steps", action="store_true")
    parser.add_argument("--layers", type=int, default=0, help="fewer than the base size has")
    parser.add_argument("--clock", choices=("wall", "cpu"), default="wall")
    options = parser.parse_args()
    for family in options.family:
        folder_of(family, options.layers)
    roofs = machine.roofs(options.threads)
    print(f"### Families at base size, {options.threads} threads, {options.clock} seconds\n")
    print(header("family", "texts", "what", "precision", "mtfreeze, tokens/s (of roof)",
                 "PyTorch", "ratio (lowest-highest)", "peak MB, mtfreeze / PyTorch"))  # fmt: skip
    for family in options.family:
        for work in options.work:
            for precision in options.precision:
                lines = measure(family, work, precision, options, roofs)
                print("\n".join(lines), flush=True)
    print(f"\n{machine.said_roofs(machine.higher_roofs(roofs, options.threads))}")


if __name__ == "__main__":
    main()
