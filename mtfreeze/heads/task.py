# SPDX-License-Identifier: Apache-2.0
"""`Task`: what one head learns from and is judged on.

The loss of a step adds up weight x mean loss over the labelled rows of each of its tasks. A task
belongs to the head of the same name in ``fit(model, {"classifier": Task(...)})``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Any

from ..checks import as_number, check_choice, check_flag, typed
from ..data.balanced import BALANCED, EACH_ROW, check_row_sampling
from ..data.csv_rows import Column, Columns
from ..data.examples import Examples, Rows, as_examples
from ..data.label_map import LabelMap
from ..data.label_names import check_label_names
from ..data.task_tables import task_tables
from ..errors import ConfigError
from ..images.augmentations import Augment
from ..inputs.row_encoding import PLAIN, RowEncoding
from ..losses.described import DescribedLoss
from ..losses.own import LossFunction, loss_name
from ..metrics.own import MetricFunction, own_name
from ..quoting import quoted
from .classes import Classification
from .extra_metrics import NAMED, check_metrics
from .kind import HeadSpec
from .measure import Measure
from .registry import MEASURES, METRICS
from .row_spaces import TEXTS
from .suited import check_named, head_for, told

__all__ = ["Task"]


class Task:
    """Training and evaluation data of one head, and how much its loss counts.

    Parameters
    ----------
    train : Examples or rows, optional
        What a reader returns, or plain rows: ``[(text, label), ...]``, ``[(words, tags), ...]``,
        ``[{"text": ..., "labels": {task: label, ...}}, ...]``. Give the same object to several
        tasks where rows carry labels for several; with ``mixing="joint"`` each row is then encoded
        once a step. Without it the task is only evaluated.
    eval : Examples or rows, optional
        Data that `evaluate` scores.
    weight : float
        Factor of this task's loss, 0 or more.
    train_through_frozen : bool
        Let the loss of this task train the backbone even while its head is frozen.
    metric : str, optional
        The figure that the task is judged by: ``accuracy``, ``f1_macro``, ``mcc`` for labels of
        texts, ``f1``, ``precision``, ``recall``, ``accuracy`` for tags, ``pearson``, ``r2`` for
        numbers, ``map``, ``map_50`` for boxes; by default the first. Or one of `metrics`, of which
        more is then taken for better.
    label : str, optional
        Name of this task's label in rows that carry several; by default the task's own name.
    loss : CrossEntropy, Distillation or callable, optional
        Instead of the head's loss: one of the core's with settings, or one of your own; see below.
    augment : Augment, optional
        How training images vary from one epoch to the next.
    metrics : sequence of str or callable
        What is computed beside the figures of the head, as ``eval_<task>_<name>``: ``"roc_auc"``,
        ``"average_precision"``, ``"precision_macro"``, ``"recall_macro"``, ``"f1_weighted"``,
        ``"balanced_accuracy"`` (one label a text or word), ``"precision_micro"``,
        ``"recall_micro"`` (sets of labels), or functions of your own; see below.
    sampling : {"rows", "balanced"}
        Which rows an epoch takes: each once, or as many rows in all, but of each label as many as
        of another, those of rare labels several times. For heads that give a row one label.

    Raises
    ------
    TypeError
        If data, weight, loss or a row is of the wrong type (with the row's number).
    DataError
        If data is empty or a row does not hold.
    ConfigError
        If there is no data at all, the weight is negative or not finite, a metric unknown, or a
        function of `metrics` without a name of its own.

    Notes
    -----
    ``loss(outputs, targets)`` is called once a step with the rows of the whole step that have a
    label: `outputs` (N, width) float32, what the head gives, one row a text or, for a head of
    words, one a labelled word; `targets` (N,) int32, their class indices. It returns the mean of
    the loss over the rows, and the derivative of that mean by `outputs`, (N, width). Weights,
    clipping, frozen parts and checkpoints are as with any loss. A value or a derivative that is
    not finite, or of another shape, raises `TrainingError` and leaves the weights as they were.

    An evaluation calls it for each of its passes and reports the mean over all rows. A step of more
    tokens than ``token_budget`` runs its forward pass twice, because all outputs have to be there
    first; `run.costs` counts the work of one. A checkpoint keeps the function's name: give the same
    function to resume. `compare`, whose jobs run from a folder, refuses it.

    A metric ``metric(gold, predicted)`` gets the targets and the answers of all labelled texts or
    words of the evaluation data, in their order, and returns a number, NaN where it is undefined:
    (n,) int64 class indices of heads that choose one label (-1 for a word that was cut off, where
    there is no ``O``); (n, n_labels) int64 of 0 and 1 for sets of labels; float64 for numbers. Its
    name is that of the function. `fit` calls it once before the first step, with answers that are
    all right; what it raises becomes a `ConfigError` that names it. Where `compare` runs jobs in
    other processes, they import it, so it must stand in a module.

    Examples
    --------
    >>> Task(train=[("good", "positive"), ("bad", "negative")])
    Task(train=2 rows, eval=none, weight=1.0)

    Cross entropy with smoothed labels:

    >>> import numpy as np
    >>> def smoothed(outputs, targets):
    ...     n, width = outputs.shape
    ...     z = outputs - outputs.max(axis=1, keepdims=True)
    ...     log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
    ...     wanted = 0.9 * np.eye(width)[targets] + 0.1 / width
    ...     return -(wanted * log_p).sum() / n, (np.exp(log_p) - wanted) / n
    >>> task = Task(train=[("good", "positive"), ("bad", "negative")], loss=smoothed)
    >>> model.step({"classifier": task}, learning_rate=1e-4).losses["classifier"] > 0
    True

    A metric of your own, by which the best model is chosen:

    >>> def misses(gold, predicted):
    ...     return -float((gold != predicted).sum())
    >>> task = Task(eval=[("good", "positive")], metrics=["roc_auc", misses], metric="misses")
    >>> task
    Task(train=none, eval=1 rows, weight=1.0, metric='misses', metrics=['roc_auc', 'misses'])
    """

    def __init__(
        self,
        train: Rows | None = None,
        eval: Rows | None = None,
        *,
        weight: float = 1.0,
        train_through_frozen: bool = False,
        metric: str | None = None,
        label: str | None = None,
        loss: LossFunction | DescribedLoss | None = None,
        augment: Augment | None = None,
        metrics: Sequence[str | MetricFunction] = (),
        sampling: str = EACH_ROW,
    ) -> None:
        if train is None and eval is None:
            raise ConfigError("a Task needs data; found neither train= nor eval=; pass one of them")
        self.train = None if train is None else as_examples(train, "train")
        self.eval = None if eval is None else as_examples(eval, "eval")
        self.weight = _checked_weight(weight)
        self.train_through_frozen = check_flag("train_through_frozen", train_through_frozen)
        self.metrics = check_metrics(metrics, tuple(METRICS))
        own = tuple(one.name for one in self.metrics)
        known = dict.fromkeys(one for m in MEASURES.values() for one in m.choices)
        if metric is not None:
            if callable(metric):
                name = own_name(metric)
                raise TypeError(
                    f"metric must be the name of a metric; found {typed(metric)}; give the "
                    f"function to metrics, and its name here: metrics=[{name}], "
                    f"metric={quoted(name)}"
                )
            check_choice("metric", metric, tuple(dict.fromkeys((*known, *own, *NAMED))))
            if metric in NAMED and metric not in own:
                self.metrics += (NAMED[metric],)
        self.metric = metric
        if label is not None and not isinstance(label, str):
            raise TypeError(f"label must be the name of a label (str); found {typed(label)}")
        self.label = label
        if loss is not None and not isinstance(loss, DescribedLoss) and not callable(loss):
            raise TypeError(
                "loss must be mtf.CrossEntropy(...), mtf.Distillation(...) or a function (outputs, "
                f"targets) -> (value, gradient); found {typed(loss)}; leave it out for the loss of "
                "the head"
            )
        self.loss = loss
        if augment is not None and not isinstance(augment, Augment):
            raise TypeError(
                f"augment must be mtf.Augment(...); found {typed(augment)}; leave it out for "
                "images as they are"
            )
        self.augment = augment
        self.sampling = check_row_sampling(sampling)
        self._labels: tuple[str, ...] | None = None
        self.encoding: RowEncoding = PLAIN
        self.distinct = False

    @classmethod
    def from_table(
        cls,
        table: object,
        *,
        text: Columns | None = None,
        label: Column = "label",
        eval: object = "auto",
        labels: Sequence[str] | str = "auto",
        label_map: LabelMap | None = None,
        limit: int | None = None,
        seed: int = 0,
        **settings: Any,
    ) -> Task:
        """Make a task of a table: rows by named columns, a share of them to judge by.

        Parameters
        ----------
        table : frame, data set, mapping, rows or path
            As in `read_table`; or the parts of a data set by name, of which ``train`` is learned
            from: a ``DatasetDict``, a mapping of tables.
        text : str, or list of str, optional
            Column of the text, or of the texts of a row, as in `read_table`.
        label : str
            Column of the label.
        eval : number, table, str or None
            What the task is judged by: a share of the rows, drawn by `Examples.split`, the same of
            each label; another table; the name of a part. "auto": the part ``validation`` (or
            ``dev``, ``test``, ...) of a data set that has one, else 0.2. None: nothing.
        labels : list of str, or "auto"
            Names of the labels in the order of a head's outputs, which `head` takes. "auto": those
            in the data, as `labels` has them. With a list every row is held to it.
        label_map, limit
            As in `read_table`.
        seed : int
            Which rows a share takes.
        **settings
            Arguments of `Task`, such as ``weight=``, ``metric=``.

        Raises
        ------
        TypeError, DataError, ConfigError, ImportError
            As `read_table`, `Examples.split` and `Task` raise.

        Examples
        --------
        >>> table = {"review": ["good", "bad", "fine", "slow"], "mood": ["glad", "sad"] * 2}
        >>> task = Task.from_table(table, text="review", label="mood", eval=0.5)
        >>> task
        Task(train=2 rows, eval=2 rows, weight=1.0, labels=('glad', 'sad'))
        >>> task.train
        Examples(2 texts, name='table, first 50 %', labels: glad 1, sad 1)
        >>> model = model.add_head("mood", task.head())
        """
        read = {"text": text, "label": label, "label_map": label_map, "limit": limit}
        train, judged, order = task_tables(table, eval, seed, read)
        task = cls(train, judged, **settings)
        of_data = isinstance(labels, str) and labels == "auto"
        given = None if of_data else check_label_names(labels)
        task._labels = given or order or task.labels
        for part in task._parts if given is not None else ():
            check_named(part, task.label or "", given or ())
        return task

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the labels in the data, rows of `eval` too; numbers by size, then names sorted.

        Where a data set of the package datasets has names in an order (``ClassLabel``), they are in
        that. Empty where numbers are told.
        """
        if self._labels is None:
            return told(self._parts, self.label or "").names
        return self._labels

    def head(self, **settings: Any) -> HeadSpec:
        """Return the description of a head for these data, of the kind and labels that they have.

        Parameters
        ----------
        **settings
            Arguments of that kind, such as ``hidden=(64,)``, ``dropout=0.2``.

        Raises
        ------
        DataError
            If no kind of head learns from such rows.
        ConfigError, TypeError
            If the kind has no such argument, or it cannot be used.

        Examples
        --------
        >>> Task([("good", "glad"), ("bad", "sad")]).head(hidden=(64,)).labels
        ('glad', 'sad')
        """
        return head_for(self._parts, self.label or "", self._labels, **settings)

    @property
    def _parts(self) -> list[Examples]:
        return [one for one in (self.train, self.eval) if one is not None]

    def read_by(self, spec: HeadSpec) -> Task:
        """Return the task with its rows as heads of this description read them.

        Raises
        ------
        DataError
            If a row cannot be read so; the row is named.
        ConfigError
            If such heads give a row no label, or several, of which none can be drawn evenly.
        """
        if self.sampling == BALANCED and not (spec.space == TEXTS.name and _chooses(spec)):
            raise ConfigError(
                f"sampling={quoted(BALANCED)} draws each label of whole rows as often as another; "
                f"found a head that has none, {type(spec).__name__}; leave it out, or weigh labels "
                "in a loss"
            )
        read = copy.copy(self)
        read.train = None if self.train is None else spec.rows(self.train)
        read.eval = None if self.eval is None else spec.rows(self.eval)
        read.encoding, read.distinct = spec.encoding, spec.distinct
        if self.augment is not None and read.train is not None:
            read.encoding = spec.encoding.varied(self.augment)
            read.encoding.check(read.train)
        return read

    @property
    def extra_names(self) -> tuple[str, ...]:
        """What `metrics` are called."""
        return tuple(one.name for one in self.metrics)

    def judged_by(self, measure: Measure) -> str:
        """Return the short name of the figure that the task is judged by.

        Raises
        ------
        ConfigError
            If it is neither one of `metrics` nor one of the head's, which has this measure.
        """
        named = self.metric
        return named if named is not None and named in self.extra_names else measure.choose(named)

    def measured_by(self, measure: Measure) -> str:
        """Return the same for those who count rows: the head's usual one for one of `metrics`."""
        return measure.choose(None if self.metric in self.extra_names else self.metric)

    def only_evaluated(self) -> Task:
        """Return a task that trains on the evaluation rows, for those who group and read rows."""
        read = copy.copy(self)
        read.train, read.eval, read.sampling = self.eval, None, EACH_ROW
        return read

    def only_trained(self) -> Task:
        """Return the task without its evaluation rows, for those who evaluate on their own."""
        left = copy.copy(self)
        left.eval = None
        return left

    def only_judged(self) -> Task:
        """Return the task as one that is only watched: its evaluation rows, and no loss."""
        left = copy.copy(self)
        left.train = left.loss = left.augment = None
        left.weight, left.train_through_frozen, left.sampling = 1.0, False, EACH_ROW
        return left

    def label_name(self, task: str) -> str:
        """Return the name of this task's label in rows that carry several."""
        return task if self.label is None else self.label

    def __repr__(self) -> str:
        sizes = (
            f"{name}={'none' if data is None else f'{len(data)} rows'}"
            for name, data in (("train", self.train), ("eval", self.eval))
        )
        parts = [*sizes, f"weight={self.weight}"]
        if self.train_through_frozen:
            parts.append("train_through_frozen=True")
        parts += [
            f"{name}={value!r}"
            for name, value in (("metric", self.metric), ("label", self.label))
            if value is not None
        ]
        if self.metrics:
            parts.append(f"metrics={list(self.extra_names)!r}")
        if self.loss is not None:
            loss = self.loss if isinstance(self.loss, DescribedLoss) else loss_name(self.loss)
            parts.append(f"loss={loss}")
        if self.augment is not None:
            parts.append(f"augment={self.augment!r}")
        if self.sampling != EACH_ROW:
            parts.append(f"sampling={self.sampling!r}")
        if self._labels:
            parts.append(f"labels={quoted(self._labels)}")
        return f"Task({', '.join(parts)})"


def _chooses(spec: HeadSpec) -> bool:
    return isinstance(spec, Classification)


def _checked_weight(weight: object) -> float:
    value = as_number(weight)
    if value is None:
        raise TypeError(f"weight must be a number; found {typed(weight)}")
    if not math.isfinite(value) or value < 0:
        raise ConfigError(
            f"weight must be a finite number of at least 0; found {value}; use 0 to evaluate only"
        )
    return value
