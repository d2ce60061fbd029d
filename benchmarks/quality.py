"""What reduced precision costs in quality: embeddings, STS-B, and the demo's two tasks.

Embeddings of all-MiniLM-L6-v2 in bf16 and int8 against fp32: cosine, and Spearman's correlation of
cosine similarity with the gold scores of STS-B (dev and test). Then the demo's recipe
(examples/data): accuracy and strict entity F1 of heads trained on a backbone that is frozen in
fp32, bf16 or int8, and of full fine-tuning in fp32 and bf16. Nothing is timed. Prints markdown.

    python benchmarks/quality.py [--threads 2] [--seeds 0 1 2] [--only embeddings tasks]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from parts.figures import Target, header, line, verdicts

import mtfreeze as mtf
from mtfreeze.cli.build import build_model, build_tasks
from mtfreeze.cli.job import Config, load_config

ROOT = Path(__file__).resolve().parents[1]
STSB = ROOT.parent / "shared" / "data" / "stsb"
DEMO = ROOT / "examples" / "data" / "recipe.yaml"
MODEL = "sentence-transformers/all-MiniLM-L6-v2"
PRECISIONS = ("fp32", "bf16", "int8")
# Largest loss of Spearman's correlation: absolute in bf16, as a share of fp32's in int8.
BF16_DROP = Target(0.001, at_most=True)
INT8_DROP = Target(0.004, at_most=True)
INT8_COSINE = Target(0.99)
SCORES = {"accuracy": "eval_classifier_accuracy", "entity F1": "eval_ner_head_f1"}


def read_pairs(part: str) -> tuple[list[str], list[str], np.ndarray]:
    """Return both sentences and the gold score of every pair."""
    with (STSB / f"{part}.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    first, second, gold = zip(*rows, strict=True)
    return list(first), list(second), np.array([float(score) for score in gold])


def ranks(values: np.ndarray) -> np.ndarray:
    """Return the ranks of values, (n,) float64; equal values share the mean of theirs."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts + 1 + last) / 2)[group]


def spearman(a: np.ndarray, b: np.ndarray) -> float:
    """Return Spearman's rank correlation."""
    return float(np.corrcoef(ranks(a), ranks(b))[0, 1])


def embeddings() -> list[tuple[str, str, str]]:
    """Print the table of embeddings; return targets and verdicts."""
    model = mtf.MultiTaskModel.from_pretrained(MODEL, normalize=True)
    print(header("precision", "cosine to fp32, mean", "least", "Spearman dev", "Spearman test"))
    exact: dict[str, np.ndarray] = {}
    found: dict[str, dict[str, float]] = {}
    for precision in PRECISIONS:
        cosines, scores = [], {}
        for part in ("dev", "test"):
            first, second, gold = read_pairs(part)
            vectors = model.encode(first + second, precision=precision)
            if precision == "fp32":
                exact[part] = vectors
            cosines.append(np.einsum("nc,nc->n", vectors, exact[part]))
            similar = np.einsum("nc,nc->n", vectors[: len(gold)], vectors[len(gold) :])
            scores[part] = spearman(similar, gold)
        cosine = np.concatenate(cosines)
        found[precision] = {**scores, "cosine": float(cosine.min())}
        shown = [f"{cosine.mean():.6f}", f"{cosine.min():.6f}"]
        print(line(precision, *shown, *(f"{one:.5f}" for one in scores.values())), flush=True)
    rows = []
    for part in ("dev", "test"):
        one = {name: scores[part] for name, scores in found.items()}
        drop = one["fp32"] - one["bf16"]
        what = f"STS-B {part}, Spearman lost in bf16"
        rows.append((what, f"{drop:.5f}", BF16_DROP.said(drop, "{:g}")))
        share = (one["fp32"] - one["int8"]) / one["fp32"]
        what = f"STS-B {part}, share of Spearman lost in int8"
        rows.append((what, f"{share:.3%}", INT8_DROP.said(share, "{:.1%}")))
    least = found["int8"]["cosine"]
    said = INT8_COSINE.said(least, "{:g}")
    rows.append(("int8, least cosine to fp32", f"{least:.4f}", said))
    return rows


def heads_on_frozen(config: Config, precision: str, seed: int) -> dict[str, float]:
    """Train the demo's heads on the backbone frozen in a precision; return the scores."""
    model = build_model(config)
    tasks = build_tasks(config, model)
    model.freeze("backbone", precision=None if precision == "fp32" else precision)
    arguments: dict[str, Any] = {**(config.start or {}), "seed": seed, "progress": False}
    return mtf.fit(model, tasks, **arguments).metrics


def fine_tuned(config: Config, precision: str, seed: int) -> dict[str, float]:
    """Train everything by the demo's recipe, heads first in fp32; return the scores."""
    model = build_model(config)
    tasks = build_tasks(config, model)
    model.freeze("backbone")
    common: dict[str, Any] = {"seed": seed, "progress": False}
    mtf.fit(model, tasks, **{**(config.start or {}), **common})
    model.unfreeze("backbone")
    arguments = {**config.training, **common, "precision": precision}
    return mtf.fit(model, tasks, **arguments).metrics


def tasks_table(seeds: Sequence[int]) -> None:
    """Print the table of the demo's tasks."""
    config = load_config(DEMO)
    print(header("trained", "precision", *SCORES))
    cases = [("heads on the frozen backbone", heads_on_frozen, p) for p in PRECISIONS]
    cases += [("everything", fine_tuned, p) for p in PRECISIONS[:2]]
    for what, train, precision in cases:
        runs = [train(config, precision, seed) for seed in seeds]
        cells = []
        for name in SCORES.values():
            values = [run[name] for run in runs]
            spread = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{spread}")
        print(line(what, precision, *cells), flush=True)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    kinds = ("embeddings", "tasks")
    parser.add_argument("--only", nargs="+", choices=kinds, default=kinds)
    options = parser.parse_args()
    mtf.set_threads(options.threads)
    print("### Quality in reduced precision\n")
    if "embeddings" in options.only:
        if STSB.is_dir():
            rows = embeddings()
            print(f"\n{verdicts(rows)}\n")
        else:
            print("STS-B skipped: needs shared/data beside the checkout\n")
    if "tasks" in options.only:
        said = ", ".join(map(str, options.seeds))
        print(f"The demo's tasks and recipe, mean ± standard deviation, seeds {said}:\n")
        tasks_table(options.seeds)


if __name__ == "__main__":
    main()
