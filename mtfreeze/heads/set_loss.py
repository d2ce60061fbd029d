# SPDX-License-Identifier: Apache-2.0
"""What detection learns, of one image: the loss of DETR, which matches a set to a set.

In each decoder layer every box of the data is given to another query, so that the sum over boxes of

    5 sum |b - b'| - p(label) - 2 GIoU(b, b')

is least (`_core.assignment`), b the box and b' the query's. With c the label of the box that a
query was given, none for the others, and G boxes the layer then costs

    sum_q w(c_q) (-log p_q(c_q)) / sum_q w(c_q)           w(none) = 0.1, else 1
    + (5 sum |b - b'| + 2 sum (1 - GIoU(b, b'))) / max(1, G)

and the image the sum over the layers. The core (``csrc/losses/set.c``) computes the same of all
images of a step, with the divisors of the whole step; an evaluation, which has no steps, is the
mean over images.

Reference: N. Carion et al., End-to-end object detection with transformers, ECCV 2020.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core

__all__ = ["generalized_overlaps", "image_loss", "split_outputs"]

Floats = NDArray[np.float64]

_L1, _GIOU, _NONE = 5.0, 2.0, 0.1
"""Weights of distances, of overlaps, and of queries without a box."""


def split_outputs(outputs: NDArray[Any], n_labels: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return logits (N, K, n_labels + 1) and boxes (N, K, 4) of K layers, from (N, K * width)."""
    by_layer = outputs.reshape(len(outputs), -1, n_labels + 5)
    return by_layer[..., : n_labels + 1], by_layer[..., n_labels + 1 :]


def image_loss(outputs: NDArray[Any], targets: NDArray[Any], n_labels: int) -> float:
    """Return the loss of one image.

    Parameters
    ----------
    outputs : (Q, K * (n_labels + 5)) array
        Of each query, of K layers: logits, then the box by its middle, width and height.
    targets : (G, 5) array
        The boxes of the data, at most Q: label, middle, width and height.
    n_labels : int
        Labels, without none.
    """
    logits, boxes = split_outputs(outputs.astype(np.float64), n_labels)
    wanted = targets.astype(np.float64)
    return sum(
        _layer_loss(logits[:, k], boxes[:, k], wanted, n_labels) for k in range(logits.shape[1])
    )


def _layer_loss(logits: Floats, boxes: Floats, wanted: Floats, n_labels: int) -> float:
    top = logits.max(axis=1, keepdims=True)
    log_p = logits - top - np.log(np.exp(logits - top).sum(axis=1, keepdims=True))
    labels, there = wanted[:, 0].astype(np.int64), wanted[:, 1:]
    distances = np.abs(boxes[:, None] - there[None]).sum(axis=2)
    shared = generalized_overlaps(boxes, there)
    costs = _L1 * distances - np.exp(log_p[:, labels]) - _GIOU * shared
    rows = _core.assignment(costs) if len(wanted) else np.zeros(0, np.int64)
    classes = np.full(len(logits), n_labels)
    classes[rows] = labels
    weights = np.where(classes == n_labels, _NONE, 1.0)
    told = -(weights * log_p[np.arange(len(logits)), classes]).sum() / weights.sum()
    at = rows, np.arange(len(wanted))
    placed = _L1 * distances[at].sum() + _GIOU * (1 - shared[at]).sum()
    return float(told + placed / max(1, len(wanted)))


def generalized_overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return GIoU of all pairs, (n, m), of boxes (n, 4) and (m, 4) by middle, width and height.

    Intersection over union, less the share of the smallest box around both that is neither
    (H. Rezatofighi et al., CVPR 2019); 0 for two boxes of no area.
    """
    one, other = ((b[:, :2] - b[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2) for b in (boxes, others))
    begins, ends = ((one[i][:, None], other[i][None]) for i in (0, 1))
    sides = np.clip(np.minimum(*ends) - np.maximum(*begins), 0.0, None)
    around = np.maximum(*ends) - np.minimum(*begins)
    shared, whole = sides.prod(axis=2), around.prod(axis=2)
    union = boxes[:, None, 2:].prod(axis=2) + others[None, :, 2:].prod(axis=2) - shared
    found = np.zeros_like(shared)
    np.divide(shared, union, out=found, where=union > 0)
    left = np.zeros_like(shared)
    np.divide(whole - union, whole, out=left, where=whole > 0)
    return np.asarray(found - left)
