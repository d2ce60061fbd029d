# SPDX-License-Identifier: Apache-2.0
"""Whether training data is enough for a figure about it to mean anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..closest import counted
from ..errors import DataError
from ..heads.task import Task
from ..quoting import quoted
from ..steps.batch import encode_task

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["check_sufficient"]


def check_sufficient(model: MultiTaskModel, tasks: Mapping[str, Task]) -> None:
    """Check that every task has data to train and to evaluate on, and something to tell apart.

    Raises
    ------
    DataError
        If a task has no training or no evaluation data, or its head says that the training data
        are too few or all alike.
    """
    for name, task in tasks.items():
        for part, data in (("train", task.train), ("eval", task.eval)):
            if data is None:
                raise DataError(
                    f"task {quoted(name)} needs data to train on and to evaluate on; found no "
                    f"{part}= "
                    f"data; pass Task({part}=...), e.g. from examples.split(0.8)"
                )
        assert task.train is not None and task.eval is not None
        targets = encode_task(model, name, task, task.train)
        spec = model.heads[name].spec
        spec.check_sufficient(name, targets, len(task.train))
        gold = encode_task(model, name, task, task.eval)
        if not spec.measure.n_items(spec.baseline(targets, gold)):
            raise DataError(
                f"task {quoted(name)} needs evaluation rows that can be scored; found "
                f"{counted(len(task.eval), 'row')} in which no {spec.row_space.item} counts; "
                f"give {spec.row_space.data}"
            )
