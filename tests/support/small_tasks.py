# SPDX-License-Identifier: Apache-2.0
"""Two small tasks for the tiny BERT, and a quiet `fit` with short settings, for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mtfreeze as mtf
from support.texts import LABELS, SENTENCES, TAGGED, TAGS

ROWS = list(zip(SENTENCES, LABELS, strict=True))


TIMES = ("seconds", "prefix_runtime", "train_runtime", "train_samples_per_second")
"""Figures of the clock, which no two runs share."""


class StopAt(mtf.Callback):
    """Ends a run after a number of steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step_end(self, context: Any) -> None:
        if context.step == self.step:
            context.stop("reached")


def fresh(folder: Path, *frozen: str) -> mtf.MultiTaskModel:
    """Load the tiny BERT with its two heads again, as a new process would."""
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("classifier", mtf.SequenceClassification(["negative", "positive"]))
    model.add_head("ner_head", mtf.TokenClassification(TAGS))
    return model.freeze(*frozen) if frozen else model


def two_tasks(**classifier: Any) -> dict[str, mtf.Task]:
    """Return the tasks of ``two_head_model``; arguments go to the classifier's Task."""
    return {
        "classifier": mtf.Task(train=ROWS, eval=ROWS, **classifier),
        "ner_head": mtf.Task(train=TAGGED, eval=TAGGED),
    }


def quick_fit(
    model: mtf.MultiTaskModel, tasks: dict[str, mtf.Task] | None = None, **changes: Any
) -> Any:
    """Train quietly: 2 epochs of batches of 4 at 1e-3, all at once, unless `changes` say so."""
    settings = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "progress": False}
    settings["start"] = "cold"
    return mtf.fit(model, two_tasks() if tasks is None else tasks, **{**settings, **changes})


def train(model: mtf.MultiTaskModel, **settings: Any) -> Any:
    """Train quietly in batches of 4, all at once; `settings` are those of `fit`."""
    return mtf.fit(
        model, two_tasks(), batch_size=4, progress=False, **{"start": "cold", **settings}
    )


def timeless(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key not in TIMES}
