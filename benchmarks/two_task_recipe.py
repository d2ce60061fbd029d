"""The two-task recipe (SST-2 + WNUT 2017) in PyTorch and in mtfreeze: is freezing worth as much?

3 epochs, batches of 32, one task a step in proportion, backbone 2e-5, heads 1e-3, linear warm-up of
10 % and decay, AdamW with weight decay 0.01 but not on biases and norms, clipping 1.0, dropout 0.1
before the heads, frozen modules in eval mode, mean pooling without normalization, truncation at
256, first sub-word labels, strict IOB2, last batch kept. Trains on the train files, evaluates on
dev and test. One run is one line of JSON, appended; runs that are there already are not repeated.

    python benchmarks/two_task_recipe.py --engine torch --mode none --seed 0 [--threads 2]
    python benchmarks/two_task_recipe.py --table

Needs the full data sets in shared/data beside the checkout.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from parts.machine import describe
from parts.run_lines import add_line, read_lines
from parts.two_tasks import DATA, LABEL_MAP, RECIPE, SENTIMENT, TAGS

RESULTS = Path(__file__).resolve().parent / "results"
MODES = ("none", "backbone[:3]", "backbone")
N_SEEDS = 3
LIMITS = {"accuracy": 0.010, "f1": 0.020}  # how far the means of the two engines may be apart


def run_torch(mode: str, seed: int, threads: int) -> dict[str, float]:
    """Train and evaluate in PyTorch; return seconds, tokens and scores."""
    import torch
    from parts import torch_train as tt
    from parts.readers import read_conll, read_tsv
    from parts.torch_model import TorchMultiTask

    torch.set_num_threads(threads)
    model = TorchMultiTask(
        {"classifier": ("sequence", len(SENTIMENT)), "ner_head": ("token", len(TAGS))}, seed=seed
    )
    sst = {p: read_tsv(DATA / "sst2" / f"{p}.tsv", LABEL_MAP) for p in ("train", "dev", "test")}
    ner = {p: read_conll(DATA / "wnut17" / f"{p}.conll") for p in ("train", "dev", "test")}

    def encode(part: str) -> dict[str, tt.TorchTask]:
        return {
            "classifier": tt.sequence_task(model, SENTIMENT, sst["train"], sst[part]),
            "ner_head": tt.token_task(model, TAGS, ner["train"], ner[part]),
        }

    dev = encode("dev")
    options = {k: v for k, v in RECIPE.items() if k != "learning_rate"}
    spent = tt.train(
        model,
        dev,
        mode,
        **options,
        rates=RECIPE["learning_rate"],
        seed=seed,
        micro_batch=8,
        cache=True,
        report=_report(mode, seed),
    )
    result = dict(spent)
    for part, tasks in (("dev", dev), ("test", encode("test"))):
        result |= {f"{part}_{k}": v for k, v in tt.evaluate(model, tasks).items()}
    return result


def run_mtfreeze(mode: str, seed: int, threads: int) -> dict[str, float]:
    """Train and evaluate in mtfreeze; return seconds and scores under the same names."""
    import mtfreeze as mtf

    mtf.set_threads(threads)
    model = mtf.MultiTaskModel.from_pretrained(
        "sentence-transformers/all-MiniLM-L6-v2", pooling="mean", normalize=False
    )
    model.add_head(
        "classifier", mtf.SequenceClassification(labels=SENTIMENT, dropout=0.1), seed=seed
    )
    model.add_head("ner_head", mtf.TokenClassification(labels=TAGS, dropout=0.1), seed=seed)
    sst = {
        p: mtf.read_tsv(DATA / "sst2" / f"{p}.tsv", label_map=LABEL_MAP)
        for p in ("train", "dev", "test")
    }
    ner = {p: mtf.read_conll(DATA / "wnut17" / f"{p}.conll") for p in ("train", "dev", "test")}
    if mode != "none":
        model.freeze(mode)
    run = mtf.fit(
        model,
        {"classifier": mtf.Task(train=sst["train"]), "ner_head": mtf.Task(train=ner["train"])},
        **RECIPE,
        lr_schedule="linear",
        mixing="proportional",
        seed=seed,
        progress=False,
    )
    if not run.verify_frozen():
        raise SystemExit(f"frozen tensors moved: {run.verify_frozen().moved}")
    result = {"seconds": run.metrics["train_runtime"]}
    for part in ("dev", "test"):
        tasks = {"classifier": mtf.Task(eval=sst[part]), "ner_head": mtf.Task(eval=ner[part])}
        scores = mtf.evaluate(model, tasks)
        for name in ("classifier_accuracy", "classifier_f1_macro"):
            result[f"{part}_{name}"] = scores[f"eval_{name}"]
        for name in ("precision", "recall", "f1"):
            result[f"{part}_ner_head_{name}"] = scores[f"eval_ner_head_{name}"]
    return result


def _report(mode: str, seed: int) -> Any:
    def report(step: int, steps: int) -> None:
        if step % 100 == 0:
            print(f"{mode} seed {seed}: step {step} of {steps}", file=sys.stderr, flush=True)

    return report


def result_file(engine: str) -> Path:
    """Return where the runs of an engine are kept."""
    return RESULTS / f"two_task_{engine}.jsonl"


def read_runs(engine: str) -> list[dict[str, Any]]:
    """Return the runs made so far."""
    return read_lines(result_file(engine))


def table() -> str:
    """Return the means over the seeds of both engines and whether they agree, as markdown."""
    lines = [
        "| mode | engine | seeds | accuracy dev | accuracy test | F1 dev | F1 test | seconds |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    columns = ("dev_classifier_accuracy", "test_classifier_accuracy", "dev_ner_head_f1")
    columns += ("test_ner_head_f1", "seconds")
    verdicts = []
    for mode in MODES:
        means: dict[str, list[float]] = {}
        counts: dict[str, int] = {}
        for engine in ("torch", "mtfreeze"):
            runs = [run for run in read_runs(engine) if run["mode"] == mode]
            if not runs:
                continue
            values = [[run[column] for run in runs] for column in columns]
            counts[engine] = len(runs)
            means[engine] = [statistics.mean(v) for v in values]
            cells = [
                f"{statistics.mean(v):.3f}"
                + (f" ± {statistics.stdev(v):.3f}" if len(v) > 1 else "")
                for v in values[:-1]
            ]
            seeds = ", ".join(str(run["seed"]) for run in runs)
            cells.append(f"{means[engine][-1]:.0f}")
            lines.append(f"| {mode} | {engine} | {seeds} | " + " | ".join(cells) + " |")
        if len(means) == 2:
            apart = [abs(a - b) for a, b in zip(means["torch"], means["mtfreeze"], strict=True)]
            fine = max(apart[:2]) <= LIMITS["accuracy"] and max(apart[2:4]) <= LIMITS["f1"]
            verdict = "agree" if fine else "DO NOT AGREE"
            if min(counts.values()) < N_SEEDS:
                verdict = f"too few runs to judge, {N_SEEDS} of each are needed"
            verdicts.append(
                f"- {mode}: means differ by {100 * max(apart[:2]):.1f} points of accuracy"
                f" (limit {100 * LIMITS['accuracy']:.1f}) and {100 * max(apart[2:4]):.1f} of strict"
                f" F1 (limit {100 * LIMITS['f1']:.1f}): {verdict}"
            )
    return "\n".join([*lines, "", *verdicts])


def main(argv: Sequence[str] | None = None) -> int:
    """Make the runs asked for that are not there yet, or print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engine", choices=("torch", "mtfreeze"), default="mtfreeze")
    parser.add_argument("--mode", "--modes", nargs="+", default=list(MODES), dest="modes")
    parser.add_argument("--seed", "--seeds", nargs="+", type=int, default=[0, 1, 2], dest="seeds")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--table", action="store_true", help="print the table of the runs so far")
    options = parser.parse_args(argv)
    if options.table:
        print(table())
        return 0
    if not (DATA / "sst2").is_dir():
        print("shared/data is not beside the checkout: nothing to train on", file=sys.stderr)
        return 2
    engine = {"torch": run_torch, "mtfreeze": run_mtfreeze}[options.engine]
    for seed in options.seeds:
        for mode in options.modes:
            if any(r["mode"] == mode and r["seed"] == seed for r in read_runs(options.engine)):
                print(f"{options.engine} {mode} seed {seed}: there already")
                continue
            scores = engine(mode, seed, options.threads)
            run = {"mode": mode, "seed": seed, **scores, "machine": describe(options.threads)}
            add_line(result_file(options.engine), run)
            print(json.dumps({k: v for k, v in run.items() if k != "machine"}), flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
