# SPDX-License-Identifier: Apache-2.0
"""The row that everything must beat: always predicting what is most frequent in training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..data.labels import IGNORE
from ..metrics.entities import OUTSIDE, is_iob2
from ..metrics.scores import (
    majority_label,
    primary_metric,
    sequence_metrics,
    token_counts,
    token_sums,
)
from ..steps.batch import encode_task
from .results import TaskScore

if TYPE_CHECKING:
    from ..data.task import Task
    from ..multi_task_model import MultiTaskModel
    from ..steps.batch import TaskLabels

__all__ = ["majority_scores"]


def majority_scores(model: MultiTaskModel, tasks: Mapping[str, Task]) -> dict[str, TaskScore]:
    """Return the scores of the rule, for tasks with data to train and to evaluate on.

    Every word gets the most frequent tag, nearly always ``O``; among equals ``O``, then the first.
    """
    scores = {}
    for name, task in tasks.items():
        if task.train is None or task.eval is None:
            continue
        train, gold = (encode_task(model, name, task, part) for part in (task.train, task.eval))
        labels = tuple(model.heads[name].labels)
        if train.of_words:
            scores[name] = _of_words(train, gold, labels, task.metric)
        else:
            codes = np.asarray(gold.codes, dtype=np.int64)
            codes = codes[codes != IGNORE]
            guess = np.full_like(codes, majority_label(np.asarray(train.codes)))
            counts = np.stack([codes, guess], axis=1)
            metrics = sequence_metrics(codes, guess)
            primary = primary_metric("sequence", task.metric)
            scores[name] = TaskScore("sequence", primary, labels, counts, metrics)
    return scores


def _of_words(
    train: TaskLabels, gold: TaskLabels, labels: tuple[str, ...], metric: str | None
) -> TaskScore:
    tags = np.concatenate([np.asarray(row) for row in train.codes])
    often = np.bincount(tags[tags != IGNORE], minlength=len(labels))
    outside = labels.index(OUTSIDE) if OUTSIDE in labels else 0
    guess = outside if often[outside] == often.max() else int(often.argmax())
    rows = [np.asarray(row) for row in gold.codes if not (np.asarray(row) == IGNORE).any()]
    if not is_iob2(list(labels)):
        counts = np.array([[len(row), int((row == guess).sum())] for row in rows], dtype=np.int64)
        n_words, n_right = counts.sum(axis=0)
        metrics = {"accuracy": int(n_right) / max(1, int(n_words))}
        return TaskScore("word", "accuracy", labels, counts, metrics)
    names = [[labels[code] for code in row] for row in rows]
    counts = token_counts(names, [[labels[guess]] * len(row) for row in names])
    primary = primary_metric("token", metric)
    return TaskScore("token", primary, labels, counts, token_sums(counts.sum(axis=0)))
