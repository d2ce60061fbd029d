# SPDX-License-Identifier: Apache-2.0
"""What the layers of the frozen backbone are worth to a task: a probe and LogME on each of them.

The probe's figure is the one that the task is judged by (accuracy, entity F1 ...), of rows that the
probe was not fitted on. A linear head on the frozen backbone is a probe of the top layer, so the
top layer's figure says what freezing the backbone will give; how the others compare says where the
task's information lies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..metrics.entities import is_iob2
from ..metrics.scores import majority_label, primary_metric, sequence_metrics, token_metrics
from .layer_features import LayerFeatures
from .probes import STRENGTHS, cross_validate, folds_of
from .transferability import log_me

if TYPE_CHECKING:
    from ..data.task import Task

__all__ = ["LayerScores", "layer_scores"]

Int64 = NDArray[np.int64]

_TEXT_FOLDS, _WORD_FOLDS = 5, 3
"""Words are many, so that two thirds of them are nearly as good as all."""

_WORD_STRENGTHS = (0.01,)
"""Tags are rare among words that have none: a strong penalty predicts no entity at all."""


@dataclass(frozen=True)
class LayerScores:
    """The probes of one task.

    Attributes
    ----------
    task : str
    metric : str
        What `probe` is.
    probe : tuple of float
        By layer, the embeddings first, the top layer last.
    log_me : tuple of float
        By layer.
    error : float
        Standard error of the top layer's figure over the folds.
    half : float
        The top layer's figure with half the rows to fit on: how much more data would help.
    majority : float
        The figure of always predicting the most frequent label.
    n_sampled, n_items : int
        Rows and labelled texts or words that were looked at.
    """

    task: str
    metric: str
    probe: tuple[float, ...]
    log_me: tuple[float, ...]
    error: float
    half: float
    majority: float
    n_sampled: int
    n_items: int

    @property
    def top(self) -> float:
        """The top layer's figure."""
        return self.probe[-1]

    @property
    def best_layer(self) -> int:
        """The layer with the best figure; 0 is the embeddings."""
        return int(np.argmax(self.probe))

    @property
    def headroom(self) -> float:
        """What is left to win above the frozen top layer."""
        return 1.0 - self.top

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def layer_scores(
    name: str, task: Task, names: Sequence[str], features: LayerFeatures, of_words: bool
) -> LayerScores:
    """Probe every layer.

    Parameters
    ----------
    name : str
        The task.
    task : Task
        Its metric.
    names : sequence of str
        Labels of its head.
    features : LayerFeatures
        Of its sampled rows.
    of_words : bool
        Whether words carry the labels.
    """
    metric = _metric_of(task, names, of_words)
    labels, n_classes = features.labels, len(names)
    n_groups = len(np.unique(features.rows))
    n_folds = min(_WORD_FOLDS if of_words else _TEXT_FOLDS, n_groups)
    folds = folds_of(labels, features.rows, n_folds, name)

    def value(predicted: Int64, at: NDArray[np.bool_] | None = None) -> float:
        chosen = np.ones(len(labels), dtype=bool) if at is None else at
        return _value(
            metric, names, labels[chosen], predicted[chosen], features.rows[chosen], of_words
        )

    strengths = _WORD_STRENGTHS if of_words else STRENGTHS
    runs = [
        cross_validate(layer, labels, n_classes, folds, strengths=strengths)
        for layer in features.layers
    ]
    top = runs[-1]
    by_fold = [value(top.predicted, folds == fold) for fold in range(n_folds)]
    half = cross_validate(
        features.layers[-1], labels, n_classes, folds, strengths=(top.l2,), share=0.5
    )
    return LayerScores(
        task=name,
        metric=metric,
        probe=tuple(value(run.predicted) for run in runs),
        log_me=tuple(log_me(layer, labels, n_classes) for layer in features.layers),
        error=float(np.std(by_fold, ddof=1) / np.sqrt(n_folds)) if n_folds > 1 else 0.0,
        half=value(half.predicted),
        majority=value(np.full(len(labels), majority_label(labels), dtype=np.int64)),
        n_sampled=features.n_sampled,
        n_items=len(labels),
    )


def _metric_of(task: Task, names: Sequence[str], of_words: bool) -> str:
    if of_words and not is_iob2(names):
        return "accuracy"
    return primary_metric("token" if of_words else "sequence", task.metric)


def _value(
    metric: str,
    names: Sequence[str],
    gold: Int64,
    predicted: Int64,
    rows: Int64,
    of_words: bool,
) -> float:
    if not of_words or not is_iob2(names):
        return sequence_metrics(gold, predicted)[metric]
    begins = np.flatnonzero(np.diff(rows, prepend=-1))

    def tags(codes: Int64) -> list[list[str]]:
        return [[names[code] for code in row] for row in np.split(codes, begins[1:])]

    return token_metrics(tags(gold), tags(predicted))[metric]
