# SPDX-License-Identifier: Apache-2.0
"""How alike two sets of texts are to the backbone, and how alike two tasks read it.

**Texts.** A probe learns to tell the vectors of two sets apart. The proxy A-distance of Ben-David,
Blitzer, Crammer, Pereira 2007 ("Analysis of representations for domain adaptation", NIPS) is
2 (1 - 2 e) with e its error on rows it was not fitted on: 0 if nothing tells them apart, 2 if it
never errs.

**Tasks.** Each task's probe is applied to the texts of both; linear CKA (Kornblith, Norouzi, Lee,
Hinton 2019, https://arxiv.org/abs/1905.00414) compares the two sets of scores A and B, columns
centred, as |A^T B|^2 / (|A^T A| |B^T B|): 1 if they read the same directions, near 0 if unrelated.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.order import permutation
from .layer_features import LayerFeatures
from .probes import cross_validate, fit_probe, folds_of, standardized

__all__ = ["TaskLikeness", "linear_cka", "proxy_distance", "task_likeness"]

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_FOLDS = 3
_STRENGTH = 0.3
_LEAST_ROWS = 10


@dataclass(frozen=True)
class TaskLikeness:
    """Two tasks over one backbone.

    Attributes
    ----------
    tasks : (str, str)
    reading : float
        Linear CKA of what their probes read from the texts of both, 0 to 1.
    distance : float or None
        Proxy A-distance of their texts, 0 to 2; None with fewer than ten texts of either.
    """

    tasks: tuple[str, str]
    reading: float
    distance: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


def linear_cka(a: Float64, b: Float64) -> float:
    """Return linear CKA of (n, p) and (n, q) arrays whose rows belong together; 0 for constants."""
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    cross = float(((a.T @ b) ** 2).sum())
    own = float(np.linalg.norm(a.T @ a) * np.linalg.norm(b.T @ b))
    return cross / own if own > 0 else 0.0


def proxy_distance(first: Float32, second: Float32, name: str) -> float | None:
    """Return the proxy A-distance, 0 to 2, of two sets of vectors.

    The larger set is cut to the size of the smaller. An error above one half is chance, and is
    taken as one half. None with fewer than ten rows of either.
    """
    n = min(len(first), len(second))
    if n < _LEAST_ROWS:
        return None
    parts = [
        one[np.sort(permutation(len(one), 0, "distance", name, side)[:n])]
        for side, one in enumerate((first, second))
    ]
    features = np.concatenate(parts)
    labels = np.repeat(np.arange(2), n)
    # Equal vectors go to one fold: a text in both sets is no evidence that they differ.
    _, groups = np.unique(features, axis=0, return_inverse=True)
    folds = folds_of(labels, groups.reshape(-1), _FOLDS, name)
    run = cross_validate(features, labels, 2, folds, strengths=(_STRENGTH,))
    error = float((run.predicted != labels).mean())
    return 2.0 * (1.0 - 2.0 * min(error, 0.5))


def task_likeness(
    names: tuple[str, str],
    features: tuple[LayerFeatures, LayerFeatures],
    n_classes: tuple[int, int],
) -> TaskLikeness:
    """Compare two tasks over the top layer.

    Parameters
    ----------
    names : (str, str)
    features : (LayerFeatures, LayerFeatures)
        Of their sampled rows.
    n_classes : (int, int)
        Labels of their heads.
    """
    texts = np.concatenate([one.pooled for one in features]).astype(np.float64)
    scores = []
    for one, n in zip(features, n_classes, strict=True):
        own = one.layers[-1].astype(np.float64)
        weights = fit_probe(standardized(one.layers[-1]), one.labels, n, _STRENGTH)
        # The probe's directions in the backbone's own units; constants go when columns are centred.
        spread = own.std(axis=0)
        scores.append(texts @ (weights[:-1] / np.where(spread > 1e-12, spread, 1.0)[:, None]))
    first, second = features
    return TaskLikeness(
        names,
        linear_cka(scores[0], scores[1]),
        proxy_distance(first.pooled, second.pooled, "|".join(names)),
    )
