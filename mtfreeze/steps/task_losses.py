# SPDX-License-Identifier: Apache-2.0
"""What a task's loss is to the core: its kind, its settings, and its targets.

``Task(loss=...)`` is nothing, a function of one's own, or a description. Descriptions are worked
out here, where the head, the training data and what they hold are known.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from ..data.examples import Examples
from ..data.labels import IGNORE
from ..errors import ConfigError, DataError
from ..heads.classes import Classification
from ..heads.kind import HeadSpec
from ..heads.row_spaces import Targets, TextTargets
from ..heads.task import Task
from ..inputs.packing import Encoded
from ..losses.cross_entropy import CrossEntropy, cross_entropy_sum
from ..losses.distillation import Distillation, soft_targets
from ..losses.own import Float32, LossFunction, loss_sum
from ..losses.step_loss import LossSettings
from ..quoting import quoted

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = [
    "CoreLoss",
    "LossSum",
    "core_loss",
    "evaluation_loss",
    "own_loss",
    "scored_task",
    "with_logits",
]

Int64 = NDArray[np.int64]
LossSum = Callable[[Targets, Encoded, Int64, Float32], tuple[float, float]]
"""Targets and tokens of the data, rows and outputs of a pass -> the summed loss over these rows,
and what its mean divides by."""


class CoreLoss(NamedTuple):
    """How the core learns a task.

    Attributes
    ----------
    targets : Targets
        Of the training data.
    kind : str, optional
        None: that of the head.
    settings : LossSettings, optional
        None: the usual ones.
    """

    targets: Targets
    kind: str | None = None
    settings: LossSettings | None = None


def own_loss(task: Task, spec: HeadSpec) -> LossFunction | None:
    """Return the loss that is not of the core: the user's function, or the head's over a batch."""
    if task.loss is None:
        return spec.batch_loss()
    return task.loss if callable(task.loss) else None


def core_loss(model: ModelState, name: str, task: Task, targets: Targets) -> CoreLoss:
    """Return how the core learns the training data of a task, `targets` those of its head.

    Raises
    ------
    ConfigError
        If the head is not one that the described loss is for.
    DataError
        If a teacher has not a row for each row, or not a column for each label.
    """
    spec = model.heads[name].spec
    if isinstance(task.loss, CrossEntropy):
        return CoreLoss(targets, None, _settings(task.loss, spec, name, targets))
    if isinstance(task.loss, Distillation) and task.train is not None:
        logits = _teacher_logits(task.loss, name, _by_labels(spec, name, task.loss), task.train)
        one_a_text = cast(TextTargets, targets)
        values = soft_targets(cast(NDArray[np.int32], one_a_text.values), logits, IGNORE)
        learned = replace(one_a_text, values=values)
        return CoreLoss(learned, "soft_targets", task.loss.settings())
    return CoreLoss(targets)


def with_logits(model: ModelState, tasks: Mapping[str, Task]) -> dict[str, Task]:
    """Return the tasks with what models teach as logits, which a folder can hold.

    Parameters
    ----------
    model : MultiTaskModel
        Which learns.
    tasks : mapping of str to Task
        From `check_tasks`. A teacher of no rows is left out: evaluations do not ask it.

    Raises
    ------
    ConfigError
        If the head is not one that the loss is for, or the teacher has not its labels.
    """
    found = dict(tasks)
    for name, task in tasks.items():
        loss = task.loss
        if isinstance(loss, Distillation) and not loss.has_logits:
            spec = _by_labels(model.heads[name].spec, name, loss)
            found[name] = told = copy.copy(task)
            told.loss = None
            if task.train is not None:
                logits = _teacher_logits(loss, name, spec, task.train)
                told.loss = replace(loss, teacher=logits, head=None)
    return found


def evaluation_loss(spec: HeadSpec, name: str, task: Task, known: Targets) -> LossSum:
    """Return what sums up the loss of a task that is scored.

    Balanced class weights are those of the training data, `known`, as in training.
    """
    if isinstance(task.loss, CrossEntropy):
        settings = _settings(task.loss, spec, name, known)
        return lambda targets, encoded, rows, outputs: cross_entropy_sum(
            outputs, _codes(targets, encoded, rows), settings
        )
    if task.loss is None or isinstance(task.loss, Distillation):
        return spec.pass_loss
    own: Any = task.loss
    where = f"evaluation, task {quoted(name)}"
    return lambda targets, encoded, rows, outputs: loss_sum(
        own, outputs, targets.for_rows(encoded, rows), where
    )


def scored_task(spec: HeadSpec, name: str, task: Task, known: Targets | None) -> Task:
    """Return a task with its evaluation rows alone, which has the same loss in evaluations.

    Parameters
    ----------
    spec, name, task
        A task of this name, and of its head.
    known : Targets or None
        Of its training data, if it has some.
    """
    left = copy.copy(task)
    left.train = None
    if isinstance(task.loss, Distillation):
        left.loss = None
    elif isinstance(task.loss, CrossEntropy) and known is not None:
        codes = cast(NDArray[np.int32], known.flat())
        left.loss = task.loss.settled(spec.labels, codes, name)
    return left


def _codes(targets: Targets, encoded: Encoded, rows: Int64) -> NDArray[np.int32]:
    return cast(NDArray[np.int32], targets.for_rows(encoded, rows))


def _by_labels(spec: HeadSpec, name: str, loss: CrossEntropy | Distillation) -> Classification:
    """Return the description of a head that learns labels by cross entropy."""
    wanted = "one label" if isinstance(loss, CrossEntropy) else "one label a text"
    fits = isinstance(spec, Classification) and spec.chooses_by_itself
    if isinstance(loss, Distillation):
        fits = fits and not spec.row_space.splits
    if not fits or not isinstance(spec, Classification):
        raise ConfigError(
            f"a {loss.kind} loss is for heads that choose {wanted}; found {quoted(name)}, "
            f"{spec.written}; leave loss= out"
        )
    return spec


def _settings(loss: CrossEntropy, spec: HeadSpec, name: str, known: Targets) -> LossSettings:
    codes = cast(NDArray[np.int32], known.flat())
    return loss.settings(_by_labels(spec, name, loss).labels, codes, name)


def _teacher_logits(
    loss: Distillation, name: str, spec: Classification, examples: Examples
) -> Float32:
    """Return a row of logits for each row of the training data."""
    logits = loss.teacher
    if not loss.has_logits:
        head = name if loss.head is None else loss.head
        theirs = loss.teacher.heads[head].labels if head in loss.teacher.heads else None
        if theirs != spec.labels:
            raise ConfigError(
                f"task {quoted(name)}: expected a teacher with a head {quoted(head)} of the labels "
                f"{list(spec.labels)}; found "
                f"{'no such head' if theirs is None else list(theirs)}; pass "
                "Distillation(..., head=...) or a teacher of these labels"
            )
        texts = [row.content for row in examples]
        logits = loss.teacher.forward(texts, [head])[head]
    if logits.shape != (len(examples), len(spec.labels)):
        raise DataError(
            f"task {quoted(name)}: expected logits of the teacher of shape "
            f"{(len(examples), len(spec.labels))}, a row for each training row and a column for "
            f"each label; found {logits.shape}; compute them for exactly these rows, in order"
        )
    return np.asarray(logits, np.float32)
