# SPDX-License-Identifier: Apache-2.0
"""Regression: numbers for each text, one by default.

Metrics, each the mean over the outputs, of gold x and predicted y:

    pearson   sum (x - mx)(y - my) / sqrt(sum (x - mx)^2 sum (y - my)^2)     (Pearson 1895)
    spearman  the same of ranks, equal values at their mean rank             (Spearman 1904)
    r2        1 - sum (x - y)^2 / sum (x - mx)^2
    rmse, mae square root of the mean of (x - y)^2, mean of |x - y|

They are those of scipy.stats and sklearn.metrics but where nothing varies: a correlation with a
constant, which scipy calls nan, and r2 of constant gold values are 0.0, as all divisions by zero
among metrics are. A task may be judged by pearson and r2, which grow and follow from sums over
rows; spearman needs the ranks of all rows together, and errors shrink: these three are told only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from ..closest import counted
from ..data.example import Example, Label
from ..data.examples import Examples
from ..data.labels import each_label
from ..errors import ConfigError, DataError
from ..inputs.packing import Encoded
from ..losses.own import labelled_rows
from ..quoting import quoted
from .kind import Float32, PooledHead
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import Targets, TextTargets
from .told import NUMBERS as NUMBERS_TOLD
from .told import Told

__all__ = ["NUMBERS", "Regression"]

_NOISE = 1e-12
"""Share of a sum of squares below which a variance is the rounding of zero."""

_LARGEST = float(np.finfo(np.float32).max)


class _Numbers(Measure):
    """Of texts with numbers: gold values, then predicted ones, by row."""

    name: ClassVar[str] = "numbers"
    of: ClassVar[str] = "a regression head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("pearson", "Pearson r"),
        Metric("spearman", "Spearman rho", chosen=False),
        Metric("r2", "R2"),
        Metric("rmse", "RMSE", greater=False, chosen=False),
        Metric("mae", "MAE", greater=False, chosen=False),
    )
    dtype: ClassVar[type] = np.float64

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return all of them; 0.0 for no rows."""
        if not len(rows):
            return dict.fromkeys(self.names, 0.0)
        gold, predicted = np.split(rows, 2, axis=1)
        ranks = [np.stack([_ranks(one) for one in part.T], axis=1) for part in (gold, predicted)]
        error = gold - predicted
        found = {one: self._of(rows, one) for one in self.choices}
        found["spearman"] = self._of(np.concatenate(ranks, axis=1), "pearson")
        found["rmse"] = float(np.sqrt((error**2).mean(axis=0)).mean())
        found["mae"] = float(np.abs(error).mean(axis=0).mean())
        return {one: found[one] for one in self.names}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the gold values."""
        return rows[:, : rows.shape[1] // 2]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return counts, sums and squares for each output."""
        # From the first row on: a constant then gives zeros exactly, and sums lose few digits.
        x, y = np.split(rows - rows[:1], 2, axis=1)
        parts = [np.ones_like(x), x, y, x * x, y * y, x * y]
        value: Callable[..., Floats] = _pearson
        if metric == "r2":
            gold, predicted = np.split(rows, 2, axis=1)
            parts, value = [np.ones_like(x), x, x * x, (gold - predicted) ** 2], _r2

        def values(sums: Floats) -> Floats:
            return np.asarray(value(*np.split(sums, len(parts), axis=1)).mean(axis=1))

        return Sums(np.concatenate(parts, axis=1), values)

    def _of(self, rows: RowCounts, metric: str) -> float:
        columns, values = self.sums(rows, metric)
        return float(values(columns.sum(axis=0, keepdims=True))[0])


NUMBERS = _Numbers()


def _spread(n: Floats, s: Floats, ss: Floats) -> Floats:
    """Return the sum of squares about the mean; zero where it is rounding."""
    found = ss - ratio(s * s, n)
    return np.where(found > _NOISE * ss, found, 0.0)


def _pearson(n: Floats, x: Floats, y: Floats, xx: Floats, yy: Floats, xy: Floats) -> Floats:
    """Return the correlation from sums, all (b, width)."""
    below = np.sqrt(_spread(n, x, xx) * _spread(n, y, yy))
    return np.clip(ratio(xy - ratio(x * y, n), below), -1.0, 1.0)


