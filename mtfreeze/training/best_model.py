# SPDX-License-Identifier: Apache-2.0
"""Which of two evaluations is better: the figure a run is judged by, and the best model so far.

A figure is a name of ``run.metrics`` (``eval_classifier_accuracy``, the prefix may be left out), or
a metric alone (``f1``, ``loss``), which is the mean over the tasks that have it; by default the
mean over tasks of what each task is judged by.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from .._core import together
from ..closest import unknown
from ..errors import ConfigError
from ..freezing.state import masks
from ..heads.registry import is_greater

if TYPE_CHECKING:
    from ..evaluating.scoring import Scoring
    from ..multi_task_model import MultiTaskModel
    from ..planning.run_plan import RunPlan
    from .trainer_state import TrainerState

__all__ = ["BestModel", "Judge", "make_judge"]


@dataclass(frozen=True)
class Judge:
    """Compares evaluations.

    Attributes
    ----------
    name : str
        What the figure is called.
    parts : tuple of str
        The metrics whose mean it is.
    greater : bool
        Whether more is better.
    """

    name: str
    parts: tuple[str, ...]
    greater: bool

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the figure of an evaluation."""
        return math.fsum(metrics[part] for part in self.parts) / len(self.parts)

    def better(self, new: float, old: float | None, min_delta: float = 0.0) -> bool:
        """Say whether `new` is better than `old` by more than `min_delta`; NaN never is."""
        if old is None or math.isnan(old):
            return not math.isnan(new)
        return new - old > min_delta if self.greater else old - new > min_delta


def make_judge(scoring: Scoring, metric: str | None, greater: bool | None = None) -> Judge:
    """Return the judge of a figure.

    Parameters
    ----------
    scoring : Scoring
        Knows the tasks and their metrics.
    metric : str or None
        See the module's docstring.
    greater : bool, optional
        Whether more is better; by default as the metric says, where several are meant if any does.

    Raises
    ------
    ConfigError
        If no task is evaluated, or none has the metric; the closest is named.
    """
    if not scoring.primary:
        raise ConfigError(
            "which model is better shows in evaluations; found no task with evaluation data; pass "
            "Task(eval=...)"
        )
    if metric is None:
        parts = tuple(scoring.primary.values())
        name = parts[0] if len(parts) == 1 else "mean of " + ", ".join(parts)
    else:
        known = {one for names in scoring.metric_names.values() for one in names.values()}
        short = [names[metric] for names in scoring.metric_names.values() if metric in names]
        whole = [one for one in (metric, f"eval_{metric}") if one in known]
        parts = tuple(whole[:1] or short)
        name = metric
        if not parts:
            alone = dict.fromkeys(one for names in scoring.metric_names.values() for one in names)
            raise ConfigError(unknown("metric", metric, [*sorted(known), *alone]))
    if greater is None:
        figures = [one for names in scoring.metric_names.values() for one in names.items()]
        greater = any(is_greater(short) for short, whole in figures if whole in parts)
    return Judge(name, parts, greater)


class BestModel:
    """Keeps copies of what trains, as it was at the best evaluation.

    Parameters
    ----------
    model : MultiTaskModel
        Its tensors that train in some phase of `plan` are kept, no others.
    plan : RunPlan
    judge : Judge
        Says what is better.
    """

    def __init__(self, model: MultiTaskModel, plan: RunPlan, judge: Judge) -> None:
        self.judge = judge
        trains = np.zeros(len(model.index.keys), dtype=bool)
        for phase in plan.phases:
            trains |= masks(model, phase.freeze)[0] == 0
        self._positions = {model.index.keys[i]: int(i) for i in np.flatnonzero(trains)}

    def consider(self, model: MultiTaskModel, state: TrainerState) -> bool:
        """Keep the model if the last evaluation is the best one so far."""
        value = self.judge.value(state.metrics)
        if not self.judge.better(value, state.best_value):
            return False
        state.best_value, state.best_step = value, state.n_steps
        state.best_metrics = dict(state.metrics)
        for key, position in self._positions.items():
            now = model._core.view(position)
            if key in state.best_params:
                np.copyto(state.best_params[key], now)
            else:
                state.best_params[key] = now.copy()
        return True

    def restore(self, model: MultiTaskModel, state: TrainerState) -> None:
        """Make the model what it was at the best evaluation, as a whole."""
        core, changes = model._core, []
        for key, position in self._positions.items():
            # Writing the same bits again would count as a change.
            if core.view(position).tobytes() != state.best_params[key].tobytes():
                changes.append(partial(core.set_param, position, state.best_params[key]))
        together(changes)
