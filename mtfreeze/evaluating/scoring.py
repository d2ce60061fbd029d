# SPDX-License-Identifier: Apache-2.0
"""The evaluations of a run: when one is due, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ..heads.measure import LOSS
from ..heads.task import Task
from ..metrics.scores import metric_name
from ..planning.settings import EvalEvery
from ..runtime.interrupt import Stopped
from ..runtime.progress import Reporter
from .eval_data import EvalData, PackRows, without_features

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Scoring"]


class Scoring:
    """Evaluation data of a run, and the rhythm in which it is looked at.

    Parameters
    ----------
    model : MultiTaskModel
        The model that trains.
    tasks : mapping of str to Task
        All tasks of the run.
    data : EvalData
        Their evaluation data.
    every : None, "epoch" or int
        ``fit(eval_every=...)``.

    Attributes
    ----------
    primary : dict of str to str
        Name of the figure that each evaluated task is judged by, e.g.
        ``{"classifier": "eval_classifier_accuracy"}``.
    short : dict of str to str
        The same without the task: ``{"classifier": "accuracy"}``.
    metric_names : dict of str to dict of str to str
        All figures of each evaluated task: name without the task -> name in ``run.metrics``.
    """

    def __init__(
        self, model: MultiTaskModel, tasks: Mapping[str, Task], data: EvalData, every: EvalEvery
    ) -> None:
        self._model, self._data, self._every = model, data, every
        measures = {name: model.heads[name].spec.measure for name in data.tasks}
        self.short = {name: tasks[name].judged_by(one) for name, one in measures.items()}
        self.primary = {name: metric_name(name, short) for name, short in self.short.items()}
        self.metric_names = {
            name: {
                short: metric_name(name, short)
                for short in (LOSS.name, *one.names, *tasks[name].extra_names)
            }
            for name, one in measures.items()
        }

    def due(self, n_steps: int, ends_epoch: bool, before: bool = False) -> bool:
        """Say whether to evaluate after this many steps of the run.

        In what comes `before` its first epoch only at the end, or early stopping might end a run
        whose backbone has not moved yet.
        """
        if self._every == "epoch" or (before and self._every is not None):
            return ends_epoch
        return isinstance(self._every, int) and n_steps % self._every == 0

    def score(
        self, reporter: Reporter, stop: Callable[[], bool], pack: PackRows = without_features
    ) -> dict[str, float] | None:
        """Return the figures of all tasks; None if there is no data, or `stop` returned true."""
        if not self._data.tasks:
            return None
        try:
            return self._data.score(self._model, reporter, stop, pack)
        except Stopped:
            return None