def _r2(n: Floats, x: Floats, xx: Floats, squared_error: Floats) -> Floats:
    """Return the coefficient of determination from sums, all (b, width)."""
    whole = _spread(n, x, xx)
    return ratio(whole - squared_error, whole)


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1, equal values at the mean of theirs."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2.0)[where.ravel()])


@dataclass(frozen=True)
class Regression(PooledHead):
    """Numbers for each text, learned from numbers by the mean squared error.

    Rows carry a number, or a list of numbers for several outputs; numbers of files may be written
    as text. Outputs are not scaled: targets of about the size 1 are learned fastest.

    Parameters
    ----------
    labels : sequence of str
        What each number is; by default one, called ``"value"``.
    hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`.
    features, pooling
        See `PooledHead`.

    Examples
    --------
    >>> Regression(["stars"]).labels, Regression().labels
    (('stars',), ('value',))
    """

    kind: ClassVar[str] = "regression"
    written: ClassVar[str] = "mtf.Regression()"
    measures: ClassVar[tuple[Measure, ...]] = (NUMBERS,)
    size_key: ClassVar[str] = "n_outputs"
    has_probabilities: ClassVar[bool] = False
    tells: ClassVar[str] = NUMBERS_TOLD

    labels: Sequence[str] = ("value",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.labels:
            raise ConfigError(
                "a regression head needs at least one output; found no name in labels; leave "
                "labels out for one number a text"
            )

    def targets(self, examples: Examples, label: str, head: str) -> TextTargets:
        """Turn the numbers of each text into a row of floats; NaN where it has none."""
        values = np.full((len(examples), len(self.labels)), np.nan, dtype=np.float32)
        for i, (row, one) in enumerate(each_label(examples, label)):
            if one is not None:
                values[i] = self._numbers(row, one, head)
        return TextTargets(values)

    def _numbers(self, row: Example, label: Label, head: str) -> list[float]:
        parts = label if isinstance(label, tuple) else (label,)
        width = len(self.labels)
        if len(parts) != width:
            raise DataError(
                f"{row.source}: head {quoted(head)} learns {counted(width, 'number')} a text; "
                "found "
                f"{len(parts)}; give as many as the head has labels"
            )
        try:
            numbers = [np.nan if one is None else float(cast(Any, one)) for one in parts]
        except (TypeError, ValueError):
            numbers = [np.nan]
        if not all(abs(one) <= _LARGEST for one in numbers):
            raise DataError(
                f"{row.source}: head {quoted(head)} learns numbers; found the label "
                f"{quoted(label)}; give a "
                "finite number, or use a SequenceClassification head for names"
            )
        return numbers

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that every output has two different values to learn from."""
        values = targets.flat()[targets.labelled_rows()]
        for name, column in zip(self.labels, values.T, strict=True):
            if len(np.unique(column)) < 2:
                found = f"only {column[0]:g}" if len(column) else "none"
                raise DataError(
                    f"task {quoted(task)} needs training rows of at least two values of "
                    f"{quoted(name)}; found "
                    f"{found}; there is nothing to tell apart"
                )

    def predictions(self, kept: Float32) -> Float32:
        """Return the numbers, (n,), or (n, width) of several outputs."""
        return kept[:, 0] if len(self.labels) == 1 else kept

    def loss_sum(self, outputs: Float32, targets: Float32) -> tuple[float, int]:
        """Return the sum of the rows' mean squared errors, and the number of labelled rows."""
        known = labelled_rows(targets)
        error = outputs[known].astype(np.float64) - targets[known]
        return float((error**2).mean(axis=1).sum()), int(known.sum())

    def scored(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> RowCounts:
        """Return gold and predicted values of the labelled texts."""
        told = self.told(targets, encoded, rows, outputs)
        return np.concatenate([told.gold, told.predicted], axis=1)

    def told(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> Told:
        """Return them item by item."""
        gold = targets.for_rows(encoded, rows)
        known = labelled_rows(gold)
        return Told(rows[known], gold[known].astype(np.float64), outputs[known].astype(np.float64))

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict the mean of the training data for every text."""
        known, learned = (
            one.flat()[one.labelled_rows()].astype(np.float64) for one in (gold, train)
        )
        return np.concatenate([known, np.tile(learned.mean(axis=0), (len(known), 1))], axis=1)
