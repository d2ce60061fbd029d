"""How cost grows: with length, batch, threads and model size; a forward pass and a training step.

all-MiniLM-L6-v2, and BERT-base with seeded random weights, on random token ids. Length: 16 to 512
tokens, as many sequences as make 2,048 tokens. Batch: 1 to 512 sequences of 24 tokens. Threads: 1
to as many as there are cores, 64 sequences of 32. mtfreeze in fp32 and bf16 beside PyTorch in fp32,
each in a process of its own, timed alternately, medians. Points above `--budget` TFLOP are left
out. Prints markdown and, on request, draws a picture.

    python benchmarks/bench_scaling.py [--threads 2] [--repeats 5] [--budget 2] [--picture FILE]
        [--model MiniLM-L6 BERT-base] [--series length batch threads]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import NamedTuple

from parts import machine
from parts.figures import Target, header, line, verdicts
from parts.scaling_sides import bert_base_folder
from parts.workers import Worker
from parts.workloads import forward_flops
from peers.folder import minilm_folder

SHAPES = {"MiniLM-L6": (384, 6, 1536), "BERT-base": (768, 12, 3072)}
LENGTHS = (16, 32, 64, 128, 256, 512)
BATCHES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
WORKS = {"forward": 1, "step": 3}
"""What is timed: its FLOPs over those of a forward pass."""
SIDES = (
    ("mtfreeze fp32", "parts.scaling_sides:OurScaling", "fp32"),
    ("mtfreeze bf16", "parts.scaling_sides:OurScaling", "bf16"),
    ("PyTorch fp32", "parts.scaling_sides:TorchScaling", "fp32"),
)


class Point(NamedTuple):
    """One measured point."""

    model: str
    work: str
    series: str
    at: int
    """Length, batch size or threads."""
    side: str
    seconds: float
    tokens: int
    flops: float


def shapes_of(series: str, most_threads: int) -> list[tuple[int, int, list[int]]]:
    """Return (where, threads, lengths of the sequences) of a series."""
    if series == "length":
        return [(n, most_threads, [n] * (2048 // n)) for n in LENGTHS]
    if series == "batch":
        return [(n, most_threads, [24] * n) for n in BATCHES]
    steps = sorted({1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, most_threads})
    return [(n, n, [32] * 64) for n in steps if n <= most_threads]


def run(
    model: str, folder: Path, series: list[str], threads: int, repeats: int, budget: float
) -> list[Point]:
    """Measure the series of a model."""
    workers = {
        name: Worker(target, threads, folder=str(folder), precision=precision, threads=threads)
        for name, target, precision in SIDES
    }
    points = []
    for one in series:
        most = (os.cpu_count() or 1) if one == "threads" else threads
        for at, n_threads, lengths in shapes_of(one, most):
            for worker in workers.values():
                worker("threads", n=n_threads)
            for work, passes in WORKS.items():
                flops = passes * forward_flops(lengths, *SHAPES[model])
                if flops > budget:
                    continue
                taken: dict[str, list[float]] = {name: [] for name in workers}
                for _ in range(repeats + 1):
                    for name, worker in workers.items():
                        taken[name].append(worker(work, lengths=lengths))
                for name, times in taken.items():
                    seconds = statistics.median(times[1:])
                    tokens = sum(lengths)
                    points.append(Point(model, work, one, at, name, seconds, tokens, flops))
    for worker in workers.values():
        worker.close()
    return points


def table(points: list[Point], model: str, series: str, roofs: dict[str, float]) -> str:
    """Return the table of a series: milliseconds, tokens per second, share of the roof."""
    names = [name for name, _, _ in SIDES]
    rows = [header("work", series, *(f"{name}, ms (tokens/s, of roof)" for name in names))]
    chosen = [p for p in points if (p.model, p.series) == (model, series)]
    for work in WORKS:
        for at in dict.fromkeys(p.at for p in chosen if p.work == work):
            cells = []
            for name in names:
                p = next(p for p in chosen if (p.work, p.at, p.side) == (work, at, name))
                share = p.flops / p.seconds / 1e9 / roofs[name.split()[-1]]
                # The roof is that of all threads.
                said = "" if series == "threads" else f", {share:.0%}"
                cells.append(f"{1e3 * p.seconds:.2f} ({p.tokens / p.seconds:,.0f}{said})")
            rows.append(line(work, at, *cells))
    return "\n".join(rows)


def efficiency(points: list[Point]) -> str:
    """Return thread efficiency, time of one thread over n times that of n, with verdicts."""
    rows = []
    for p in points:
        if p.series != "threads" or p.at == 1 or not p.side.startswith("mtfreeze"):
            continue
        one = next(
            q
            for q in points
            if q.at == 1
            and (q.model, q.work, q.series, q.side) == (p.model, p.work, p.series, p.side)
        )
        value = one.seconds / (p.at * p.seconds)
        target = {2: Target(0.9), 16: Target(0.75)}.get(p.at)
        what = f"{p.side}, {p.model}, {p.work}: efficiency at {p.at} threads"
        rows.append((what, f"{value:.2f}", "" if target is None else target.said(value)))
    return verdicts(rows)


def draw(points: list[Point], path: Path) -> None:
    """Draw tokens per second against length, batch and threads, a row of panels a model."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    models = list(dict.fromkeys(p.model for p in points))
    series = list(dict.fromkeys(p.series for p in points))
    size = (4.2 * len(series), 3.4 * len(models))
    figure, panels = pyplot.subplots(
        len(models), len(series), figsize=size, squeeze=False, sharey="row"
    )
    looks = {
        name: {"color": f"C{i}", "marker": "os^"[i], "markersize": 4}
        for i, (name, _, _) in enumerate(SIDES)
    }
    styles = {"forward": "-", "step": "--"}
    for row, model in zip(panels, models, strict=True):
        for panel, one in zip(row, series, strict=True):
            for name, look in looks.items():
                for work, style in styles.items():
                    own = [
                        p
                        for p in points
                        if (p.model, p.series, p.side, p.work) == (model, one, name, work)
                    ]
                    rates = [p.tokens / p.seconds for p in own]
                    label = f"{name}, {work}"
                    places = [p.at for p in own]
                    panel.plot(places, rates, linestyle=style, label=label, **look)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            for axis in (panel.xaxis, panel.yaxis):
                axis.set_major_formatter("{x:,g}")
                axis.set_minor_formatter("")
            panel.grid(alpha=0.3)
            panel.set_xlabel({"length": "tokens a sequence", "batch": "sequences"}.get(one, one))
            panel.set_title(model)
        row[0].set_ylabel("tokens per second")
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncol=len(SIDES), frameon=False)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path, dpi=120)


