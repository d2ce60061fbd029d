# SPDX-License-Identifier: Apache-2.0
"""Evaluation data: checked and tokenized once, scored as often as wanted.

Tasks whose rows hold the same inputs share one pass through the backbone. For heads of words a word
that truncation cut off counts as predicted ``O``. The loss is the mean over labelled rows or
tokens: of -log p, or of ``Task.loss``.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..data.batches import Group, group_tasks
from ..data.labels import IGNORE
from ..data.task import Task
from ..inputs.packing import Encoded, PackedBatch, word_values
from ..losses.own import LossFunction, loss_sum
from ..metrics.entities import OUTSIDE, is_iob2
from ..metrics.scores import metric_name, sequence_metrics, token_counts, token_sums
from ..model.encoding import brief_tokens, calls
from ..multi_task_model import MultiTaskModel
from ..runtime.progress import Reporter
from ..steps.batch import TaskLabels, encode_task

__all__ = ["EvalData", "Outcome", "PackRows", "Stopped"]


PackRows = Callable[[Encoded, NDArray[np.int64]], PackedBatch]
"""Tokens of a data set, row numbers -> the rows as a packed batch."""


class Stopped(Exception):
    """The user asked for an end in the middle of an evaluation."""


@dataclass(frozen=True)
class Outcome:
    """What an evaluation found for one task.

    Attributes
    ----------
    kind : {"sequence", "token", "word"}
        Labels of texts; IOB2 tags; other tags.
    counts : (n, k) int64 array
        Of every row with labels. "sequence": class in gold and predicted; "token": `token_counts`;
        "word": words, words with the right tag.
    metrics : dict of str to float
        Loss and metrics by short name.
    """

    kind: str
    counts: NDArray[np.int64]
    metrics: dict[str, float]


class EvalData:
    """Evaluation data, checked and tokenized once, scored as often as wanted.

    Parameters
    ----------
    model : MultiTaskModel
        The model that will be scored; its heads must stay as they are.
    tasks : mapping of str to Task
        Tasks without evaluation data are left out.
    """

    def __init__(self, model: MultiTaskModel, tasks: Mapping[str, Task]) -> None:
        scored = {name: task for name, task in tasks.items() if task.eval is not None}
        as_train = {name: Task(train=task.eval, label=task.label) for name, task in scored.items()}
        self._labels = {
            name: encode_task(model, name, task, task.eval)
            for name, task in scored.items()
            if task.eval is not None
        }
        self._own = {name: task.loss for name, task in scored.items()}
        self._groups = group_tasks(as_train, "joint")
        self._encoded = [model.encoder.encode_examples(group.examples) for group in self._groups]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that are scored."""
        return list(self._labels)

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
                encoded.lengths[group.rows].sum()
                for group, encoded in zip(self._groups, self._encoded, strict=True)
            )
        )

    def score(
        self,
        model: MultiTaskModel,
        reporter: Reporter,
        stop: Callable[[], bool] = lambda: False,
        pack: PackRows = Encoded.pack,
    ) -> dict[str, float]:
        """Return the figures of all tasks, by ``eval_<task>_<metric>``.

        `pack` makes the packed batch of rows, where it is to carry features.

        Raises
        ------
        Stopped
            If `stop` returned true between two passes.
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
        pack: PackRows = Encoded.pack,
    ) -> dict[str, Outcome]:
        """Return the figures of all tasks with each row's share in them; see `score`."""
        found: dict[str, Outcome] = {}
        with reporter.bar(self.n_tokens, "evaluating", unit="token"):
            for group, encoded in zip(self._groups, self._encoded, strict=True):
                scorers = {
                    name: _Scorer(
                        self._labels[name], model.heads[name].labels, encoded, self._own[name]
                    )
                    for name in group.tasks
                }
                for at in calls(encoded.lengths[group.rows], brief_tokens()):
                    if stop():
                        raise Stopped
                    rows = group.rows[at]
                    batch = pack(encoded, rows)
                    logits = model._core.forward(batch.for_core(), list(scorers))
                    for scorer, values in zip(scorers.values(), logits, strict=True):
                        scorer.add(rows, values)
                    reporter.advance(batch.n_tokens)
                found |= {name: scorer.outcome() for name, scorer in scorers.items()}
        return {name: found[name] for name in self._labels}


def _log_likelihood(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> tuple[float, int]:
    """Return the sum of -log p over the labelled rows, and their number."""
    labelled = labels != IGNORE
    chosen = logits[labelled].astype(np.float64)
    if not len(chosen):
        return 0.0, 0
    top = chosen.max(axis=1, keepdims=True)
    log_sum = np.log(np.exp(chosen - top).sum(axis=1)) + top[:, 0]
    return float((log_sum - chosen[np.arange(len(chosen)), labels[labelled]]).sum()), len(chosen)


class _Scorer:
    """Collects the predictions of one head, then turns them into figures."""

    def __init__(
        self,
        labels: TaskLabels,
        names: Sequence[str],
        encoded: Encoded,
        own: LossFunction | None = None,
    ) -> None:
        self._labels, self._names, self._encoded, self._own = labels, list(names), encoded, own
        # Without an O among the labels a lost word is wrong whatever its label: -1 is no class.
        self._lost = self._names.index(OUTSIDE) if OUTSIDE in self._names else -1
        self._loss, self._n_loss = 0.0, 0
        self._gold: list[NDArray[np.int32]] = []
        self._found: list[NDArray[np.int64]] = []

    def add(self, rows: NDArray[np.int64], logits: NDArray[np.float32]) -> None:
        """Take the logits, (N, n_labels), of a pass over these rows."""
        labels = self._labels.for_rows(self._encoded, rows)
        if self._own is None:
            loss, n = _log_likelihood(logits, labels)
        else:
            loss, n = loss_sum(self._own, logits, labels, f"evaluation, task {self._labels.head!r}")
        self._loss, self._n_loss = self._loss + loss, self._n_loss + n
        best = logits.argmax(axis=1)
        if not self._labels.of_words:
            self._gold.append(labels)
            self._found.append(best)
            return
        codes = cast("Sequence[NDArray[np.int32]]", self._labels.codes)
        words = word_values(self._encoded, rows.tolist(), best, self._lost)
        for row, predicted in zip(rows, words, strict=True):
            # A row of a shared pass may carry no tags of this task.
            if not (codes[row] == IGNORE).any():
                self._gold.append(codes[row])
                self._found.append(predicted)

    def outcome(self) -> Outcome:
        """Return loss and metrics, and what each row adds to them."""
        loss = {"loss": self._loss / max(1, self._n_loss)}
        if not self._labels.of_words:
            gold, found = np.concatenate(self._gold), np.concatenate(self._found)
            pairs = np.stack([gold, found], axis=1)[gold != IGNORE].astype(np.int64)
            metrics = sequence_metrics(pairs[:, 0], pairs[:, 1])
            return Outcome("sequence", pairs, loss | metrics)
        if is_iob2(self._names):
            counts = token_counts(self._tags(self._gold), self._tags(self._found))
            return Outcome("token", counts, loss | token_sums(counts.sum(axis=0)))
        right = [int((g == f).sum()) for g, f in zip(self._gold, self._found, strict=True)]
        counts = np.array([[len(g) for g in self._gold], right], dtype=np.int64).T
        n_words, n_right = counts.sum(axis=0)
        return Outcome("word", counts, loss | {"accuracy": int(n_right) / max(1, int(n_words))})

    def _tags(
        self, rows: Sequence[NDArray[np.int32]] | Sequence[NDArray[np.int64]]
    ) -> list[list[str]]:
        return [[self._names[code] for code in row] for row in rows]
