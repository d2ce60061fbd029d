# SPDX-License-Identifier: Apache-2.0
"""The row that everything must beat: the best answer that looks at no text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..steps.batch import encode_task
from .results import TaskScore

if TYPE_CHECKING:
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["majority_scores"]


def majority_scores(model: MultiTaskModel, tasks: Mapping[str, Task]) -> dict[str, TaskScore]:
    """Return the scores of the rule, for tasks with data to train and to evaluate on.

    A head that chooses among labels always predicts the most frequent one of the training data.
    """
    scores = {}
    for name, task in tasks.items():
        if task.train is None or task.eval is None:
            continue
        spec = model.heads[name].spec
        train, gold = (encode_task(model, name, task, part) for part in (task.train, task.eval))
        counts, measure = spec.baseline(train, gold), spec.measure
        scores[name] = TaskScore(
            measure.name,
            task.measured_by(measure),
            tuple(spec.labels),
            counts,
            measure.figures(counts),
        )
    return scores