def main() -> None:
    """Measure, print the tables, draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--budget", type=float, default=2.0, help="TFLOP of one point at most")
    parser.add_argument("--model", nargs="+", choices=tuple(SHAPES), default=list(SHAPES))
    kinds = ("length", "batch", "threads")
    parser.add_argument("--series", nargs="+", choices=kinds, default=kinds)
    parser.add_argument("--picture", type=Path, help="file to draw to, .png or .svg")
    options = parser.parse_args()
    folders = {"MiniLM-L6": minilm_folder, "BERT-base": bert_base_folder}
    roofs = machine.roofs(options.threads)
    points: list[Point] = []
    for model in options.model:
        points += run(
            model,
            folders[model](),
            options.series,
            options.threads,
            options.repeats,
            1e12 * options.budget,
        )
    roofs = machine.higher_roofs(roofs, options.threads)
    print(f"### Cost against length, batch, threads and model size, {options.threads} threads\n")
    print(machine.said_roofs(roofs))
    for model in options.model:
        for series in options.series:
            print(f"\n#### {model}, {series}\n\n{table(points, model, series, roofs)}")
    if "threads" in options.series:
        print(f"\n{efficiency(points)}")
    if options.picture:
        draw(points, options.picture)


if __name__ == "__main__":
    main()
