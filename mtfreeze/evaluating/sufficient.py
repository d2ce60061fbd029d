# SPDX-License-Identifier: Apache-2.0
"""Whether training data is enough for a figure about it to mean anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..data.labels import IGNORE
from ..data.task import Task
from ..errors import DataError
from ..steps.batch import encode_task

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["check_sufficient", "label_counts"]


def label_counts(model: MultiTaskModel, name: str, task: Task) -> dict[str, int]:
    """Return how many training rows (of word heads: words) carry each label of the head."""
    labels = model.heads[name].labels
    if task.train is None:
        return dict.fromkeys(labels, 0)
    found = encode_task(model, name, task, task.train)
    codes = (
        np.concatenate([np.asarray(row).ravel() for row in found.codes])
        if (found.of_words)
        else np.asarray(found.codes)
    )
    counts = np.bincount(codes[codes != IGNORE], minlength=len(labels))
    return dict(zip(labels, counts.tolist(), strict=True))


def check_sufficient(model: MultiTaskModel, tasks: Mapping[str, Task]) -> None:
    """Check that every task has data to train and to evaluate on, and something to tell apart.

    Raises
    ------
    DataError
        If a task has no training or no evaluation data, fewer training rows than labels, or only
        one of the labels.
    """
    for name, task in tasks.items():
        for part, data in (("train", task.train), ("eval", task.eval)):
            if data is None:
                raise DataError(
                    f"task {name!r} needs data to train on and to evaluate on; found no {part}= "
                    f"data; pass Task({part}=...), e.g. from examples.split(0.8)"
                )
        counts = label_counts(model, name, task)
        n_rows = len(task.train or ())
        if n_rows < len(counts):
            raise DataError(
                f"task {name!r} needs at least one training row a label ({len(counts)}); found "
                f"{n_rows}; give more rows, or a head with fewer labels"
            )
        present = [label for label, count in counts.items() if count]
        if len(present) < 2:
            raise DataError(
                f"task {name!r} needs training rows of at least two labels; found "
                f"{f'only {present[0]!r}' if present else 'none'}; there is nothing to tell apart"
            )
