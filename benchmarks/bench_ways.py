"""SST-2, five ways to train: heads only, the upper half, LoRA, BitFit, everything; and PEFT's LoRA.

One `mtfreeze.compare` of all-MiniLM-L6-v2: the heads are trained first on the frozen backbone, and
every way goes on from there over the same batches, with the rates that `fit` takes by itself.
BitFit has a row more, biases at 1e-3: at the backbone's 2e-5 they hardly move. Seconds are of the
processor, one job (loading, training, evaluating); memory is what model and data held.

Then LoRA of rank 8 beside PEFT, each in a process of its own and by the recipe of
`parts/lora_training.py`: seconds of the processor for training alone; memory is the process's peak.

Training rows are drawn at random, the same for all. Prints markdown.

    python benchmarks/bench_ways.py [--threads 2] [--seeds 3] [--rows 1000] [--epochs 2]
        [--held-out 871] [--only ways peft]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from typing import Any

from parts.figures import header, line
from parts.metered import Metered
from parts.two_tasks import DATA, LABEL_MAP, SENTIMENT
from parts.workers import Worker
from peers.folder import minilm_folder

import mtfreeze as mtf

BIAS_RATE = 1e-3


def rows_of(name: str, n: int) -> list[tuple[str, str]]:
    """Return n rows of a file, drawn at random, or end the program with status 0."""
    path = DATA / "sst2" / f"{name}.tsv"
    if not path.is_file():
        print("skipped: needs sst2/ of shared/data beside the checkout")
        sys.exit(0)
    rows = [(str(row.text), str(row.label)) for row in mtf.read_tsv(path, label_map=LABEL_MAP)]
    return rows if n >= len(rows) else random.Random(0).sample(rows, n)


def said(values: list[float]) -> str:
    """Return mean and standard deviation, and each value."""
    spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.3f}{spread} ({', '.join(f'{v:.3f}' for v in values)})"


def ways(train: Any, held_out: Any, options: argparse.Namespace) -> None:
    """Print the table of all ways."""
    model = mtf.MultiTaskModel.from_pretrained(minilm_folder())
    model.add_head("mood", mtf.SequenceClassification(SENTIMENT))
    half = f"backbone[:{model.index.n_layers // 2}]"
    bias = ("BitFit, biases at 1e-3", mtf.BitFit())
    modes = [
        "backbone", half, ("LoRA, rank 8", mtf.Lora(rank=8)), ("BitFit", mtf.BitFit()), "none",
    ]  # fmt: skip
    tasks = {"mood": mtf.Task(train=train, eval=held_out)}
    common: dict[str, Any] = {
        "seeds": options.seeds, "epochs": options.epochs, "threads": options.threads,
        "progress": False,
    }  # fmt: skip
    clock = Metered()
    found = mtf.compare(model, tasks, modes=modes, executor=clock, **common)
    rates = {"backbone": BIAS_RATE, "heads": 1e-3}
    start = {"epochs": options.epochs}  # rates of its own, those of the first comparison
    more = mtf.compare(
        model, tasks, modes=[bias], learning_rate=rates, start=start, executor=clock, **common
    )
    names = {"start": "heads alone, before", "backbone": "heads alone, as long again",
             half: "upper half and heads", "none": "everything"}  # fmt: skip
    print(header("trains", "parameters trained", "accuracy (by seed)", "processor s", "memory MB"))
    shown = [*found.rows, more.figures(bias[0])]
    for row in shown:
        if row.failure:
            raise SystemExit(f"{row.name}: {row.failure}")
        source = more if row.name == bias[0] else found
        scores = [run.tasks["mood"].value for run in source.runs if run.scenario == row.name]
        seconds, memory = "-", "-"
        if row.parameters_trained:
            seconds, memory = f"{clock.mean(row.name):.1f}", f"{row.memory_bytes / 1e6:.0f}"
        trained = f"{row.parameters_trained:,}" if row.parameters_trained else "-"
        print(line(names.get(row.name, row.name), trained, said(scores), seconds, memory))
    print("\n" + "\n".join(f"- {one}" for one in found.sentences()), flush=True)


def beside_peft(train: Any, held_out: Any, options: argparse.Namespace) -> None:
    """Print the table of LoRA on both sides."""
    found: dict[str, list[dict[str, Any]]] = {}
    given = {"rows": train, "held_out": held_out, "epochs": options.epochs}
    for seed in range(options.seeds):
        for side, name in (("PEFT", "PeftLora"), ("mtfreeze", "OurLora")):
            # A process a run: the peak of an earlier one would hide that of the next.
            worker = Worker(f"parts.lora_training:{name}", options.threads, threads=options.threads)
            found.setdefault(side, []).append(worker("run", seed=seed, **given))
            worker.close()
    print("\n" + header("LoRA", "accuracy (by seed)", "processor s", "ratio", "peak MB"))
    base = statistics.median(run["cpu"] for run in found["PEFT"])
    for side, runs in found.items():
        took = statistics.median(run["cpu"] for run in runs)
        peak = max(run["peak"] for run in runs) / 1e6
        scores = said([run["score"] for run in runs])
        print(line(side, scores, f"{took:.1f}", f"{took / base:.2f}x", f"{peak:.0f}"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--held-out", type=int, default=871)
    parts = ("ways", "peft")
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    train, held_out = rows_of("train", options.rows), rows_of("dev", options.held_out)
    print(f"{len(train)} rows to train on, {len(held_out)} to judge by, {options.epochs} epochs, "
          f"{options.seeds} seeds, threads: {options.threads}\n", flush=True)  # fmt: skip
    if "ways" in options.only:
        ways(train, held_out, options)
    if "peft" in options.only:
        beside_peft(train, held_out, options)


if __name__ == "__main__":
    main()
