"""One short text at a time with all-MiniLM-L6-v2: p50 and p99 of mtfreeze and of every peer.

SST-2 sentences, each a call of its own, token ids in on both sides. Peers run at the better of
n threads and one (p50 of a first round). Every engine is a process of its own; all of them take
the same texts in turn, round after round. Prints markdown.

    python benchmarks/bench_latency.py [--threads 2] [--repeats 5] [--texts 320]
        [--precision fp32 bf16 int8] [--peers NAME ...]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from parts import engines as en
from parts import machine, sst2
from parts import workloads as wl
from parts.figures import Spread, Target, header, line, spread, verdicts
from peers import OURS, Entry

TARGETS = {
    "fp32": ("fp32", Target(0.85, 0.75, at_most=True)),
    "bf16": ("fp32", Target(0.5, 0.4, at_most=True)),
    "int8": ("int8", Target(0.85, 0.6, at_most=True)),
}
"""Precision of mtfreeze: precision of ONNX Runtime that it is held against, and the limit."""


def times(engine: en.Running, work: wl.Workload) -> np.ndarray:
    """Return the seconds of every text."""
    return np.array(engine.worker("latencies", name=work.name))


def at_best(running: list[en.Running], work: wl.Workload) -> dict[Entry, tuple[en.Running, str]]:
    """Return each engine at the setting with the lowest p50, and the p50 of each setting in ms."""
    tried: dict[Entry, list[tuple[float, en.Running]]] = {}
    for engine in running:
        times(engine, work)
        tried.setdefault(engine.entry, []).append((float(np.median(times(engine, work))), engine))
    best = {}
    for entry, found in tried.items():
        found.sort(key=lambda one: one[0])
        said = ", ".join(f"{e.setting}: {1e3 * p50:.2f}" for p50, e in found)
        best[entry] = (found[0][1], said if len(found) > 1 else "")
    return best


def quantiles(rounds: list[np.ndarray]) -> tuple[float, float]:
    """Return p50 and p99 in ms, each the median over the rounds."""
    p50, p99 = (statistics.median(float(np.quantile(r, q)) for r in rounds) for q in (0.5, 0.99))
    return 1e3 * p50, 1e3 * p99


def ratio(mine: list[np.ndarray], theirs: list[np.ndarray]) -> Spread:
    """Return our p50 over theirs, round by round: below 1 we are faster."""
    pairs = zip(mine, theirs, strict=True)
    return spread([float(np.median(a) / np.median(b)) for a, b in pairs])


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--texts", type=int, default=320)
    parser.add_argument("--precision", nargs="+", choices=en.PRECISIONS, default=en.PRECISIONS)
    parser.add_argument("--peers", nargs="+", help="only these, e.g. 'ONNX Runtime'")
    options = parser.parse_args()
    # bf16 is held against ONNX Runtime's fp32.
    precisions = list(dict.fromkeys(["fp32", *options.precision]))
    entries, missing = en.chosen(options.peers, precisions)
    with tempfile.TemporaryDirectory() as folder:
        texts, _ = sst2.sentences(options.texts)
        work = wl.write(Path(folder), "single", texts, wl.token_counts(texts), False)
        roofs = machine.roofs(options.threads)
        mine = [entry for entry in OURS if entry.precision in precisions]
        everyone = [*mine, *entries]
        running, failed = en.start_all(everyone, [work], options.threads, single=True)
        en.check_all(running, work)
        best = at_best(running, work)
        rounds: dict[Entry, list[np.ndarray]] = {entry: [] for entry in best}
        for _ in range(options.repeats):
            for entry, (engine, _) in best.items():
                rounds[entry].append(times(engine, work))
        for engine in running:
            engine.worker.close()
        roofs = machine.higher_roofs(roofs, options.threads)
    print(f"### One text at a time, {options.texts} SST-2 sentences, {options.threads} threads\n")
    print(f"{work.tokens / work.n_texts:.1f} tokens on average, token ids in.", end=" ")
    print(machine.said_roofs(roofs), end="\n\n")
    print("\n".join([*missing, *failed, ""]))
    print(header("engine", "best setting", "each setting, p50 ms", "p50 ms", "p99 ms",
                 "mtfreeze's p50 to it (lowest-highest)", "at the roof, ms"))  # fmt: skip
    for entry, (engine, tried) in best.items():
        p50, p99 = quantiles(rounds[entry])
        own = next((one for one in mine if one.precision == entry.precision), None)
        beside = "" if own in (None, entry) else str(ratio(rounds[own], rounds[entry]))
        limit = 1e3 * work.flops / work.n_texts / 1e9 / roofs[entry.precision]
        print(line(entry.label, engine.setting, tried, f"{p50:.2f}", f"{p99:.2f}", beside,
                   f"{limit:.2f}"))  # fmt: skip
    found = []
    for own in mine:
        against, target = TARGETS[own.precision]
        peer = next((e for e in best if e.label == f"ONNX Runtime {against}"), None)
        if peer is not None and own.precision in options.precision:
            value = ratio(rounds[own], rounds[peer]).median
            what = f"one text, p50, {own.label} to {peer.label}"
            found.append((what, f"{value:.2f}x", target.said(value)))
    print(f"\n{verdicts(found)}")


if __name__ == "__main__":
    main()
