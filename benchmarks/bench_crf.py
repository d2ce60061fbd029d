"""WNUT 2017 with and without a CRF: entity F1 where the head alone trains, and where all does.

all-MiniLM-L6-v2; a head that tags each word by itself beside one whose tags follow each other
(`crf=True`), from the same seed over the same batches. Batches of 32, warm-up over a tenth and down
to zero, AdamW; heads at 1e-2 on the frozen backbone and 1e-3 over a moving one, which learns at
1e-4; the tables of the CRF at ten times the head's rate. Strict F1 of IOB2 on test, which WNUT made
of other sources and rarer entities than train; seconds are of the processor, for training alone.
The first run of the head alone computes the frozen backbone, which the others find. *Not allowed*:
predicted I- tags that no tag of their entity goes before, which a CRF can unlearn. Prints markdown.

    python benchmarks/bench_crf.py [--threads 2] [--seeds 3] [--rows 3394] [--epochs 3]
        [--held-out 1287] [--only head everything]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
from typing import Any

from parts.clocks import clocks, since
from parts.figures import header, line
from parts.two_tasks import DATA, TAGS
from peers.folder import minilm_folder

import mtfreeze as mtf
from mtfreeze.metrics.scores import entity_scores

BACKBONE_RATE, FROZEN_HEAD_RATE, HEAD_RATE, TABLES = 1e-4, 1e-2, 1e-3, 10
FIGURES = ("F1", "not allowed", "cpu")


def orphans(tags: list[list[str]]) -> int:
    """Return how many I- tags follow neither B- nor I- of their type."""
    n = 0
    for sentence in tags:
        for before, tag in zip(["O", *sentence], sentence, strict=False):
            n += tag.startswith("I-") and before not in (tag, f"B-{tag[2:]}")
    return n


def run(
    data: Any, frozen: bool, crf: bool, seed: int, options: Any, features: str
) -> dict[str, float]:
    """Train a head; return what `FIGURES` names."""
    model = mtf.MultiTaskModel.from_pretrained(minilm_folder(), max_length=256)
    model.add_head("ner", mtf.TokenClassification(TAGS, crf=crf), seed=seed)
    rate = FROZEN_HEAD_RATE if frozen else HEAD_RATE
    rates = {"backbone": BACKBONE_RATE, "heads": rate}
    if crf:
        rates["ner.*transitions"] = TABLES * rate
    if frozen:
        model.freeze("backbone")
    start = clocks()
    mtf.fit(
        model, {"ner": mtf.Task(train=data["train"])}, epochs=options.epochs, seed=seed,
        learning_rate=rates, cache=features, progress=False,
    )  # fmt: skip
    took = since(start)["cpu"]
    test: Any = data["test"]
    told: Any = model.predict("ner", [row.words for row in test])
    overall, _ = entity_scores([row.label for row in test], told)
    return {"F1": overall.f1, "not allowed": orphans(told), "cpu": took}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=3394, help="of train, drawn at random")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=1287, help="of test, drawn at random")
    trained = ("head", "everything")
    parser.add_argument("--only", nargs="+", choices=trained, default=trained)
    options = parser.parse_args()
    if not (DATA / "wnut17").is_dir():
        print("skipped: needs wnut17/ of shared/data beside the checkout")
        return
    mtf.set_threads(options.threads)
    data = {p: mtf.read_conll(DATA / "wnut17" / f"{p}.conll") for p in ("train", "test")}
    for part, n in (("train", options.rows), ("test", options.held_out)):
        if n < len(data[part]):
            data[part] = data[part].select(random.Random(0).sample(range(len(data[part])), n))
    sizes = ", ".join(f"{len(rows)} sentences of {part}" for part, rows in data.items())
    print(f"{sizes}; {options.epochs} epochs, {options.seeds} seeds, threads: {options.threads}\n")
    names = ("trains", "tags", "entity F1", "by seed", "not allowed", "processor s")
    print(header(*names), flush=True)
    kinds = [(frozen, crf) for frozen in (True, False) for crf in (False, True)]
    with tempfile.TemporaryDirectory() as features:
        for frozen, crf in kinds:
            if ("head" if frozen else "everything") not in options.only:
                continue
            runs = [
                run(data, frozen, crf, seed, options, features) for seed in range(options.seeds)
            ]
            columns = {name: [one[name] for one in runs] for name in FIGURES}
            mean = {name: statistics.mean(values) for name, values in columns.items()}
            each = ", ".join(f"{one:.3f}" for one in columns["F1"])
            cells = [f"{mean['F1']:.3f}", each]
            cells += [f"{mean['not allowed']:.0f}", f"{mean['cpu']:.1f}"]
            what = "head alone" if frozen else "everything"
            print(line(what, "CRF" if crf else "each by itself", *cells), flush=True)


if __name__ == "__main__":
    main()
