# SPDX-License-Identifier: Apache-2.0
"""Runs of every kind that a checkpoint may lie in the middle of, and what must come out equal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mtfreeze as mtf
from mtfreeze.files.tensor_files import read_entries
from support.bits import bits
from support.small_tasks import timeless


def outcome(run: Any, model: mtf.MultiTaskModel, folder: Path) -> dict[str, Any]:
    """Return all that must be equal, moments of the last step included."""
    newest = max((folder / "checkpoints").iterdir())
    moments = read_entries(newest / "trainer" / "moments.safetensors")
    return {
        "parameters": bits(model.parameters()),
        "moments": {name: entry.read_raw() for name, entry in moments.items()},
        "history": [timeless(row) for row in run.history],
        "metrics": timeless(run.metrics),
        "frozen": run.frozen,
        "proof": run.verify_frozen(),
        "state": model.freeze_state(),
        "trained": {name: head.trained for name, head in model.heads.items()},
        "counts": (run.n_steps, run.n_planned, run.parameters_trained, run.best_step, run.stopped),
        "phases": [(one.name, one.n_steps, one.frozen) for one in run.phases],
    }


RUNS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "nothing frozen": ((), {"mixing": "proportional", "eval_every": 3}),
    "backbone": (("backbone",), {"mixing": "joint", "eval_every": "epoch"}),
    "lower layers": (("backbone[:2]",), {"mixing": "round_robin", "max_grad_norm": 0.1}),
    "a head and biases": (
        ("ner_head", "*.bias"),
        {"mixing": "joint", "weight_decay": 0.3, "load_best_model_at_end": True, "eval_every": 2},
    ),
    "heads first": (
        ("backbone[:1]",),
        {
            "start": {"epochs": 1, "batch_size": 2},
            "eval_every": "epoch",
            "load_best_model_at_end": True,
            "loss_weighting": "uncertainty",
        },
    ),
    "gradual, joint, learned weights": (
        (),
        {
            "freeze_schedule": mtf.FreezeSchedule.gradual(every=1),
            "mixing": "joint",
            "loss_weighting": "uncertainty",
            "epochs": None,
        },
    ),
    "phases, sampling, best model": (
        ("embeddings",),
        {
            "freeze_schedule": mtf.FreezeSchedule()
            .phase(epochs=1, train="heads", learning_rate=1e-2)
            .phase(epochs=2, train=["heads", "backbone.layers[2:]"], warmup_ratio=0.5)
            .phase(epochs=2, train="heads"),
            "sampling": "equal",
            "loss_weighting": "uncertainty",
            "load_best_model_at_end": True,
            "eval_every": "epoch",
            "epochs": None,
        },
    ),
}
