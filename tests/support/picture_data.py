# SPDX-License-Identifier: Apache-2.0
"""Plain data for the tests of the pictures: units, parameters by kind, histories of runs."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mtfreeze.freezing.unit_states import UnitState
from mtfreeze.pricing.summary import PartRow, Summary, UnitRow

N_EMBEDDINGS, N_LAYER, N_HEAD = 11_900_000, 1_774_464, 770

_QUICK_SIZES = ((1, 1), (6, 5), (12, 1), (48, 5))
every_size = pytest.mark.parametrize(
    ("n_layers", "n_heads"),
    [
        pytest.param(*size, marks=[] if size in _QUICK_SIZES else [pytest.mark.long])
        for size in itertools.product((1, 6, 12, 24, 48), (1, 5))
    ],
)
"""Models for pictures that must be readable at every size; those between others take long."""


def units(n_layers: int, heads: list[str], frozen: set[str], half: set[str] | None = None) -> Any:
    """Return the units of a model of this size; those in `half` are frozen by a half."""
    sizes = {"backbone.embeddings": N_EMBEDDINGS}
    sizes |= {f"backbone.layers[{i}]": N_LAYER for i in range(n_layers)}
    sizes |= dict.fromkeys(heads, N_HEAD)
    return [
        UnitState(
            path, n, n if path in frozen else n // 2 if path in (half or ()) else 0, path in heads
        )
        for path, n in sizes.items()
    ]


def lower(n_layers: int) -> set[str]:
    """Return the embeddings and the lowest layers."""
    return {"backbone.embeddings", *(f"backbone.layers[{i}]" for i in range(n_layers))}


LAYER_KINDS = {
    "query": 147_456,
    "key": 147_456,
    "value": 147_456,
    "attention output": 147_456,
    "attention norm": 384,
    "feed-forward in": 589_824,
    "feed-forward out": 589_824,
    "feed-forward norm": 384,
    "biases": 4_224,
}


def summary(n_layers: int, heads: list[str], n_frozen_layers: int, biases_only: int = 0) -> Summary:
    """Return the table of a model: embeddings and lower layers frozen, above them biases."""
    rows, parts = [], []
    shapes: dict[str, dict[str, int]] = {
        "backbone.embeddings": {"words": 11_720_448, "biases": 384}
    }
    shapes |= {f"backbone.layers[{i}]": LAYER_KINDS for i in range(n_layers)}
    shapes |= {head: {"weights": 768, "biases": 2} for head in heads}
    for number, (unit, kinds) in enumerate(shapes.items()):
        whole = number <= n_frozen_layers
        partly = n_frozen_layers < number <= n_frozen_layers + biases_only
        own = [
            PartRow(unit, kind, n, n if whole or (partly and kind != "biases") else 0)
            for kind, n in kinds.items()
        ]
        parts += own
        rows.append(
            UnitRow(
                unit,
                sum(kinds.values()),
                sum(part.n_frozen for part in own),
                "frozen" if whole else "partly" if partly else "trainable",
                whole,
                False if unit in heads else None,
                1000,
            )
        )
    n = sum(row.n_values - row.n_frozen for row in rows)
    return Summary(
        "MultiTaskModel('m')", tuple(rows), {}, 0, 4 * n, 8 * n, 10, 10**9, 0.5, 0, tuple(parts)
    )


def history(n_steps: int = 40, changes: tuple[tuple[int, str], ...] = (), seed: int = 0) -> Any:
    """Return the history of a run that trains two tasks in turn and evaluates every 10 steps."""
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    phase = 0
    for step in range(n_steps):
        for at, name in changes:
            if at == step:
                phase += 1
                rows.append(
                    {
                        "step": step,
                        "epoch": 1,
                        "phase": phase,
                        "phase_name": name,
                        "freeze_change": f"frozen: something | trained: {name}",
                        "frozen": "something",
                        "n_trained": 10,
                    }
                )
        task = ("classifier", "ner_head")[step % 2]
        loss = float(random.uniform(0.9, 1.1)) / (1 + step)
        rows.append(
            {
                "step": step + 1,
                "epoch": 1,
                "phase": max(1, phase),
                "task": task,
                "loss": loss,
                f"{task}_loss": loss,
                "learning_rate.heads": 1e-3 * step / n_steps,
                "seconds": 0.1,
            }
        )
        if (step + 1) % 10 == 0:
            rows.append(
                {
                    "step": step + 1,
                    "epoch": 1,
                    "eval_classifier_loss": 0.5,
                    "eval_classifier_accuracy": 1 - 1 / (step + 2),
                    "eval_ner_head_loss": 0.5,
                    "eval_ner_head_f1": 0.5 - 1 / (step + 2),
                    "eval_ner_head_accuracy": 0.9,
                }
            )
    return rows
