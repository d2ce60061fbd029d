# SPDX-License-Identifier: Apache-2.0
"""Results of made-up comparisons for the tests: rows drawn from a known truth, metrics computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtfreeze.comparing.comparison import Comparison
from mtfreeze.comparing.results import MAJORITY, START, ScenarioRun, TaskScore, UnitState
from mtfreeze.metrics.scores import sequence_metrics

LABELS = ("negative", "positive")
UNITS = (
    "backbone.embeddings",
    "backbone.layers[0]",
    "backbone.layers[1]",
    "classifier",
    "ner_head",
)


def sequence_score(
    gold: Sequence[int] | NDArray[np.int64],
    predicted: Sequence[int] | NDArray[np.int64],
    primary: str = "accuracy",
    loss: float = 0.5,
) -> TaskScore:
    """Return the score of these predictions."""
    counts = np.stack([np.asarray(gold), np.asarray(predicted)], axis=1).astype(np.int64)
    metrics = {"loss": loss} | sequence_metrics(counts[:, 0], counts[:, 1])
    return TaskScore("sequence", primary, LABELS, counts, metrics)


def token_score(counts: NDArray[np.int64], loss: float = 0.2) -> TaskScore:
    """Return the score of counts: entities in gold, predicted, right, words, right words."""
    gold, predicted, right, words, right_words = counts.sum(axis=0).tolist()
    precision, recall = right / max(1, predicted), right / max(1, gold)
    metrics = {
        "loss": loss,
        "f1": 2 * precision * recall / (precision + recall) if right else 0.0,
        "precision": precision,
        "recall": recall,
        "accuracy": right_words / max(1, words),
    }
    return TaskScore("token", "f1", ("O", "B-a", "I-a"), counts, metrics)


class World:
    """Evaluation rows of two tasks, some hard for every model, and models of a chosen skill."""

    def __init__(self, n_rows: int = 400, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.n_rows = n_rows
        self.gold = self.rng.integers(0, 2, n_rows)
        self.ease = self.rng.normal(1.0, 1.0, n_rows)
        self.entities = self.rng.integers(0, 4, n_rows)

    def texts(self, skill: float, own: float = 0.3, loss: float = 0.5) -> TaskScore:
        """Return the labels that a model of a skill gives; `own`: how far it goes its own way."""
        right = self.ease + skill + self.rng.normal(0, own, self.n_rows) > 0
        return sequence_score(self.gold, np.where(right, self.gold, 1 - self.gold), loss=loss)

    def words(self, chance: float, loss: float = 0.2) -> TaskScore:
        """Return entities of which a model finds each with a chance."""
        right = self.rng.binomial(self.entities, chance)
        predicted = right + self.rng.binomial(2, 0.2, self.n_rows)
        length = self.entities * 2 + 8
        columns = (self.entities, predicted, right, length, length - (self.entities - right))
        return token_score(np.stack(columns, axis=1).astype(np.int64), loss)


def units(frozen: Sequence[str]) -> list[UnitState]:
    """Return the units of a small model, some of them frozen."""
    return [
        UnitState(path, 1000, 1000 if path in frozen else 0, path in UNITS[3:]) for path in UNITS
    ]


def history(tasks: Sequence[str], n_steps: int = 6) -> list[dict[str, Any]]:
    """Return the history of a run that trained tasks in turn."""
    rows: list[dict[str, Any]] = [
        {"step": 0, "epoch": 1, "phase": 1, "phase_name": "all", "freeze_change": "frozen: none"}
    ]
    for step in range(1, n_steps + 1):
        for task in tasks:
            rows.append({"step": step, "epoch": 1, "task": task, f"{task}_loss": 1.0 / step})
    return rows


BOTH = ("classifier", "ner_head")

SCENARIOS: Mapping[str, tuple[float, float, tuple[str, ...]]] = {
    "backbone": (0.03, 0.45, BOTH),
    "classifier": (-0.3, 0.7, ("ner_head",)),
    "backbone[:1]": (0.58, 0.68, BOTH),
    "none": (0.6, 0.7, BOTH),
}
"""Name -> skill at texts, chance at entities, tasks that train."""


def settings(
    modes: Sequence[str], seeds: Sequence[int], n_rows: int, **more: Any
) -> dict[str, Any]:
    """Return the settings of a comparison, as `compare` writes them."""
    sizes = {"train": 900, "eval": n_rows}
    return {
        "model": "a small <model>",
        "modes": [{"name": name, "mode": [name], "schedule": None} for name in modes],
        "seeds": list(seeds),
        "start": {"epochs": 1},
        "fit": {"epochs": 2, "learning_rate": {"backbone": 2e-5, "heads": 1e-3}},
        "gradients": False,
        "tasks": {
            "classifier": {**sizes, "labels": list(LABELS)},
            "ner_head": {**sizes, "labels": ["O", "B-a", "I-a"]},
        },
        "old_tasks": {},
        "threads": 2,
        "isa": "avx2",
        "version": "1.0",
        "date": "2026-11-21T12:00:00+00:00",
        "identity": {"model": "0123"},
        **more,
    }


def runs(
    world: World,
    scenarios: Mapping[str, tuple[float, float, tuple[str, ...]]] = SCENARIOS,
    seeds: Sequence[int] = (0, 1, 2),
) -> list[ScenarioRun]:
    """Return a run a scenario and seed, the rows to compare with first."""
    majority = {"classifier": sequence_score(world.gold, np.zeros_like(world.gold))}
    majority["ner_head"] = world.words(0.0)
    found = [ScenarioRun(MAJORITY, 0, majority)]
    for seed in seeds:
        start = {"classifier": world.texts(0.0), "ner_head": world.words(0.4)}
        found.append(
            ScenarioRun(
                START,
                seed,
                start,
                trained=BOTH,
                parameters_trained=2000,
                seconds=1.5,
                prefix_seconds=2.0 if seed == seeds[0] else 0.0,
                memory_bytes=10**6,
                drift=0.0,
                verdict="3 frozen tensors unchanged",
            )
        )
    for number, (name, (skill, chance, trained)) in enumerate(scenarios.items(), start=1):
        still = tuple(task for task in BOTH if task not in trained)
        for seed in seeds:
            scores = {
                "classifier": world.texts(skill, loss=0.4 + 0.3 * ("classifier" in still)),
                "ner_head": world.words(chance),
            }
            found.append(
                ScenarioRun(
                    name,
                    seed,
                    scores,
                    trained=trained,
                    frozen_heads=still,
                    parameters_trained=1000 * number,
                    seconds=3.0 * number,
                    memory_bytes=number * 10**7,
                    n_computed=100,
                    n_found=800,
                    drift=0.01 * number,
                    history=history(trained),
                    phases=[(name, units(still))],
                    notes=[f"frozen: {name}"],
                    verdict="3 frozen tensors unchanged",
                )
            )
    return found


def comparison(n_rows: int = 400, seed: int = 0, seeds: Sequence[int] = (0, 1, 2)) -> Comparison:
    """Return a comparison in which training more helps, and a frozen head forgets."""
    world = World(n_rows, seed)
    return Comparison(runs(world, seeds=seeds), settings(list(SCENARIOS), seeds, n_rows))
