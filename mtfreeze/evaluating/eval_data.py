# SPDX-License-Identifier: Apache-2.0
"""Evaluation data: checked and tokenized once, scored as often as wanted.

Tasks whose rows hold the same inputs share one pass through the backbone. For heads of words a word
that truncation cut off counts as predicted ``O``. The loss is the mean over labelled rows or
tokens: of -log p, or of ``Task.loss``. What nothing can be told about is NaN.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import chain, pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..closest import name_list
from ..data.batches import Group, group_tasks
from ..errors import ConfigError, TrainingError
from ..heads.extra_metrics import NAMED, ExtraMetric, tried
from ..heads.kind import HeadSpec
from ..heads.row_spaces import Targets
from ..heads.task import Task
from ..heads.told import LABEL, LABELS, NUMBERS
from ..inputs.packing import Encoded, PackedBatch
from ..losses.described import DescribedLoss
from ..losses.own import labelled_rows
from ..metrics.scores import metric_name
from ..model.encoding import brief_tokens, calls
from ..model.finite import check_finite
from ..multi_task_model import MultiTaskModel
from ..quoting import quoted
from ..runtime.interrupt import Stopped
from ..runtime.progress import Reporter
from ..steps.batch import TrainingRows, encode_task
from ..steps.task_losses import LossSum, evaluation_loss, own_loss
from .batch_scorer import BatchScorer
from .scorers import Outcome, RowScorer, Scorer

__all__ = ["BATCH_SIZE", "EvalData", "PackRows", "without_features"]

BATCH_SIZE = 32
"""Rows of a batch of losses that compare the rows of one, where no run says how many."""

PackRows = Callable[[Encoded, NDArray[np.int64]], PackedBatch]
"""Sequences of a data set, numbers of some -> these as a packed batch."""


def without_features(encoded: Encoded, rows: NDArray[np.int64]) -> PackedBatch:
    """Return sequences as a packed batch of what the model reads, as texts or images pack it."""
    return encoded.pack(rows)


class EvalData:
    """Evaluation data, checked and tokenized once, scored as often as wanted.

    Parameters
    ----------
    model : MultiTaskModel
        The model that will be scored; its heads must stay as they are.
    tasks : mapping of str to Task
        From `check_tasks`; those without evaluation data are left out.
    batch_size : int
        Rows of a batch of losses that compare the rows of one.
    rows : TrainingRows, optional
        Of the same tasks; without it labels of training data are read here, where a loss asks for
        them.
    told : bool
        Keep what heads answer, item by item, where they tell items.
    row_losses : bool
        Compute the loss of each row, too.

    Raises
    ------
    DataError
        For a label that does not fit; the row is named.
    ConfigError
        If one of ``Task.metrics`` is not for the head.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        tasks: Mapping[str, Task],
        batch_size: int = BATCH_SIZE,
        rows: TrainingRows | None = None,
        *,
        told: bool = False,
        row_losses: bool = False,
    ) -> None:
        self._batch_size, self._told, self._row_losses = batch_size, told, row_losses
        scored = {name: task for name, task in tasks.items() if task.eval is not None}
        self._tells: dict[str, str] = {}
        self._metrics = {name: task.metrics for name, task in scored.items()}
        for name in scored:
            self._tells[name] = model.heads[name].spec.tells
            _check_metrics(name, model.heads[name].spec, self._metrics[name])
        self._targets = {
            name: encode_task(model, name, task, task.eval)
            for name, task in scored.items()
            if task.eval is not None
        }
        self._own = {name: own_loss(task, model.heads[name].spec) for name, task in scored.items()}
        self._losses = {name: self._loss(model, name, task, rows) for name, task in scored.items()}
        as_train = {name: task.only_evaluated() for name, task in scored.items()}
        self._groups = group_tasks(as_train, "joint")
        self._encoded = [
            model.encoder.encode_examples(group.examples, group.encoding.evaluated)
            for group in self._groups
        ]

    def _loss(
        self, model: MultiTaskModel, name: str, task: Task, rows: TrainingRows | None
    ) -> LossSum:
        known = self._targets[name]
        if isinstance(task.loss, DescribedLoss) and task.train is not None:
            if rows is None:
                known = encode_task(model, name, task, task.train)
            else:
                known = rows.targets(name)
        return evaluation_loss(model.heads[name].spec, name, task, known)

    def try_metrics(self) -> None:
        """Call the metrics of the user's own once, with answers that are all right.

        Raises
        ------
        ConfigError
            If one raises, or returns no number.
        """
        for name, metrics in self._metrics.items():
            values = self._targets[name].flat()
            gold: NDArray[Any] = values[labelled_rows(values)]
            if metrics and len(gold):
                kind = {LABEL: np.int64, LABELS: np.bool_, NUMBERS: np.float64}[self._tells[name]]
                tried(metrics, gold.astype(kind), f"task {quoted(name)}")

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that are scored."""
        return list(self._targets)

    def targets(self, task: str) -> Targets:
        """Return the targets of a task that is scored."""
        return self._targets[task]

    def encoded(self, task: str) -> Encoded:
        """Return the tokens of the rows of a task that is scored."""
        at = next(i for i, group in enumerate(self._groups) if task in group.tasks)
        return self._encoded[at]

    @property
    def groups(self) -> list[tuple[Group, Encoded]]:
        """The tasks that are scored in one pass, with their tokens."""
        return list(zip(self._groups, self._encoded, strict=True))

    def part(self, n_rows: int) -> EvalData:
        """Return the same with at most so many rows of each data set, spread over it."""
        small = copy.copy(self)
        small._groups = [
            replace(group, rows=group.rows[:: -(-len(group.rows) // n_rows)][:n_rows])
            for group in self._groups
        ]
        return small

    @property
    def n_tokens(self) -> int:
        """Tokens of one evaluation."""
        return int(
            sum(
                encoded.row_lengths[group.rows].sum()
                for group, encoded in zip(self._groups, self._encoded, strict=True)
            )
        )

    def score(
        self,
        model: MultiTaskModel,
        reporter: Reporter,
        stop: Callable[[], bool] = lambda: False,
        pack: PackRows = without_features,
    ) -> dict[str, float]:
        """Return the figures of all tasks, by ``eval_<task>_<metric>``.

        `pack` makes the packed batch of rows, where it is to carry features.

        Raises
        ------
        Stopped
            If `stop` returned true between two passes.
        TrainingError
            If outputs of a head are NaN or infinite.
        """
        return {
            metric_name(name, metric): value
            for name, outcome in self.outcomes(model, reporter, stop, pack).items()
            for metric, value in outcome.metrics.items()
        }

    def outcomes(
        self,
        model: MultiTaskModel,
        reporter: Reporter,
        stop: Callable[[], bool] = lambda: False,
        pack: PackRows = without_features,
    ) -> dict[str, Outcome]:
        """Return the figures of all tasks with each row's share in them; see `score`."""
        found: dict[str, Outcome] = {}
        images = model.reads_images
        with reporter.bar(
            sum(len(group.rows) for group in self._groups) if images else self.n_tokens,
            "evaluating",
            unit="image" if images else "token",
        ):
            for group, encoded in zip(self._groups, self._encoded, strict=True):
                scorers = {
                    name: self._scorer(name, model.heads[name].spec, group, encoded)
                    for name in group.tasks
                }
                specs = [model.heads[name].spec for name in group.tasks]
                cost = max(spec.token_cost for spec in specs)
                lengths = encoded.row_lengths[group.rows] * cost // encoded.rows_per_token
                parts = chain(calls(lengths, brief_tokens()), (None,))
                for at, following in pairwise(parts):
                    if stop():
                        raise Stopped
                    assert at is not None
                    rows = group.rows[at]
                    batch = pack(encoded, encoded.sequences_of(rows))
                    made = specs[0].drawn(batch, encoded, rows, None)
                    batch = batch if made is None else made[0]
                    if following is not None and encoded.rereads and not batch.features:
                        encoded.expect(encoded.sequences_of(group.rows[following]))
                    outputs = model._core.forward(batch.for_core(), list(scorers))
                    for (name, scorer), values in zip(scorers.items(), outputs, strict=True):
                        check_finite(model, name, values, TrainingError)
                        scorer.add(rows, values)
                    reporter.advance(len(rows) if images else batch.n_tokens)
                found |= {name: scorer.outcome() for name, scorer in scorers.items()}
        return {name: found[name] for name in self._targets}

    def _scorer(self, name: str, spec: HeadSpec, group: Group, encoded: Encoded) -> Scorer:
        own, targets = self._own[name], self._targets[name]
        if own is None or spec.batch_loss() is None:
            return RowScorer(
                name,
                spec,
                targets,
                encoded,
                self._losses[name],
                metrics=self._metrics[name],
                told=self._told and bool(spec.tells),
                row_losses=self._row_losses,
            )
        size = self._batch_size
        return BatchScorer(name, spec, targets, encoded, own, group.rows, size)


def _check_metrics(name: str, spec: HeadSpec, metrics: Sequence[ExtraMetric]) -> None:
    """Check that a head gives what its task's metrics are computed of."""
    for one in metrics:
        if not one.fits(spec.tells):
            fitting = [other.name for other in NAMED.values() if other.fits(spec.tells)]
            instead = f"{name_list(fitting)}, or a function of your own" if fitting else ""
            instead = instead or ("a function of your own" if spec.tells else "none")
            raise ConfigError(
                f"task {quoted(name)}: the metric {quoted(one.name)} is not for a head of the kind "
                f"{spec.kind}; expected {instead}; leave it out of metrics="
            )
