# SPDX-License-Identifier: Apache-2.0
"""Rows of tasks -> what the core trains on: packed token ids and targets, made once.

All labels are checked and all texts tokenized before the first step, so a bad row in the last
batch is found in the first second. The tokens of rows that several tasks share are made once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import typed
from ..closest import unknown
from ..data.batches import Group, Step
from ..data.examples import Examples
from ..errors import ConfigError
from ..heads.row_spaces import Targets, Values
from ..heads.task import Task
from ..inputs.packing import Encoded, PackedBatch
from ..inputs.row_encoding import RowEncoding
from ..losses.own import LossFunction
from ..losses.step_loss import StepLoss
from ..quoting import quoted
from .task_losses import CoreLoss, core_loss, own_loss

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["StepBatch", "TrainingRows", "check_tasks", "encode_task"]


@dataclass(frozen=True)
class StepBatch:
    """One optimizer step as the core takes it.

    Attributes
    ----------
    batch : PackedBatch
        The sequences of all parts, in order.
    losses : list of StepLoss
        Every head once.
    own : mapping of str to callable
        ``Task.loss`` of the heads that have one.
    """

    batch: PackedBatch
    losses: list[StepLoss]
    own: Mapping[str, LossFunction] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The tasks of this step, joined by ``+``."""
        return "+".join(one.head for one in self.losses)


def check_tasks(model: ModelState, tasks: object) -> dict[str, Task]:
    """Return the tasks by head name, their rows as the heads read them.

    Raises
    ------
    TypeError
        If `tasks` is no mapping of names to `Task`.
    ConfigError
        If there is none, or one is named like no head (the closest is named).
    DataError
        If a head cannot read a row; the row is named.
    """
    if not isinstance(tasks, Mapping):
        raise TypeError(
            'tasks must map head names to Task, such as {"classifier": Task(...)}; '
            f"found {typed(tasks)}"
        )
    if not tasks:
        raise ConfigError("expected at least one task; found none; add one for a head")
    for name, task in tasks.items():
        if name not in model.heads:
            if not model.heads:
                raise ConfigError(
                    f"task {quoted(name)} needs a head of that name; found a model without heads; "
                    f"call model.add_head({quoted(name)}, ...) first"
                )
            raise ConfigError(
                f"task {quoted(name)} has no head: "
                f"{unknown('head', name if isinstance(name, str) else quoted(name), model.heads)}"
            )
        if not isinstance(task, Task):
            raise TypeError(
                f"task {quoted(name)} must be a Task; found {typed(task)}; "
                "write Task(train=..., eval=...)"
            )
    return {name: task.read_by(model.heads[name].spec) for name, task in tasks.items()}


def encode_task(model: ModelState, name: str, task: Task, examples: Examples) -> Targets:
    """Turn the labels of a data set into targets of the head `name`.

    Raises
    ------
    DataError
        For a label that the head does not have, and whatever else does not fit; the row is named.
    """
    return model.heads[name].spec.targets(examples, task.label_name(name), name)


Pack = Callable[[Encoded, int, NDArray[np.int64]], PackedBatch]
"""Tokens of a data set, position of the group, sequences -> these as a packed batch."""


def _pack(encoded: Encoded, group: int, sequences: NDArray[np.int64]) -> PackedBatch:
    return encoded.pack(sequences)


class TrainingRows:
    """The training data of a run: row numbers in, `StepBatch` out.

    Parameters
    ----------
    model : MultiTaskModel
        Its tokenizer and heads.
    tasks : mapping of str to Task
        From `check_tasks`; what heads read alike is tokenized once.
    seed : int
        Of what heads draw anew for every epoch.

    Raises
    ------
    DataError
        For a text or label that does not fit; the row is named.
    """

    def __init__(self, model: ModelState, tasks: Mapping[str, Task], seed: int = 0) -> None:
        self._specs = {name: model.heads[name].spec for name in tasks}
        self._seed = seed
        self._weights = {name: task.weight for name, task in tasks.items()}
        losses = {name: own_loss(task, model.heads[name].spec) for name, task in tasks.items()}
        self._own = {name: loss for name, loss in losses.items() if loss is not None}
        self._learned: dict[str, CoreLoss] = {}
        self._targets: dict[str, Targets] = {}
        self._encoded: dict[tuple[int, RowEncoding], Encoded] = {}
        for name, task in tasks.items():
            if task.train is not None:
                self._targets[name] = encode_task(model, name, task, task.train)
                self._learned[name] = core_loss(model, name, task, self._targets[name])
                key = id(task.train), task.encoding
                if key not in self._encoded:
                    self._encoded[key] = model.encoder.encode_examples(task.train, task.encoding)
        self._tasks = dict(tasks)  # keeps the examples, and so their ids, alive

    @property
    def data(self) -> list[Encoded]:
        """The tokens of all distinct sets of rows."""
        return list(self._encoded.values())

    def targets(self, task: str) -> Targets:
        """Return the targets of a task's training data."""
        return self._targets[task]

    def encoded(self, examples: Examples, encoding: RowEncoding) -> Encoded:
        """Return the tokens of the training data of a task, whose heads read them so."""
        return self._encoded[id(examples), encoding]

    @property
    def rereads(self) -> bool:
        """Whether `expect` is of use: some rows are read again for every batch."""
        return any(one.rereads for one in self._encoded.values())

    def expect(self, groups: Sequence[Group], step: Step, epoch: int = 0) -> None:
        """Take note of the next step, as `batch` takes it: what it reads is read meanwhile."""
        for part in step:
            group = groups[part.group]
            encoded = self.encoded(group.examples, group.encoding)
            if encoded.rereads:
                encoded.expect(encoded.sequences_of(part.rows, epoch))

    def batch(
        self, groups: Sequence[Group], step: Step, pack: Pack = _pack, epoch: int = 0
    ) -> StepBatch:
        """Put together one step: every part's sequences, and each task's labels on them.

        Parameters
        ----------
        groups : sequence of Group
            What the parts of `step` count in.
        step : tuple of Part
            From ``plan_epoch``.
        pack : callable, optional
            (tokens, group, sequences) -> packed batch, where it is to carry features.
        epoch : int
            What heads draw anew depends on it.
        """
        of_parts = [groups[part.group] for part in step]
        encoded = [self.encoded(group.examples, group.encoding) for group in of_parts]
        parts = [
            pack(one, part.group, one.sequences_of(part.rows, epoch))
            for one, part in zip(encoded, step, strict=True)
        ]
        own_targets: list[Values | None] = [None] * len(parts)
        for at, part in enumerate(step):
            # Tasks of one group read rows alike: what the first draws is drawn for all.
            key = (self._seed, part.tasks[0], epoch)
            made = self._specs[part.tasks[0]].drawn(parts[at], encoded[at], part.rows, key)
            if made is not None:
                parts[at], own_targets[at] = made
        losses: list[StepLoss] = []
        for position, part in enumerate(step):
            for name in part.tasks:
                (targets, kind, settings), drawn_here = self._learned[name], own_targets[position]
                pieces: list[Any] = [
                    (
                        targets.in_epoch(encoded[at], part.rows, epoch)
                        if drawn_here is None
                        else drawn_here
                    )
                    if at == position
                    else targets.unlabelled(one)
                    for at, one in enumerate(parts)
                ]
                joined = np.concatenate(pieces)
                losses.append(StepLoss(name, joined, self._weights[name], kind, settings))
        own = {one.head: self._own[one.head] for one in losses if one.head in self._own}
        return StepBatch(PackedBatch.join(parts), losses, own)
