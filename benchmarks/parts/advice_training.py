"""One training of the experiment on advice: a situation, a backbone, a mode, a start and a seed.

Everything is as `fit` has it by itself, but for batches of 16 rows, the number of epochs that
advice takes, and the precision. Scores are kept as counts of rows, so that any rule can be judged
afterwards. Seconds are of the processor, of one thread; what the experiment itself asks between the
steps is not in them.

SPDX-License-Identifier: Apache-2.0
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.comparing.drift import drift
from mtfreeze.comparing.scenarios import Scenario
from mtfreeze.comparing.worker import score_of
from mtfreeze.evaluating.evaluate import evaluate_rows
from mtfreeze.planning.defaults import (
    ADVISED_BATCH_SIZE,
    ADVISED_HEAD_EPOCHS,
    DEFAULT_RATES,
    FINE_TUNE_LAYER_DECAY,
)
from mtfreeze.recommending.candidates import training_epochs
from mtfreeze.training.callbacks import Context

from .advice_situations import HEAD, Situation
from .advice_sources import old_pairs

MODES = ("heads", "half", "none", "none cold", "lora", "bitfit", "half cold", "gradual")
"""What trains and, where the new heads do not train alone first, "cold"."""

CANDIDATES = ("heads", "half", "none", "lora", "bitfit")
"""Those that a race chooses from; they are scored on the way."""

RACED = (0,)
"""Seeds that are scored on the way and by the rows to choose by, and whose drift is taken. What
that takes shows in the memory of a run, so memory is that of the other seeds."""

RUNGS = (0.25, 0.5)
"""Shares of the schedule, without the heads' start, after which rows are scored."""


class Job(NamedTuple):
    """What is trained."""

    situation: Situation
    backbone: str
    mode: str
    seed: int

    @property
    def key(self) -> str:
        """Name of its file."""
        return f"{self.situation.name}.{self.backbone}.{self.mode.replace(' ', '-')}.{self.seed}"


def computing(model: mtf.MultiTaskModel, precision: str) -> mtf.MultiTaskModel:
    """Have the backbone of a model compute in a precision."""
    return model if precision == "fp32" else model.freeze("backbone", precision=precision)


class Probe:
    """What a backbone gave for fixed rows before it was trained."""

    def __init__(self, model: mtf.MultiTaskModel, images: Sequence[Any], precision: str) -> None:
        self.scores: list[float] = []
        self.rows: list[Any] = list(images)
        if not images:
            self.rows, self.scores = old_pairs()
        self.before = computing(model.copy(), precision).encode(self.rows)

    def after(self, model: mtf.MultiTaskModel) -> dict[str, Any]:
        """Return the drift of the embeddings, and how well they tell alike from not."""
        found = model.encode(self.rows)
        return {
            "drift": drift(self.before, found),
            "old": [self._old(self.before), self._old(found)] if self.scores else None,
        }

    def _old(self, embeddings: NDArray[np.float32]) -> float:
        first, second = np.split(embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True), 2)
        cosines = (first * second).sum(1)
        ranks = [np.argsort(np.argsort(one)) for one in (cosines, np.asarray(self.scores))]
        return float(np.corrcoef(*ranks)[0, 1])


class _Rungs(mtf.Callback):
    """Scores rows between the steps, and keeps the processor seconds of those out of the sum."""

    def __init__(self, score: Any, shares: Sequence[float]) -> None:
        self.score, self.shares, self.asked, self.begun = score, shares, 0.0, 0.0
        self.found: list[dict[str, Any]] = []

    def on_train_begin(self, context: Context) -> None:
        plan = context.plan
        before = len(plan.phases[0].steps) if plan.starts else 0
        main = plan.n_steps - before
        self.steps = {before + math.ceil(share * main): share for share in self.shares}
        self.before, self.n_steps = before, plan.n_steps

    def on_step_end(self, context: Context) -> None:
        if context.step not in self.steps:
            return
        now = time.process_time()
        self.found.append(
            {
                "share": self.steps[context.step],
                "step": context.step,
                "seconds": now - self.begun - self.asked,
                "choose": self.score(context.model),
            }
        )
        self.asked += time.process_time() - now


