# SPDX-License-Identifier: Apache-2.0
"""Metrics from sums over evaluation rows, for many weightings of the rows at once.

A metric that a task is judged by follows from sums: a text adds one to a cell of the confusion
matrix, a sentence adds its entities and words. So the metric of a redrawn evaluation set needs one
product, weights (draws x rows) times what each row adds (rows x sums), and no text. What is summed
stands with the kind of head, in its measure; a test holds it and the metrics themselves together.
What depends on the order of all rows, average precision, is computed from the weights themselves.
"""

from __future__ import annotations

import numpy as np

from ..closest import unknown
from ..errors import ConfigError
from ..heads.measure import Floats
from ..heads.registry import measure_named
from .results import TaskScore

__all__ = ["RowSums"]


class RowSums:
    """What each evaluation row of one score adds, and the metric that follows from the sums.

    Parameters
    ----------
    score : TaskScore
        Of one model on one task.
    metric : str, optional
        A short name; by default the one that the task is judged by.

    Attributes
    ----------
    columns : (n, k) float64
        What each row adds to k sums. Sums of whole numbers are exact in any order. None where
        `takes_weights`: k = 0.
    takes_weights : bool
        Whether `values` takes the weights of rows, (b, n), in place of sums.

    Raises
    ------
    ConfigError
        If the metric does not follow from counts of this kind.
    """

    def __init__(self, score: TaskScore, metric: str | None = None) -> None:
        measure = measure_named(score.kind)
        chosen = score.primary if metric is None else metric
        if chosen not in measure.choices:
            what = f"counts of the kind {score.kind}"
            raise ConfigError(unknown("metric", chosen, measure.choices, of=what))
        of_weights = measure.by_weights(score.counts, chosen)
        self.takes_weights, self._n_rows = of_weights is not None, len(score.counts)
        if of_weights is None:
            self.columns, self._values = measure.sums(score.counts, chosen)
        else:
            self.columns, self._values = np.zeros((self._n_rows, 0)), of_weights

    def values(self, sums: Floats) -> Floats:
        """Return the metric of each row of sums.

        Parameters
        ----------
        sums : (b, k) float64
            Weights of rows times `columns`.

        Returns
        -------
        (b,) float64
        """
        return self._values(sums)

    def whole(self) -> float:
        """Return the metric of the rows as they are, each once."""
        if self.takes_weights:
            return float(self.values(np.ones((1, self._n_rows)))[0])
        return float(self.values(self.columns.sum(axis=0, keepdims=True))[0])
