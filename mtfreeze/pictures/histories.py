# SPDX-License-Identifier: Apache-2.0
"""Reading the history of a run for pictures: steps, evaluations, freeze changes, tasks.

A history is a list of rows, each a mapping, as `Run` describes: one a step (it has ``task``), one
an evaluation (``eval_<task>_<metric>``), one a change of what is frozen (``freeze_change``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..heads.registry import METRICS, usual_metric

__all__ = [
    "Change",
    "History",
    "epoch_ends",
    "freeze_changes",
    "last_step",
    "learning_rates",
    "metric_points",
    "primary_metrics",
    "smoothed",
    "step_losses",
    "tasks_of",
]

History = Sequence[Mapping[str, Any]]
"""Rows of `Run.history`."""

Float64 = NDArray[np.float64]
_LOSS = "_loss"
_EVAL = "eval_"


@dataclass(frozen=True)
class Change:
    """One change of what is frozen.

    Attributes
    ----------
    step : int
        The number of steps before it.
    name : str
        Of the phase that begins.
    line : str
        What is frozen and trained from then on.
    """

    step: int
    name: str
    line: str


def _is_step(row: Mapping[str, Any]) -> bool:
    return "task" in row


def _is_evaluation(row: Mapping[str, Any]) -> bool:
    return not _is_step(row) and any(key.startswith(_EVAL) for key in row)


def tasks_of(history: History) -> list[str]:
    """Return the tasks that were evaluated or trained; evaluations keep the order of the user."""
    found: dict[str, None] = {}
    for row in filter(_is_evaluation, history):
        keys = [key for key in row if key.startswith(_EVAL) and key.endswith(_LOSS)]
        found |= {key.removeprefix(_EVAL).removesuffix(_LOSS): None for key in keys}
    for row in filter(_is_step, history):
        found |= {key.removesuffix(_LOSS): None for key in row if key.endswith(_LOSS)}
    return list(found)


def last_step(history: History) -> int:
    """Return the number of the last step; 0 if none was taken."""
    return max((int(row["step"]) for row in history), default=0)


def step_losses(history: History, task: str) -> tuple[Float64, Float64]:
    """Return the steps at which a task's loss was computed, and those losses, without weights."""
    return _column((row for row in history if _is_step(row)), f"{task}{_LOSS}")


def metric_points(history: History, task: str, metric: str) -> tuple[Float64, Float64]:
    """Return the steps after which a task was evaluated, and its metric."""
    rows = (row for row in history if _is_evaluation(row))
    return _column(rows, f"{_EVAL}{task}_{metric}")


def _column(rows: Any, key: str) -> tuple[Float64, Float64]:
    pairs = [(row["step"], row[key]) for row in rows if key in row]
    table = np.array(pairs, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def primary_metrics(history: History) -> dict[str, str]:
    """Return the metric that each evaluated task is usually judged by.

    Entity F1 where there is one (heads of words with IOB2 tags), for other labels accuracy.
    """
    usual = {}
    for task in tasks_of(history):
        found = [one for one in METRICS if metric_points(history, task, one)[0].size]
        metric = usual_metric(found)
        if metric is not None:
            usual[task] = metric
    return usual


def freeze_changes(history: History) -> list[Change]:
    """Return the changes of what is frozen, the first phase's begin included."""
    return [
        Change(int(row["step"]), str(row["phase_name"]), str(row["freeze_change"]))
        for row in history
        if "freeze_change" in row
    ]


def smoothed(values: Float64, window: int | None = None) -> Float64:
    """Return the mean of each value and its neighbours.

    Parameters
    ----------
    values : (n,) float64 array
        In order.
    window : int, optional
        How many values a mean is taken over, by default a tenth of them, at least 3; half as many
        at the ends, where there are neighbours on one side only.

    Examples
    --------
    >>> smoothed(np.array([4.0, 1.0, 1.0, 4.0]), 3).tolist()
    [2.5, 2.0, 2.0, 2.5]
    """
    n = len(values)
    half = (max(3, n // 10) if window is None else window) // 2
    first = np.maximum(np.arange(n) - half, 0)
    end = np.minimum(np.arange(n) + half + 1, n)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((sums[end] - sums[first]) / np.maximum(end - first, 1))


def learning_rates(history: History) -> tuple[Float64, dict[str, Float64]]:
    """Return the steps and the learning rates at them, NaN where something does not train.

    Returns
    -------
    steps : (n,) float64 array
    rates : dict of str to (n,) float64 array
        By selector, ``"all"`` for a run with one rate; with a layer decay also by unit of the
        backbone (``"layers[0]"``), the highest of each.
    """
    rows = [row for row in history if _is_step(row)]
    names: dict[str, str] = {}
    for row in rows:
        for key in row:
            if key == "learning_rate" or key.startswith("learning_rate."):
                names.setdefault(key.removeprefix("learning_rate").removeprefix(".") or "all", key)
    steps = np.array([row["step"] for row in rows], dtype=np.float64)
    return steps, {
        name: np.array([row.get(key, np.nan) for row in rows], dtype=np.float64)
        for name, key in names.items()
    }


def epoch_ends(history: History) -> list[tuple[int, int]]:
    """Return each epoch that steps were taken in, with the number of its last step.

    Rows that say nothing of epochs, as of a loop of one's own, have none.
    """
    ends: dict[int, int] = {}
    for row in history:
        if _is_step(row) and "epoch" in row:
            ends[int(row["epoch"])] = int(row["step"])
    return list(ends.items())
