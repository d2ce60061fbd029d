# SPDX-License-Identifier: Apache-2.0
"""Measures: the metrics of a data set, from what each of its rows adds.

An evaluation keeps a row of numbers for each row of data (which classes, how many entities) and not
its metrics alone. So a comparison can draw rows again (bootstrap) and compute the metric of every
drawn set from weighted sums, without a text or a model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..closest import unknown
from ..errors import ConfigError

__all__ = ["LOSS", "Floats", "Measure", "Metric", "RowCounts", "Sums", "ratio"]

Floats = NDArray[np.float64]
RowCounts = NDArray[Any]
"""(n, k): what each row of data adds; int64, or float64 where a measure says so."""


@dataclass(frozen=True)
class Metric:
    """One figure.

    Attributes
    ----------
    name : str
        Its short name, as in ``eval_<task>_<name>``.
    words : str
        How people write it.
    greater : bool
        Whether more is better.
    chosen : bool
        Whether a task may be judged by it: more is better, and it follows from sums over rows.
    """

    name: str
    words: str
    greater: bool = True
    chosen: bool = True


LOSS = Metric("loss", "loss", greater=False, chosen=False)
"""What every evaluation has beside the metrics of the head's measure."""


class Sums(NamedTuple):
    """A metric as sums over rows.

    Attributes
    ----------
    columns : (n, k) float64 array
        What each row adds to k sums.
    values : callable
        (b, k) float64 sums, one set a row -> the metric of each, (b,) float64.
    """

    columns: Floats
    values: Callable[[Floats], Floats]


class Measure(ABC):
    """What is told of one kind of answers.

    Attributes
    ----------
    name : str
        In files of results.
    of : str
        What messages call a head with these answers.
    metrics : tuple of Metric
        The first is what a task is judged by unless it chooses another.
    dtype : type
        Of the rows.
    """

    name: ClassVar[str]
    of: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    dtype: ClassVar[type] = np.int64

    @abstractmethod
    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return all metrics of these rows, by name."""

    @abstractmethod
    def gold(self, rows: RowCounts) -> RowCounts:
        """Return what of the rows depends on the data alone: equal for equal evaluation data."""

    @abstractmethod
    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return one of the metrics that a task may be judged by as sums over rows."""

    def by_weights(self, rows: RowCounts, metric: str) -> Callable[[Floats], Floats] | None:
        """Return such a metric as a function of how often each row counts: (b, n) -> (b,).

        For metrics that follow from no few sums, whose `sums` have a column a row; by default None.
        """
        return None

    def n_items(self, rows: RowCounts) -> int:
        """Return how many texts or words were scored; by default one a row."""
        return len(rows)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all metrics."""
        return tuple(one.name for one in self.metrics)

    @property
    def choices(self) -> tuple[str, ...]:
        """Names of the metrics that a task may be judged by."""
        return tuple(one.name for one in self.metrics if one.chosen)

    def choose(self, metric: str | None) -> str:
        """Return the metric that a task is judged by: the one given, by default the first.

        Raises
        ------
        ConfigError
            If it is none of these.
        """
        if metric is None:
            return self.metrics[0].name
        if metric not in self.choices:
            raise ConfigError(unknown("metric", metric, self.choices, of=self.of))
        return metric


def ratio(above: Floats, below: Floats) -> Floats:
    """Divide; 0.0 where there is nothing to divide by."""
    found = np.zeros_like(above)
    np.divide(above, below, out=found, where=below > 0)
    return found
