# SPDX-License-Identifier: Apache-2.0
"""Metrics that a task asks for beside those of its head: by name, or functions of one's own.

They are computed of all answers at once (`Told`), not of sums over rows, so a run can be judged by
them, but a comparison, which draws rows again, cannot.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_each, typed
from ..closest import name_list
from ..errors import ConfigError
from ..metrics.own import MetricFunction, function_at, own_name, own_path, own_value
from ..metrics.per_label import LabelCounts
from ..metrics.ranking import average_precision, mean_defined, roc_auc
from ..quoting import quoted
from .told import LABEL, LABELS, Told

__all__ = [
    "NAMED",
    "ExtraMetric",
    "NamedMetric",
    "OwnMetric",
    "check_metrics",
    "label_scores",
    "metrics_from_values",
    "tried",
]

Value = Callable[[Told], float]


def label_scores(measure: Callable[..., float], told: Told) -> list[float]:
    """Return `roc_auc` or `average_precision` of each label against all others, NaN undefined."""
    gold, scores = told.sets()[0], told.scores
    assert scores is not None  # it is for heads of labels, which give them
    return [measure(gold[:, i], scores[:, i]) for i in range(told.n_labels)]


def _ranked(measure: Callable[..., float]) -> Value:
    """Return a measure of the second of two labels, else the mean over labels that have one."""

    def value(told: Told) -> float:
        each = label_scores(measure, told)
        return each[1] if told.gold.ndim == 1 and len(each) == 2 else mean_defined(each)

    return value


def _macro(figure: str) -> Value:
    """Return a mean over labels: those that occur, or all where an item may have any number."""

    def value(told: Told) -> float:
        counts = LabelCounts.of(*told.sets())
        return counts.macro(counts.occurs if told.gold.ndim == 1 else None)[figure]

    return value


def _balanced(told: Told) -> float:
    counts = LabelCounts.of(*told.sets())
    return counts.macro(counts.gold > 0)["recall"]


class ExtraMetric(ABC):
    """One such metric.

    Attributes
    ----------
    name : str
        As in ``eval_<task>_<name>``.
    """

    name: str

    @abstractmethod
    def fits(self, tells: str) -> bool:
        """Say whether it is for heads that tell this; see `heads.told`."""

    @abstractmethod
    def value(self, told: Told, where: str) -> float:
        """Return it of all answers of a task; `where` begins messages."""

    @abstractmethod
    def to_value(self, where: str) -> str:
        """Return by what name another process finds it; ConfigError if it cannot."""


@dataclass(frozen=True)
class NamedMetric(ExtraMetric):
    """A metric of this package.

    Attributes
    ----------
    name : str
    words : str
        How people write it.
    of : callable
        Answers -> the figure.
    kinds : tuple of str
        What heads tell that it is for.
    """

    name: str
    words: str
    of: Value
    kinds: tuple[str, ...] = (LABEL, LABELS)

    def fits(self, tells: str) -> bool:
        return tells in self.kinds

    def value(self, told: Told, where: str) -> float:
        return self.of(told)

    def to_value(self, where: str) -> str:
        return self.name


@dataclass(frozen=True)
class OwnMetric(ExtraMetric):
    """A function of the user's, under its name."""

    name: str
    function: MetricFunction

    def fits(self, tells: str) -> bool:
        return bool(tells)

    def value(self, told: Told, where: str) -> float:
        return own_value(self.function, *told.plain(), where)

    def to_value(self, where: str) -> str:
        return own_path(self.function, where)


NAMED: Mapping[str, NamedMetric] = {
    one.name: one
    for one in (
        NamedMetric("roc_auc", "ROC-AUC", _ranked(roc_auc)),
        NamedMetric("average_precision", "average precision", _ranked(average_precision)),
        NamedMetric("precision_macro", "macro precision", _macro("precision")),
        NamedMetric("recall_macro", "macro recall", _macro("recall")),
        NamedMetric(
            "f1_weighted",
            "weighted F1",
            lambda told: LabelCounts.of(*told.sets()).weighted()["f1"],
        ),
        NamedMetric("balanced_accuracy", "balanced accuracy", _balanced, (LABEL,)),
        NamedMetric(
            "precision_micro",
            "micro precision",
            lambda told: LabelCounts.of(*told.sets()).micro()["precision"],
            (LABELS,),
        ),
        NamedMetric(
            "recall_micro",
            "micro recall",
            lambda told: LabelCounts.of(*told.sets()).micro()["recall"],
            (LABELS,),
        ),
    )
}
"""By name."""


def check_metrics(given: object, taken: Sequence[str]) -> tuple[ExtraMetric, ...]:
    """Return what ``Task(metrics=...)`` names.

    Parameters
    ----------
    given : sequence of str or callable
        As the caller gave it.
    taken : sequence of str
        Names of the figures that heads have anyway.

    Raises
    ------
    TypeError, ConfigError
        If one is no metric, has no name, or the name of another figure.
    """
    found = check_each(
        "metrics", given, _checked, of="names or functions", example='["roc_auc", my_metric]'
    )
    names = [one.name for one in found]
    for at, one in enumerate(found):
        other = isinstance(one, OwnMetric) and (one.name in NAMED or one.name in taken)
        if other or one.name in names[:at]:
            raise ConfigError(
                f"expected each metric under a name of its own; found {quoted(one.name)}, which "
                f"{'figures have already' if other else 'stands there twice'}; "
                f"{'call the function something else' if other else 'leave one out'}"
            )
    return tuple(found)


def _checked(where: str, given: object) -> ExtraMetric:
    if isinstance(given, str):
        return NAMED[check_choice(where, given, NAMED)]
    if not callable(given):
        raise TypeError(
            f"{where} must be a function (gold, predicted) -> float, or one of "
            f"{name_list(NAMED)}; found {typed(given)}"
        )
    return OwnMetric(own_name(given), given)


def metrics_from_values(values: Sequence[str], where: str) -> list[str | MetricFunction]:
    """Return what `ExtraMetric.to_value` gave the values of, as ``Task(metrics=...)`` takes it.

    Raises
    ------
    ConfigError
        If a function cannot be imported; the message begins with `where`.
    """
    return [function_at(one, where) if ":" in one else one for one in values]


def tried(metrics: Sequence[ExtraMetric], gold: NDArray[Any], where: str) -> None:
    """Ask every metric of one's own about answers that are all right, before anything trains.

    Raises
    ------
    ConfigError
        If one raises, or returns no number.
    """
    answers = Told(np.arange(len(gold)), gold, gold)
    for one in metrics:
        if isinstance(one, OwnMetric):
            one.value(answers, where)
