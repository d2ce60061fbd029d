"""Encoding with all-MiniLM-L6-v2: mtfreeze against every engine that is installed.

Every peer gets SST-2 sentences in batches of 32, in random order and sorted by length, and long
texts of 128 to 256 tokens; each at the better of 1 stream x n threads and n streams x 1. mtfreeze
gets the list as it is. Token ids are the input on both sides; with `--tokenization in` texts are,
and one table of that kind is printed in any case. Every engine runs in a process of its own, timed
alternately (A B A B); their embeddings are compared before anything is timed. Prints markdown.

    python benchmarks/bench_encode.py [--threads 2] [--repeats 5] [--sentences 512]
        [--precision fp32 bf16 int8] [--peers NAME ...] [--work sorted random long]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from parts import engines as en
from parts import machine, sst2
from parts import workloads as wl
from parts.figures import Spread, Target, header, line, spread, verdicts
from peers import OURS, Entry

TITLES = {
    "sorted": "SST-2 sentences, sorted by length",
    "random": "SST-2 sentences, random order",
    "long": "texts of 128 to 256 tokens, sorted by length",
}


class Found(NamedTuple):
    """What one peer and mtfreeze in the same precision did on one workload."""

    peer: Entry
    work: str
    ratio: Spread
    speed: float
    """Of mtfreeze, in FLOP/s."""


def make_workloads(folder: Path, names: list[str], n: int) -> list[wl.Workload]:
    """Write the workloads asked for."""
    works = []
    for name in names:
        if name == "long":
            texts = wl.long_texts(max(wl.BATCH, n // 8), wl.token_counts)
        else:
            texts, _ = sst2.sentences(n)
        works.append(wl.write(folder, name, texts, wl.token_counts(texts), name != "random"))
    return works


def rate(tokens: int, flops: float, seconds: float, roof: float) -> str:
    """Return tokens per second and the share of the roof."""
    return f"{tokens / seconds:,.0f} ({flops / seconds / 1e9 / roof:.0%})"


def compare(
    running: list[en.Running], work: wl.Workload, way: str, repeats: int, roofs: dict[str, float]
) -> tuple[list[str], list[Found]]:
    """Time every peer against mtfreeze in its precision; return lines of the table, and figures."""
    ours = {e.entry.precision: e for e in running if e.entry in OURS}
    best = en.best_settings([e for e in running if e.entry not in OURS], work, way)
    for engine in ours.values():
        engine.seconds(work, way)
    taken: dict[Entry, list[tuple[float, float]]] = {entry: [] for entry in best}
    for _ in range(repeats):
        for entry, (peer, _) in best.items():
            mine = ours[entry.precision]
            taken[entry].append((peer.seconds(work, way), mine.seconds(work, way)))
    lines, found = [], []
    for entry, (peer, tried) in best.items():
        theirs, own = (statistics.median(times) for times in zip(*taken[entry], strict=True))
        roof = roofs[entry.precision]
        ratio = spread([a / b for a, b in taken[entry]])
        cells = [entry.label, str(peer.setting), tried]
        cells += [rate(work.tokens, work.flops, s, roof) for s in (theirs, own)]
        lines.append(line(*cells, ratio, f"{peer.worker('peak') / 1e6:,.0f}"))
        found.append(Found(entry, work.name, ratio, work.flops / own))
    for precision, engine in ours.items():
        if way == "run":
            seconds = statistics.median(engine.seconds(work, "run_batches") for _ in range(repeats))
            lines.append(
                line(
                    f"mtfreeze {precision}, one call a batch", engine.setting, "", "",
                    rate(work.tokens, work.flops, seconds, roofs[precision]), "",
                    f"{engine.worker('peak') / 1e6:,.0f}",
                )
            )  # fmt: skip
    return lines, found


def judge(
    found: list[Found], cosine: dict[str, tuple[float, float]], roofs: dict[str, float]
) -> str:
    """Return the targets with their verdicts; those without a measured figure are left out."""
    rows: list[tuple[str, str, str]] = []

    def against(what: str, name: str, precision: str, works: tuple[str, ...], to: Target) -> None:
        ratios = [
            one.ratio.median
            for one in found
            if one.peer.name.startswith(name)
            and one.peer.precision == precision
            and one.work in works
        ]
        if ratios:
            rows.append((what, f"{min(ratios):.2f}x", to.said(min(ratios))))

    def share(precision: str, to: Target) -> None:
        speeds = [
            one.speed for one in found if one.peer.precision == precision and one.work != "long"
        ]
        if speeds:
            best = max(speeds) / 1e9 / roofs[precision]
            what = f"encode {precision}, share of the {precision} roof"
            rows.append((what, f"{best:.1%}", to.said(best, "{:.0%}")))

    both = ("sorted", "random")
    share("fp32", Target(0.86, 0.92))
    against("encode fp32, to CTranslate2's best", "CTranslate2", "fp32", both, Target(1.06, 1.13))
    against("encode fp32, to PyTorch sorted", "PyTorch", "fp32", ("sorted",), Target(1.5))
    against("encode fp32, to PyTorch random", "PyTorch", "fp32", ("random",), Target(2.3))
    share("bf16", Target(0.72, 0.80))
    against("encode bf16, to OpenVINO's best", "OpenVINO", "bf16", both, Target(1.2, 1.33))
    against("encode int8, to CTranslate2's best", "CTranslate2", "int8", both, Target(1.3, 1.6))
    if "int8" in cosine:
        mean, least = cosine["int8"]
        said = Target(0.99).said(least, "{:.2f}")
        rows.append(("encode int8, least cosine to fp32", f"{least:.4f}, mean {mean:.4f}", said))
    return verdicts(rows)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sentences", type=int, default=512)
    parser.add_argument("--precision", nargs="+", choices=en.PRECISIONS, default=en.PRECISIONS)
    parser.add_argument("--peers", nargs="+", help="only these, e.g. CTranslate2")
    parser.add_argument("--work", nargs="+", choices=tuple(TITLES), default=list(TITLES))
    parser.add_argument("--tokenization", choices=("out", "in"), default="out")
    options = parser.parse_args()
    entries, missing = en.chosen(options.peers, options.precision)
    way = "run_texts" if options.tokenization == "in" else "run"
    with tempfile.TemporaryDirectory() as folder:
        works = make_workloads(Path(folder), options.work, options.sentences)
        roofs = machine.roofs(options.threads)
        ours = [e for e in OURS if e.precision in ("fp32", *options.precision)]
        running, failed = en.start_all([*ours, *entries], works, options.threads)
        print(f"### Encode, batches of {wl.BATCH}, {options.threads} threads\n")
        print("\n".join([*missing, *failed, ""]))
        table, cosine = en.check_all(running, works[0])
        print(f"Embeddings against mtfreeze fp32:\n\n{table}", flush=True)
        found: list[Found] = []
        again = [(works[0], "run_texts")] if way == "run" else []
        for work, this_way in [*((work, way) for work in works), *again]:
            how = "texts in" if this_way == "run_texts" else "token ids in"
            print(
                f"\n#### {TITLES[work.name]}: {work.n_texts} texts, {work.tokens} tokens, {how}\n"
            )
            print(
                header("peer", "best setting", "each setting, tokens/s", "peer, tokens/s (of roof)",
                       "mtfreeze, same precision", "ratio (lowest-highest)", "peak MB")
            )  # fmt: skip
            lines, here = compare(running, work, this_way, options.repeats, roofs)
            print("\n".join(lines), flush=True)
            found += here if this_way == way else []
        roofs = machine.higher_roofs(roofs, options.threads)
        print(f"\n{machine.said_roofs(roofs)}\n\n{judge(found, cosine, roofs)}")
        for engine in running:
            engine.worker.close()


if __name__ == "__main__":
    main()
