# SPDX-License-Identifier: Apache-2.0
"""`evaluate`: what the heads of a model score on the evaluation data of their tasks.

Frozen heads are evaluated like all others, so that forgetting shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from .._core import Bracket
from ..checks import check_flag, check_integer
from ..errors import DataError
from ..features import CacheStats, open_cache
from ..heads.registry import measure_named
from ..heads.task import Task
from ..model.state import check_model
from ..notices import EvaluationWarning, warn
from ..runtime.progress import Reporter
from ..steps.batch import check_tasks
from ..steps.prefix_features import evaluation_features
from .doubts import Doubt, doubt
from .eval_data import BATCH_SIZE, EvalData
from .evaluation import Evaluation
from .scorers import Outcome

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["evaluate", "evaluate_rows"]


def evaluate(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    *,
    cache: str | bool | os.PathLike[str] = "auto",
    progress: bool = False,
    batch_size: int = BATCH_SIZE,
) -> Evaluation:
    """Score the heads on the evaluation data of their tasks.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed.
    tasks : mapping of str to Task
        By head name; those without ``eval`` are left out.
    cache : "auto", "memory", False or path
        As in `fit`: what the frozen prefix gave for these texts before is not computed again.
        "auto" keeps what is small (a row a text) and looks for the rest. The figures are the same.
    progress : bool
        Draw a progress bar.
    batch_size : int
        Rows of a batch of a loss that compares the rows of one (`Similarity`): ``eval_<task>_loss``
        is its mean over batches of rows in their order. Nothing else depends on it.

    Returns
    -------
    Evaluation
        A dict of str to float, whose ``report(task)`` and ``confusion(task)`` say more of heads of
        labels. ``eval_<task>_loss``; for heads of texts ``_accuracy``, ``_f1_macro`` and ``_mcc``;
        for heads of words with IOB2 labels ``_f1``, ``_precision``, ``_recall`` (whole entities,
        strict IOB2, micro-averaged) and ``_accuracy`` (of words); for other heads of words
        ``_accuracy``; for heads of numbers ``_pearson``, ``_spearman``, ``_r2``, ``_rmse`` and
        ``_mae``; for similarity ``_pearson_cosine`` and ``_spearman_cosine`` of pairs with scores,
        else ``_mrr@10``, ``_ndcg@10`` and ``_recall@1``, ``@5``, ``@10``; for boxes ``_map`` and
        ``_map_50``; and what ``Task(metrics=)`` names.

    Raises
    ------
    DataError
        If no task has evaluation data, or a label is not one of the head's.
    ConfigError
        If a task has no head, or its ``metric`` or one of its ``metrics`` is not for the head, or
        fails.
    TrainingError
        If outputs of a head are NaN or infinite; weights that are so are named.

    Warns
    -----
    EvaluationWarning
        If no row of a task could be scored; its figures are NaN.

    Examples
    --------
    >>> metrics = evaluate(model, tasks)
    >>> 0 <= metrics["eval_classifier_accuracy"] <= 1
    True
    """
    found = evaluate_rows(
        model, tasks, cache=cache, progress=progress, batch_size=batch_size, told=True
    )
    for one in _doubts(found):
        warn(one.text, EvaluationWarning)
    return Evaluation({name: model.heads[name].spec for name in found}, found, model.noun)


def evaluate_rows(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    *,
    cache: str | bool | os.PathLike[str] = "auto",
    progress: bool = False,
    batch_size: int = BATCH_SIZE,
    on_cache_stats: Callable[[CacheStats], None] = lambda stats: None,
    told: bool = False,
    row_losses: bool = False,
) -> dict[str, Outcome]:
    """Do what `evaluate` does and keep each row's share in the figures, by task.

    `on_cache_stats` is called once, with what the cache did; `told` and `row_losses` as for
    `EvalData`.
    """
    check_model(model)
    progress = check_flag("progress", progress)
    size = check_integer("batch_size", batch_size, 1)
    checked = check_tasks(model, tasks)
    for name, task in checked.items():
        task.judged_by(model.heads[name].spec.measure)  # refuses a metric of another kind of head
    data = EvalData(model, checked, size, told=told, row_losses=row_losses)
    if not data.tasks:
        raise DataError(
            "expected evaluation data; found tasks with training data only; pass Task(eval=...)"
        )
    reporter = Reporter(progress)
    opened = open_cache(cache)
    if opened is None:
        return model.reading().run(data.outcomes, model, reporter)

    def from_features() -> dict[str, Outcome]:
        features = evaluation_features(model, data.groups, opened, reporter)
        found = data.outcomes(model, reporter, pack=features.evaluation_batch)
        on_cache_stats(features.stats)
        return found

    return model.reading().run(Bracket(None, opened.close).run, from_features)


def _doubts(found: Mapping[str, Outcome]) -> list[Doubt]:
    """Return doubts about an evaluation by itself: tasks of which nothing was scored."""
    return [
        doubt("unscored", name)
        for name, outcome in found.items()
        if not measure_named(outcome.kind).n_items(outcome.counts)
    ]
