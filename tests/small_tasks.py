# SPDX-License-Identifier: Apache-2.0
"""Two small tasks for the tiny BERT, and a quiet `fit` with short settings, for the tests."""

from __future__ import annotations

from typing import Any

from helpers import LABELS, SENTENCES, TAGGED

import mtfreeze as mtf

ROWS = list(zip(SENTENCES, LABELS, strict=True))


def two_tasks(**classifier: Any) -> dict[str, mtf.Task]:
    """Return the tasks of ``two_head_model``; arguments go to the classifier's Task."""
    return {
        "classifier": mtf.Task(train=ROWS, eval=ROWS, **classifier),
        "ner_head": mtf.Task(train=TAGGED, eval=TAGGED),
    }


def quick_fit(
    model: mtf.MultiTaskModel, tasks: dict[str, mtf.Task] | None = None, **changes: Any
) -> Any:
    """Train quietly: 2 epochs of batches of 4 at 1e-3, unless `changes` say otherwise."""
    settings = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-3, "progress": False}
    return mtf.fit(model, two_tasks() if tasks is None else tasks, **{**settings, **changes})


class CoreSpy:
    """Stands before a model's core and hands everything on; subclasses look at single calls.

    The core is a C type, whose methods cannot be replaced one by one.
    """

    def __init__(self, core: Any) -> None:
        self.core = core

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)
