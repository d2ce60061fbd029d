"""The demo's recipe in PyTorch: heads on the frozen backbone, then the modes that train more.

Rates are mtfreeze's usual ones. An epoch of the heads stands for their phase of 60 to 120 steps.

Reads examples/data and examples/data/recipe.yaml, prints one row a mode: seconds, accuracy, macro
F1, strict entity precision, recall and F1. These are the figures that `make demo` should come near.

    python benchmarks/demo_recipe_torch.py [--modes none backbone] [--seed 0] [--threads 2]

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import argparse
import copy
from collections import Counter
from pathlib import Path
from typing import Any

import torch
import yaml
from parts import torch_train as tt
from parts.readers import read_conll, read_tsv
from parts.torch_model import TorchMultiTask

from mtfreeze.planning.defaults import DEFAULT_RATES, FROZEN_BACKBONE_RATES

DATA = Path(__file__).resolve().parents[1] / "examples" / "data"
KINDS = {"sequence_classification": "sequence", "token_classification": "token"}


def load(recipe: dict[str, Any], model: TorchMultiTask) -> dict[str, tt.TorchTask]:
    """Return the recipe's tasks, encoded."""
    tasks = {}
    for name, entry in recipe["data"].items():
        labels = recipe["heads"][name]["labels"]
        if model.kinds[name] == "sequence":
            parts = [read_tsv(DATA / entry[p], entry["label_map"]) for p in ("train", "eval")]
            tasks[name] = tt.sequence_task(model, labels, *parts)
        else:
            words = [read_conll(DATA / entry[p]) for p in ("train", "eval")]
            tasks[name] = tt.token_task(model, labels, *words)
    return tasks


def row(name: str, seconds: float, scores: dict[str, float]) -> str:
    """Return one line of the table."""
    figures = "  ".join(f"{key.split('_', 1)[1]} {value:.3f}" for key, value in scores.items())
    return f"{name:14} {seconds:7.1f} s  {figures}"


def baseline(tasks: dict[str, tt.TorchTask]) -> dict[str, float]:
    """Return the scores of always predicting the label that is most frequent in training."""
    result: dict[str, float] = {}
    for name, task in tasks.items():
        counts = Counter(y for row in task.train_labels for y in row if y != tt.IGNORE)
        label = task.labels[counts.most_common(1)[0][0]]
        found = [[label] * len(gold) for gold in task.eval_gold]
        result |= {f"{name}_{k}": v for k, v in tt.scores(task, found).items()}
    return result


def main() -> None:
    """Run the recipe and print its table."""
    recipe = yaml.safe_load((DATA / "recipe.yaml").read_text("utf-8"))
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--modes", nargs="+", default=recipe["modes"])
    parser.add_argument("--seed", type=int, default=recipe["training"]["seed"])
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    heads = {n: (KINDS[h["task"]], len(h["labels"])) for n, h in recipe["heads"].items()}
    model = TorchMultiTask(heads, seed=options.seed)
    tasks = load(recipe, model)
    for name, task in tasks.items():
        tokens = sum(map(len, task.train_ids)), sum(map(len, task.eval_ids))
        print(
            f"{name}: {len(task.train_ids)} rows ({tokens[0]} tokens) to train on,"
            f" {len(task.eval_ids)} ({tokens[1]}) to evaluate on"
        )
    print(row("majority", 0.0, baseline(tasks)))

    common = {k: recipe["training"][k] for k in ("weight_decay", "warmup_ratio", "max_grad_norm")}
    training, drawn = recipe["training"], copy.deepcopy(model)
    spent = tt.train(
        model,
        tasks,
        "backbone",
        epochs=1,
        batch_size=training["batch_size"],
        rates=dict(FROZEN_BACKBONE_RATES),
        seed=options.seed,
        **common,
    )
    print(row("start", spent["seconds"], tt.evaluate(model, tasks)), flush=True)
    for mode in options.modes:
        # Where the whole backbone is frozen, training the heads is all that a run does.
        trained = copy.deepcopy(drawn if mode == "backbone" else model)
        spent = tt.train(
            trained,
            tasks,
            mode,
            epochs=training["epochs"],
            batch_size=training["batch_size"],
            rates=dict(FROZEN_BACKBONE_RATES if mode == "backbone" else DEFAULT_RATES),
            seed=options.seed,
            **common,
        )
        print(row(mode, spent["seconds"], tt.evaluate(trained, tasks)), flush=True)


if __name__ == "__main__":
    main()
