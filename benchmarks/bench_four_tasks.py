"""Four tasks on one backbone, and what each way of freezing does to each of them.

all-MiniLM-L6-v2 with sentiment (SST-2), entities (WNUT 2017), similarity (STS-B, CoSENT) and
questions (XQuAD English, paragraphs in turn to training and test), one `mtfreeze.compare`: heads
first on the frozen backbone, then every way from there over the same batches, one task a step.
Similarity has no parameters of its own: a frozen backbone leaves it as it was. The
backbone learns at 1e-4, heads and the adapter at 1e-3. Seconds are of the processor, one job:
loading, training, evaluating. Rows are drawn at random. Prints markdown.

    python benchmarks/bench_four_tasks.py [--threads 2] [--seeds 3] [--rows 600] [--questions 300]
        [--held-out 400] [--epochs 2] [--modes MODE ...] [--picture FILE]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path
from typing import Any

from parts.figures import header, line
from parts.metered import Metered
from parts.two_tasks import DATA, LABEL_MAP, SENTIMENT, TAGS
from peers.folder import minilm_folder

import mtfreeze as mtf

SETS = ("sst2", "wnut17", "stsb", "xquad")
MODES = ("backbone", "backbone[:3]", "backbone[:5]", "lora", "none")
BACKBONE_RATE, HEAD_RATE = 1e-4, 1e-3


def drawn(rows: Any, n: int) -> Any:
    """Return n rows, drawn at random; all if there are no more."""
    return rows if n >= len(rows) else rows.select(random.Random(0).sample(range(len(rows)), n))


def paragraphs(rows: Any) -> tuple[Any, Any]:
    """Return the questions about every other paragraph, and the others."""
    number = {context: i for i, context in enumerate(dict.fromkeys(r.texts[1] for r in rows))}
    parts: tuple[list[int], list[int]] = ([], [])
    for i, row in enumerate(rows):
        parts[number[row.texts[1]] % 2].append(i)
    return rows.select(parts[0]), rows.select(parts[1])


def make_tasks(options: argparse.Namespace) -> dict[str, mtf.Task]:
    """Return the four tasks."""
    tsv = [mtf.read_tsv(DATA / "sst2" / f"{p}.tsv", label_map=LABEL_MAP) for p in ("train", "dev")]
    conll = [mtf.read_conll(DATA / "wnut17" / f"{p}.conll") for p in ("train", "dev")]
    sts = [mtf.read_sts(DATA / "stsb" / f"{p}.csv") for p in ("train", "dev")]
    squad = paragraphs(mtf.read_squad(DATA / "xquad" / "xquad.en.json"))
    found = {}
    for name, (train, held_out), n in (
        ("sentiment", tsv, options.rows),
        ("entities", conll, options.rows),
        ("similarity", sts, options.rows),
        ("questions", squad, options.questions),
    ):
        # A question is a window or two of 192 tokens, ten times what the others are.
        judged = min(n, options.held_out) if name == "questions" else options.held_out
        found[name] = mtf.Task(train=drawn(train, n), eval=drawn(held_out, judged))
    return found


def main() -> None:
    """Compare and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=600, help="of sentiment, entities, similarity")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--held-out", type=int, default=400, help="of each task")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--modes", nargs="+", default=MODES)
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    if not all((DATA / name).is_dir() for name in SETS):
        print(f"skipped: needs {', '.join(SETS)} of shared/data beside the checkout")
        return
    tasks = make_tasks(options)
    model = mtf.MultiTaskModel.from_pretrained(minilm_folder(), max_length=256)
    model.add_head("sentiment", mtf.SequenceClassification(SENTIMENT))
    model.add_head("entities", mtf.TokenClassification(TAGS))
    model.add_head("similarity", mtf.Similarity("cosent"))
    answers = mtf.QuestionAnswering(max_length=192, stride=64, no_answer_threshold=None)
    model.add_head("questions", answers)
    sizes = ", ".join(f"{name} {len(t.train)} / {len(t.eval)}" for name, t in tasks.items())
    print(f"Rows to train on / to judge by: {sizes}; {options.epochs} epochs, {options.seeds} "
          f"seeds, threads: {options.threads}\n", flush=True)  # fmt: skip
    clock = Metered()
    found = mtf.compare(
        model, tasks, modes=list(options.modes), seeds=options.seeds, epochs=options.epochs,
        learning_rate={"all": HEAD_RATE, "backbone": BACKBONE_RATE},
        start={"epochs": options.epochs}, executor=clock, threads=options.threads, progress=False,
    )  # fmt: skip
    metrics = [f"{name}, {found.rows[-1].tasks[name].metric}" for name in tasks]
    print(header("frozen", "parameters trained", *metrics, "processor s"))
    for row in found.rows:
        if row.failure:
            raise SystemExit(f"{row.name}: {row.failure}")
        cells = []
        for name in tasks:
            one = row.tasks.get(name)
            spread = f" ± {one.spread:.3f}" if one is not None and one.spread else ""
            cells.append("-" if one is None else f"{one.mean:.3f}{spread}")
        trained = f"{row.parameters_trained:,}" if row.parameters_trained else "-"
        took = f"{clock.mean(row.name):.1f}" if row.parameters_trained else "-"
        print(line(row.name, trained, *cells, took))
    print("\n" + "\n".join(f"- {one}" for one in found.sentences()))
    if options.picture:
        found.plot(options.picture)


if __name__ == "__main__":
    main()
