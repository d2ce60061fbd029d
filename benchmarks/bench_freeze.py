"""What the cache of the frozen prefix is worth: five epochs on SST-2 sentences, MiniLM.

Every case is a whole training: mtfreeze with `cache="memory"` (an empty cache each time, its cost
counted) against itself with `cache=False`; against PyTorch that recomputes the frozen part, on
batches grouped by length and random ones; against PyTorch on features computed once; and against
`SentenceTransformer.encode` + scikit-learn's LogisticRegression, with the accuracy of both. Texts
are tokenized before the clock starts, but for the last case, where both sides begin with texts.
Each side runs in a process of its own, timed alternately. Prints markdown.

    python benchmarks/bench_freeze.py [--threads 2] [--repeats 5] [--rows 512] [--case N ...]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import statistics
from typing import Any, NamedTuple

from parts.figures import Target, header, line, spread
from parts.sst2 import sentences
from parts.workers import Worker

EPOCHS = 5
LOWER = "backbone[:3]"
OURS, TORCH = "parts.train_ours:OurEpochs", "parts.train_torch:TorchEpochs"
HELD_OUT = 512
Rows = list[tuple[str, int]]


class Case(NamedTuple):
    """A peer against mtfreeze, and the targets of whole runs and of one later epoch."""

    what: str
    mode: str
    peer: str
    peer_options: dict[str, Any]
    our_options: dict[str, Any]
    whole: Target | None
    later: Target | None = None


def against_torch(mode: str, whole: Target, later: Target | None, **options: Any) -> Case:
    """Return a case against PyTorch without a cache."""
    order = "grouped" if options["grouped"] else "random"
    return Case(f"against PyTorch {order}", mode, TORCH, options, {}, whole, later)


CASES = (
    Case("against cache=False", "backbone", OURS, {"cache": False}, {}, Target(4.5), Target(100)),
    Case("against cache=False", LOWER, OURS, {"cache": False}, {}, Target(1.15)),
    against_torch("backbone", Target(10), Target(200), grouped=True),
    Case("prefix in bf16, against PyTorch grouped", "backbone", TORCH, {"grouped": True},
         {"frozen_precision": "bf16"}, Target(18)),
    against_torch(LOWER, Target(1.9, 2.3), None, grouped=True),
    against_torch(LOWER, Target(3), None, grouped=False),
    Case("against PyTorch on features", "backbone", TORCH, {"cache": True}, {}, None, Target(3)),
)  # fmt: skip


def compare(case: Case, rows: Rows, threads: int, repeats: int) -> None:
    """Time both sides alternately and print two lines: whole runs, and one later epoch."""
    common = {"mode": case.mode, "rows": rows, "threads": threads}
    theirs = Worker(case.peer, threads, **common, **case.peer_options)
    ours = Worker(OURS, threads, **common, **case.our_options)
    theirs("seconds"), ours("seconds")
    times = [(theirs("seconds"), ours("seconds")) for _ in range(repeats)]
    theirs.close(), ours.close()
    for at, name in enumerate((f"{EPOCHS} epochs", "one later epoch")):
        ratio = spread([a[at] / b[at] for a, b in times])
        target = (case.whole, case.later)[at]
        medians = [statistics.median(one[at] for one in side) for side in zip(*times, strict=True)]
        said = "" if target is None else target.said(ratio.median)
        what = f"frozen: {case.mode}, {case.what}, {name}"
        print(line(what, *(f"{one:.4f}" for one in medians), ratio, said), flush=True)


class LogisticSide:
    """`SentenceTransformer.encode` and LogisticRegression, from texts to accuracy."""

    def __init__(self, rows: Rows, held_out: Rows, threads: int) -> None:
        import torch
        from peers.folder import minilm_folder
        from sentence_transformers import SentenceTransformer

        torch.set_num_threads(threads)
        self.rows, self.held_out = rows, held_out
        self.encoder = SentenceTransformer(str(minilm_folder()), device="cpu")

    def seconds(self) -> tuple[float, float]:
        """Return the seconds and the accuracy."""
        import time

        from sklearn.linear_model import LogisticRegression

        start = time.perf_counter()
        vectors = self.encoder.encode([text for text, _ in self.rows], batch_size=32)
        labels = [label for _, label in self.rows]
        classifier = LogisticRegression(max_iter=1000).fit(vectors, labels)
        tested = self.encoder.encode([text for text, _ in self.held_out], batch_size=32)
        accuracy = float(classifier.score(tested, [label for _, label in self.held_out]))
        return time.perf_counter() - start, accuracy


class OurSide:
    """mtfreeze, from texts to accuracy: a head on the frozen backbone."""

    def __init__(self, rows: Rows, held_out: Rows, threads: int) -> None:
        import mtfreeze as mtf

        mtf.set_threads(threads)
        self.rows, self.held_out, self.threads = rows, held_out, threads

    def seconds(self) -> tuple[float, float]:
        """Return the seconds, loading included, and the accuracy."""
        import time

        from parts.train_ours import LABELS, OurEpochs

        start = time.perf_counter()
        run = OurEpochs("backbone", self.rows, self.threads)
        run.train()
        found = run.model.predict("classifier", [text for text, _ in self.held_out])
        right = sum(p == LABELS[g] for p, (_, g) in zip(found, self.held_out, strict=True))
        return time.perf_counter() - start, right / len(self.held_out)


def against_logistic_regression(rows: Rows, held_out: Rows, threads: int, repeats: int) -> None:
    """Print the line of both from texts to accuracy."""
    options = {"rows": rows, "held_out": held_out, "threads": threads}
    theirs = Worker("bench_freeze:LogisticSide", threads, **options)
    ours = Worker("bench_freeze:OurSide", threads, **options)
    theirs("seconds"), ours("seconds")
    times = [(theirs("seconds"), ours("seconds")) for _ in range(repeats)]
    theirs.close(), ours.close()
    cells = [
        f"{statistics.median(one[0] for one in side):.3f} (accuracy {side[0][1]:.3f})"
        for side in zip(*times, strict=True)
    ]
    ratio = spread([a[0] / b[0] for a, b in times])
    what = "texts to accuracy, SentenceTransformer + LogisticRegression"
    print(line(what, *cells, ratio, ""), flush=True)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--case", type=int, nargs="+", help=f"only these, 0 to {len(CASES)}")
    options = parser.parse_args()
    texts, labels = sentences(options.rows + HELD_OUT)
    rows = list(zip(texts, labels, strict=True))
    rows, held_out = rows[: options.rows], rows[options.rows :]
    print(
        f"### A frozen prefix computed once: {EPOCHS} epochs, {options.rows} SST-2 sentences,"
        f" batches of 32, {options.threads} threads\n"
    )
    columns = ("", "peer, s", "mtfreeze with cache, s", "ratio (lowest-highest)", "target")
    print(header(*columns), flush=True)
    for number in options.case or range(len(CASES) + 1):
        if number < len(CASES):
            compare(CASES[number], rows, options.threads, options.repeats)
        else:
            against_logistic_regression(rows, held_out, options.threads, options.repeats)


if __name__ == "__main__":
    main()
