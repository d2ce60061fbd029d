# SPDX-License-Identifier: Apache-2.0
"""What the layers of the frozen backbone are worth to a task: a probe and LogME on each of them.

The probe's figure is the one that the task is judged by (accuracy, entity F1 ...), of rows that the
probe was not fitted on. A linear head on the frozen backbone is a probe of the top layer, so the
top layer's figure says what freezing the backbone will give; how the others compare says where the
task's information lies.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..heads.classes import Classification
from ..metrics.scores import majority_label
from .layer_features import LayerFeatures
from .probes import STRENGTHS, cross_validate, folds_of
from .transferability import log_me

if TYPE_CHECKING:
    from ..heads.task import Task

__all__ = ["LayerScores", "layer_scores"]

Int64 = NDArray[np.int64]

_PROBING: dict[str, tuple[int, tuple[float, ...]]] = {"text": (5, STRENGTHS), "word": (3, (0.01,))}
"""Folds and penalties, by what carries a label. Words are many, so that two thirds of them are
nearly as good as all. Tags are rare among them: a strong penalty predicts no entity at all."""


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
    name: str, task: Task, spec: Classification, features: LayerFeatures
) -> LayerScores:
    """Probe every layer.

    Parameters
    ----------
    name : str
        The task.
    task : Task
        Its metric.
    spec : Classification
        Of its head.
    features : LayerFeatures
        Of its sampled rows.
    """
    metric = task.measured_by(spec.measure)
    labels, n_classes = features.labels, len(spec.labels)
    n_groups = len(np.unique(features.rows))
    most_folds, strengths = _PROBING[spec.row_space.item]
    n_folds = min(most_folds, n_groups)
    folds = folds_of(labels, features.rows, n_folds, name)

    def value(predicted: Int64, at: NDArray[np.bool_] | None = None) -> float:
        chosen = np.ones(len(labels), dtype=bool) if at is None else at
        rows = spec.counted(labels[chosen], predicted[chosen], features.rows[chosen])
        return spec.measure.figures(rows)[metric]

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