def scenario_of(mode: str, model: mtf.MultiTaskModel, epochs: int) -> tuple[Scenario, int]:
    """Return what a mode freezes, and its epochs."""
    name = mode.removesuffix(" cold")
    half = f"backbone[:{model.index.layers.cut_at_most(model.index.n_layers // 2)}]"
    if name == "gradual":
        per_step = max(1, -(-model.index.n_layers // 3))
        schedule = mtf.FreezeSchedule.gradual(
            max(1, epochs // 3),
            per_step,
            learning_rate=DEFAULT_RATES,
            layer_decay=FINE_TUNE_LAYER_DECAY,
        )
        return Scenario(name, schedule=schedule), epochs
    targets = QUERY_AND_VALUE.get(model.index.family.model_type)
    found = {
        "heads": Scenario(name, mode=("backbone",)),
        "half": Scenario(name, mode=(half,)),
        "none": Scenario(name, mode=("none",)),
        "lora": Scenario(name, way=mtf.Lora(rank=8, targets=targets)),
        "bitfit": Scenario(name, way=mtf.BitFit()),
    }[name]
    return found, max(ADVISED_HEAD_EPOCHS, epochs) if name == "heads" else epochs


def train(
    job: Job, given: mtf.MultiTaskModel, precision: str, cache: Path, probes: list[Probe]
) -> dict[str, Any]:
    """Train, and return what came out as JSON values."""
    head, rows = job.situation.tasks()
    model = given.copy()
    model.add_head(HEAD, head, seed=job.seed)
    if not probes:
        images = [row.image for row in rows["judge"][:50]] if job.backbone == "dinov2" else ()
        probes.append(Probe(given, images, precision))
    scenario, epochs = scenario_of(job.mode, model, training_epochs(len(rows["train"])))
    scenario.apply(model, job.seed)
    tasks = {name: mtf.Task(eval=rows[name]) for name in ("choose", "judge")}

    def score(ready: mtf.MultiTaskModel, name: str) -> dict[str, Any]:
        outcome = evaluate_rows(ready, {HEAD: tasks[name]}, cache=str(cache))[HEAD]
        return score_of(ready, HEAD, tasks[name], outcome).to_dict()

    first = job.seed in RACED
    races = first and job.mode in CANDIDATES
    rungs = _Rungs(
        lambda model: score(computing(model.copy(), precision), "choose"), RUNGS if races else ()
    )
    arguments: dict[str, Any] = {"batch_size": ADVISED_BATCH_SIZE, "precision": precision}
    if scenario.schedule is not None:
        arguments["freeze_schedule"] = scenario.schedule
    else:
        arguments["epochs"] = epochs
    rungs.begun = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mtf.FreezeWarning)
        run = mtf.fit(
            model,
            {HEAD: mtf.Task(train=rows["train"])},
            **arguments,
            start="cold" if job.mode.endswith(" cold") else "heads",
            seed=job.seed,
            cache=str(cache),
            callbacks=[rungs],
            progress=False,
        )
    if run.interrupted:
        raise KeyboardInterrupt
    seconds = time.process_time() - rungs.begun - rungs.asked
    model = computing(model, precision)
    began = time.process_time()
    choose = score(model, "choose") if races else None
    scoring = time.process_time() - began
    return {
        "situation": job.situation.name,
        "half": job.situation.half,
        "backbone": job.backbone,
        "mode": job.mode,
        "seed": job.seed,
        "precision": precision,
        "rows": {name: len(own) for name, own in rows.items()},
        "labels": len(head.labels),
        "epochs": epochs,
        "steps": [rungs.before, rungs.n_steps],
        "rungs": rungs.found,
        "seconds": seconds,
        "scoring_seconds": scoring,
        "prefix": [run.cache.seconds, run.cache.n_texts, run.cache.n_reused],
        "peak_bytes": max((one.peak_bytes for one in run.costs), default=0),
        "parameters_trained": run.parameters_trained,
        "frozen_ok": bool(run.frozen.ok),
        "choose": choose,
        "judge": score(model, "judge"),
        **(probes[0].after(model) if first else {"drift": None, "old": None}),
    }


def backbone_folder(name: str, weights: Path, into: Path) -> str:
    """Return the model of a backbone's name: an installed package, or a folder of `weights`."""
    if name == "minilm":
        return "sentence-transformers/all-MiniLM-L6-v2"
    if name == "dinov2":
        from .image_sets import dinov2_folder

        folder = into / "dinov2"
        if not folder.is_dir():
            folder.mkdir(parents=True)
            dinov2_folder(folder, IMAGE_SIDE)
        return str(folder)
    found = weights / name
    if not found.is_dir():
        raise SystemExit(f"skipped: no {found}; shared/weights/make.py {name} {found} makes it")
    return str(found)


QUERY_AND_VALUE = {
    "dinov2": ("attention.attention.query", "attention.attention.value"),
    "mpnet": ("attention.attn.q", "attention.attn.v"),
}
"""Where LoRA stands in families that have no usual places for it: as in the others."""

IMAGE_SIDE = 84
"""Pixels; 36 patches of 14."""

BACKBONES = ("minilm", "e5", "mpnet", "dinov2")
