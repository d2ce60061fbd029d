"""What the cache of the frozen prefix is worth: five epochs on SST-2 sentences, MiniLM, fp32.

Every case is a whole training: mtfreeze with `cache="memory"` (an empty cache each time, its cost
counted) against itself with `cache=False`; against PyTorch that recomputes the frozen part, on
batches grouped by length; against PyTorch on features computed once; and against
`SentenceTransformer.encode` + scikit-learn's LogisticRegression, with the accuracy of both. Texts
are tokenized before the clock starts, but for the last case, where both sides begin with texts.
Prints markdown; each case runs in a process of its own.

    python benchmarks/bench_freeze.py [--threads 2] [--repeats 5] [--rows 512]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pairs
import torch
import torch_train as tt
from bench_train_torch import BATCH, LABELS, Rows, torch_steps
from sst2 import sentences
from torch_model import TorchMultiTask

import mtfreeze as mtf
from mtfreeze.features import clear_memory

EPOCHS = 5
RATES = {"backbone": 2e-5, "heads": 1e-2}
MODEL = "sentence-transformers/all-MiniLM-L6-v2"


def our_model(mode: str) -> mtf.MultiTaskModel:
    """Return MiniLM with a classifier, frozen as `mode` says."""
    model = mtf.MultiTaskModel.from_pretrained(MODEL)
    model.add_head("classifier", mtf.SequenceClassification(labels=LABELS, dropout=0.1))
    return model.freeze(mode)


def our_run(model: mtf.MultiTaskModel, rows: Rows, cache: str | bool) -> mtf.Run:
    """Train five epochs, on an empty cache."""
    clear_memory()
    task = mtf.Task(train=[(text, LABELS[label]) for text, label in rows])
    return mtf.fit(
        model,
        {"classifier": task},
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=RATES,
        cache=cache,
        progress=False,
    )


def our_seconds(mode: str, rows: Rows, cache: str | bool) -> Callable[[], tuple[float, float]]:
    """Return a function giving seconds of a run, and of its later epochs (mean of one)."""
    model = our_model(mode)

    def run() -> tuple[float, float]:
        done = our_run(model, rows, cache)
        later = [
            row["seconds"] for row in done.history if row.get("epoch", 0) > 1 and "loss" in row
        ]
        seconds = done.metrics["train_runtime"] + done.metrics.get("prefix_runtime", 0.0)
        return seconds, sum(later) / (EPOCHS - 1)

    return run


def grouped(rows: Rows) -> Rows:
    """Return the rows in batches of neighbours by length, the batches in random order."""
    ordered = sorted(rows, key=lambda row: len(row[0]))
    batches = [ordered[at : at + BATCH] for at in range(0, len(rows), BATCH)]
    random.Random(0).shuffle(batches)
    return [row for batch in batches for row in batch]


def torch_seconds(mode: str, rows: Rows, cache: bool) -> Callable[[], tuple[float, float]]:
    """The same in PyTorch, on grouped batches; with `cache` on features computed once."""
    if not cache:
        ordered = grouped(rows)
        batches = [ordered[at : at + BATCH] for at in range(0, len(ordered), BATCH)]
        steps, _ = torch_steps(mode, batches)

        def recompute() -> tuple[float, float]:
            start = time.perf_counter()
            for _ in range(EPOCHS):
                steps()
            seconds = time.perf_counter() - start
            return seconds, seconds / EPOCHS

        return recompute
    model = TorchMultiTask({"classifier": ("sequence", len(LABELS))})
    task = tt.sequence_task(model, LABELS, [(text, LABELS[label]) for text, label in rows], [])

    def reuse() -> tuple[float, float]:
        marks: list[float] = []
        per_epoch = -(-len(rows) // BATCH)
        start = time.perf_counter()
        tt.train(
            model, {"classifier": task}, mode, epochs=EPOCHS, batch_size=BATCH, rates=RATES,
            cache=True, report=lambda step, _: marks.append(time.perf_counter()),
        )  # fmt: skip
        later = (marks[-1] - marks[per_epoch - 1]) / (EPOCHS - 1)
        return marks[-1] - start, later

    return reuse


def compare(
    what: str,
    a: Callable[[], tuple[float, float]],
    b: Callable[[], tuple[float, float]],
    repeats: int,
    targets: tuple[float | None, float | None],
) -> None:
    """Time a and b alternately and print two lines: whole runs, and one later epoch."""
    a(), b()
    times = [(a(), b()) for _ in range(repeats)]
    for at, name in enumerate(("five epochs", "one later epoch")):
        ratios = [x[at] / y[at] for x, y in times]
        ratio, target = statistics.median(ratios), targets[at]
        said = "" if target is None else f"{target:g} {'met' if ratio >= target else 'NOT met'}"
        print(
            f"| {what}, {name} | {statistics.median(x[at] for x, _ in times):.4f} |"
            f" {statistics.median(y[at] for _, y in times):.4f} |"
            f" {ratio:.2f} ({min(ratios):.2f}-{max(ratios):.2f}) | {said} |",
            flush=True,
        )


def against_logistic_regression(rows: Rows, held_out: Rows, repeats: int) -> None:
    """From texts to accuracy: SentenceTransformer.encode + LogisticRegression, and mtfreeze."""
    from sentence_transformers import SentenceTransformer
    from sklearn.linear_model import LogisticRegression
    from torch_model import minilm_folder

    encoder = SentenceTransformer(str(minilm_folder()), device="cpu")
    gold = [label for _, label in held_out]
    found: dict[str, float] = {}

    def theirs() -> None:
        vectors = encoder.encode([text for text, _ in rows], batch_size=BATCH)
        classifier = LogisticRegression(max_iter=1000).fit(vectors, [label for _, label in rows])
        tested = encoder.encode([text for text, _ in held_out], batch_size=BATCH)
        found["theirs"] = float(classifier.score(tested, gold))

    def ours() -> None:
        model = our_model("backbone")
        our_run(model, rows, "memory")
        predicted = model.predict("classifier", [text for text, _ in held_out])
        right = sum(p == LABELS[g] for p, g in zip(predicted, gold, strict=True))
        found["ours"] = right / len(gold)

    pair = pairs.measure(theirs, ours, repeats)
    print(
        f"| texts to accuracy, SentenceTransformer + LogisticRegression | {pair.a:.3f} (accuracy"
        f" {found['theirs']:.3f}) | {pair.b:.3f} (accuracy {found['ours']:.3f}) |"
        f" {pair.ratio:.2f} ({pair.lowest:.2f}-{pair.highest:.2f}) | |",
        flush=True,
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--case", type=int, help="only this one")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    mtf.set_threads(options.threads)
    texts, labels = sentences(options.rows + 512)
    rows = list(zip(texts, labels, strict=True))
    rows, held_out = rows[: options.rows], rows[options.rows :]

    def ours(mode: str, cache: str | bool = "memory") -> Callable[[], tuple[float, float]]:
        return our_seconds(mode, rows, cache)

    def case(number: int) -> None:
        again = options.repeats
        lower = "backbone[:3]"
        if number == 0:
            compare("frozen: backbone, against cache=False", ours("backbone", False),
                    ours("backbone"), again, (4.5, 100))  # fmt: skip
        elif number == 1:
            compare(f"frozen: {lower}, against cache=False", ours(lower, False), ours(lower),
                    again, (1.15, None))  # fmt: skip
        elif number == 2:
            compare("frozen: backbone, against PyTorch grouped",
                    torch_seconds("backbone", rows, False), ours("backbone"), again,
                    (10, 200))  # fmt: skip
        elif number == 3:
            compare(f"frozen: {lower}, against PyTorch grouped",
                    torch_seconds(lower, rows, False), ours(lower), again, (1.9, None))  # fmt: skip
        elif number == 4:
            compare("frozen: backbone, against PyTorch on features",
                    torch_seconds("backbone", rows, True), ours("backbone"), again,
                    (None, 3))  # fmt: skip
        else:
            against_logistic_regression(rows, held_out, again)

    if options.case is not None:
        case(options.case)
        return
    print(
        f"### A frozen prefix computed once: {EPOCHS} epochs, {options.rows} SST-2 sentences,"
        f" batches of {BATCH}, {options.threads} threads\n"
    )
    print("| | peer, s | mtfreeze with cache, s | ratio (lowest-highest) | target |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for number in range(6):
        subprocess.run([sys.executable, *sys.argv, "--case", str(number)], check=True)


if __name__ == "__main__":
    main()
