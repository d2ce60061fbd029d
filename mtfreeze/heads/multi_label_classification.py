# SPDX-License-Identifier: Apache-2.0
"""Several labels for each text, each told by itself: topics, or the types of entities in it.

A row adds to the measure which labels it has and which are predicted, a column each.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import as_number, check_text, typed
from ..data.examples import Examples
from ..data.label_sets import encode_label_sets
from ..errors import ConfigError, DataError
from ..inputs.packing import Encoded
from ..losses.own import labelled_rows
from ..metrics.label_sets import f1, set_metrics
from ..quoting import quoted
from .kind import Float32, PooledHead
from .measure import Floats, Measure, Metric, RowCounts, Sums, ratio
from .row_spaces import Targets, TextTargets
from .told import LABELS, Told

__all__ = ["MultiLabelClassification"]


class _Sets(Measure):
    """Of texts with sets of labels: gold, then predicted, 0 or 1 a label."""

    name: ClassVar[str] = "label_sets"
    of: ClassVar[str] = "a multi-label head"
    metrics: ClassVar[tuple[Metric, ...]] = (
        Metric("f1_micro", "micro F1"),
        Metric("f1_macro", "macro F1"),
        Metric("f1_samples", "samples F1"),
        Metric("subset_accuracy", "subset accuracy"),
    )

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return F1 over all, by label and by row, and the share of sets that are right."""
        return set_metrics(*np.split(rows, 2, axis=1))

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the labels in gold."""
        return rows[:, : rows.shape[1] // 2]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return labels right, in gold and predicted, of all or a label; else shares of rows."""
        gold, predicted = np.split(rows.astype(np.float64), 2, axis=1)
        parts = [gold * predicted, gold, predicted]
        if metric == "f1_macro":
            columns = np.concatenate(parts, axis=1)
            return Sums(columns, lambda sums: f1(*np.split(sums, 3, axis=1)).mean(axis=1))
        totals = [one.sum(axis=1) for one in parts]
        if metric == "f1_micro":
            return Sums(np.stack(totals, axis=1), lambda sums: f1(*sums.T))
        of_row = f1(*totals) if metric == "f1_samples" else (gold == predicted).all(axis=1)
        columns = np.stack([of_row.astype(np.float64), np.ones(len(rows))], axis=1)
        return Sums(columns, lambda sums: ratio(sums[:, 0], sums[:, 1]))


@dataclass(frozen=True)
class MultiLabelClassification(PooledHead):
    """Any number of labels for each text, learned by the binary cross entropy of each.

    Rows carry a list of names or positions, ``[]`` for none of the labels; None is no target. A
    file has them in one column with `separator` between them, a separator alone for none of them,
    or as lists in JSON lines.

    Parameters
    ----------
    labels, hidden, dropout, activation, norm_eps, bias, hidden_bias, norm_bias
        See `HeadSpec`; one label is enough.
    features : {"pooled", "embedding"}
        The pooled vector, or the same after the model's L2 normalisation.
    pooling : str, optional
        A pooling of this head's own instead of the model's.
    threshold : float
        A label is predicted where its probability is at least this, 0 < threshold < 1.
    separator : str
        What stands between labels in a text that is no label itself.

    Examples
    --------
    >>> head = MultiLabelClassification(["sport", "politics", "money"])
    >>> rows = Examples.from_rows([("transfer fees", ["sport", "money"]), ("rain", [])])
    >>> head.targets(rows, "topics", "topics").flat()
    array([[1., 0., 1.],
           [0., 0., 0.]], dtype=float32)
    """

    kind: ClassVar[str] = "multi_label_classification"
    written: ClassVar[str] = "mtf.MultiLabelClassification(labels=[...])"
    measures: ClassVar[tuple[Measure, ...]] = (_Sets(),)
    size_key: ClassVar[str] = "n_labels"
    tells: ClassVar[str] = LABELS

    threshold: float = field(default=0.5, kw_only=True)
    separator: str = field(default="|", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.labels:
            raise ConfigError("a multi-label head needs at least one label; found none; name one")
        number = as_number(self.threshold)
        if number is None:
            raise TypeError(f"threshold must be a number; found {typed(self.threshold)}")
        if not 0 < number < 1:
            raise ConfigError(
                f"threshold must be above 0 and below 1; found {quoted(number)}; 0.5 is usual"
            )
        object.__setattr__(self, "threshold", number)
        if not check_text("separator", self.separator).strip(" "):
            raise ConfigError(
                f"separator must be more than spaces; found {quoted(self.separator)}; '|' is usual"
            )

    def targets(self, examples: Examples, label: str, head: str) -> TextTargets:
        """Turn the labels of each text into a row of 0 and 1; NaN where it has none."""
        return TextTargets(encode_label_sets(examples, label, self.labels, head, self.separator))

    def absent(self, targets: Targets) -> list[str]:
        """Return the labels that no text has."""
        there = (targets.flat() == 1).any(axis=0).tolist()
        return [name for name, found in zip(self.labels, there, strict=True) if not found]

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that some label is told of some texts and not of others."""
        values = targets.flat()[targets.labelled_rows()]
        if not len(values) or (values == values[:1]).all():
            raise DataError(
                f"task {quoted(task)} needs training rows with different labels; found "
                f"{len(values)} rows with the same; there is nothing to tell apart"
            )

    def decoded(self, outputs: Float32) -> Float32:
        """Return probabilities: 1 / (1 + exp(-x)), each label by itself."""
        small = np.exp(-np.abs(outputs))
        return np.asarray(np.where(outputs > 0, 1.0, small) / (1.0 + small), dtype=np.float32)

    def predictions(self, kept: Float32) -> list[list[str]]:
        """Return the names of the labels that are probable enough, of each text."""
        chosen = kept >= np.float32(self.threshold)
        return [[self.labels[at] for at in np.flatnonzero(row).tolist()] for row in chosen]

    def loss_sum(self, outputs: Float32, targets: Float32) -> tuple[float, int]:
        """Return the sum of the rows' mean binary cross entropy, and how many have labels."""
        known = labelled_rows(targets)
        z, wanted = outputs[known].astype(np.float64), targets[known]
        each = np.maximum(z, 0.0) - wanted * z + np.log1p(np.exp(-np.abs(z)))
        return float(each.mean(axis=1).sum()), int(known.sum())

    def scored(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> RowCounts:
        """Return gold and predicted labels of the texts that have some."""
        told = self.told(targets, encoded, rows, outputs)
        return np.concatenate([told.gold, told.predicted], axis=1).astype(np.int64)

    def told(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> Told:
        """Return the same with the probabilities."""
        gold = targets.for_rows(encoded, rows)
        known = labelled_rows(gold)
        shares = self.decoded(outputs[known])
        return Told(rows[known], gold[known] == 1, shares >= np.float32(self.threshold), shares)

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Predict for every text the labels that at least half of the training data have."""
        known, learned = (one.flat()[one.labelled_rows()] for one in (gold, train))
        often: Floats = learned.mean(axis=0) >= 0.5
        return np.concatenate([known == 1, np.tile(often, (len(known), 1))], axis=1).astype(
            np.int64
        )
