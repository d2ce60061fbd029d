# SPDX-License-Identifier: Apache-2.0
"""Average precision of boxes, as COCO has it, of many weightings of the images at once.

In each image boxes of a label, the surest first and 100 at most, take the box of the data of the
same label that they overlap most and that none took before, if intersection over union is at least
t: they are right, all others wrong. Over all images, the surest first, precision is the share of
right ones among those so far, made falling from the end on, and recall the share of the data's
boxes found. AP of a label is the mean precision at recalls 0, 0.01 ... 1, 0 where a recall is not
reached; mAP the mean over the labels that the data have and over t = 0.5, 0.55 ... 0.95.

Which boxes are right is known image by image, so an image can be counted with any weight: how often
a bootstrap drew it. With weights 1 the figures are those of pycocotools for areas "all".

Reference: T.-Y. Lin et al., Microsoft COCO: Common objects in context, ECCV 2014; cocoeval.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_BOXES", "OVERLAPS", "Found", "boxes_right", "label_precisions", "overlaps"]

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]
Bools = NDArray[np.bool_]

OVERLAPS: Floats = np.linspace(0.5, 0.95, 10)
"""Intersection over union from which on a box counts as found, one after another."""

MOST_BOXES = 100
"""Boxes of a label in one image that count, the surest ones."""

_RECALLS: Floats = np.linspace(0.0, 1.0, 101)

_CHUNK = 1 << 17
"""Values held at a time, of each of several arrays: they stay in the processor's cache."""


@dataclass(frozen=True)
class Found:
    """What was found in images, and what there is.

    Attributes
    ----------
    owner : (n,) int64 array
        Which image each found box is in.
    labels : (n,) int64 array
        What it was taken for.
    scores : (n,) float64 array
        How sure it is.
    right : (n, 10) bool array
        From `boxes_right`.
    gold : (n_images, n_labels) int64 array
        Boxes of each label that the data have.
    """

    owner: Int64
    labels: Int64
    scores: Floats
    right: Bools
    gold: Int64


def overlaps(boxes: Floats, others: Floats) -> Floats:
    """Return intersection over union of all pairs, (n, m), of boxes (n, 4) and (m, 4) by corners.

    Examples
    --------
    >>> overlaps(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [4, 4, 5, 5]])).round(3)
    array([[0.333, 0.   ]])
    """
    ends = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.clip(ends - np.maximum(boxes[:, None, :2], others[None, :, :2]), 0.0, None)
    shared = sides[..., 0] * sides[..., 1]
    areas = [(one[:, 2] - one[:, 0]) * (one[:, 3] - one[:, 1]) for one in (boxes, others)]
    union = areas[0][:, None] + areas[1][None, :] - shared
    found = np.zeros_like(shared)
    np.divide(shared, union, out=found, where=union > 0)
    return np.asarray(found)


def boxes_right(
    boxes: Floats, labels: Int64, scores: Floats, gold: Floats, gold_labels: Int64
) -> tuple[Bools, Bools]:
    """Say which boxes of one image are right.

    Parameters
    ----------
    boxes : (n, 4) float64 array
        What was found: left, top, right, bottom.
    labels : (n,) int64 array
    scores : (n,) float64 array
    gold : (m, 4) float64 array
        What there is.
    gold_labels : (m,) int64 array

    Returns
    -------
    right : (n, 10) bool array
        At each of `OVERLAPS`.
    counted : (n,) bool array
        Which are among the surest of their label.
    """
    right = np.zeros((len(boxes), len(OVERLAPS)), np.bool_)
    counted = np.zeros(len(boxes), np.bool_)
    least = np.minimum(OVERLAPS, 1 - 1e-10)[:, None]
    for label in np.unique(labels):
        own = np.flatnonzero(labels == label)
        own = own[np.argsort(-scores[own], kind="stable")][:MOST_BOXES]
        counted[own] = True
        there = gold[gold_labels == label]
        if not len(there):
            continue
        shared = overlaps(boxes[own], there)
        free = np.ones((len(OVERLAPS), len(there)), np.bool_)
        for at, row in zip(own.tolist(), shared, strict=True):
            fitting = np.where(free & (row >= least), row, -1.0)
            # The last of equal ones, as there.
            best = len(there) - 1 - fitting[:, ::-1].argmax(axis=1)
            took = fitting.max(axis=1) >= 0
            right[at] = took
            free[np.flatnonzero(took), best[took]] = False
    return right, counted


def label_precisions(found: Found, weights: Floats | None = None) -> Floats:
    """Return mean average precision at each of `OVERLAPS`.

    Parameters
    ----------
    found : Found
        Of a data set.
    weights : (b, n_images) float64 array, optional
        How often each image counts, whole numbers; by default each once, b = 1.

    Returns
    -------
    (b, 10) float64 array
        Means over the labels with a box that counts; 0.0 where there is none. Their mean is mAP,
        the first column that at an overlap of 0.5.
    """
    if weights is None:
        weights = np.ones((1, len(found.gold)))
    order = np.argsort(-found.scores, kind="stable")
    labels, owner, right = found.labels[order], found.owner[order], found.right[order]
    sums = np.zeros((len(weights), len(OVERLAPS)))
    n_labels = np.zeros((len(weights), 1))
    for label in np.flatnonzero(found.gold.sum(axis=0)):
        own = labels == label
        # Between two right boxes precision falls and recall stands: the right ones say it all.
        at = np.flatnonzero(right[own].any(axis=1))
        before = _before(owner[own], at, len(found.gold))
        step = max(1, _CHUNK // max(1, len(at)))
        for first in range(0, len(weights), step):
            part = np.ascontiguousarray(weights[first : first + step].T)
            n_gold = found.gold[:, label] @ part
            drawn = slice(first, first + step)
            sums[drawn] += _average(part[owner[own][at]], before @ part, right[own][at], n_gold)
            n_labels[drawn] += (n_gold > 0)[:, None]
    return np.asarray(sums / np.maximum(n_labels, 1))


def _before(owner: Int64, at: Int64, n_images: int) -> Floats:
    """Return how many boxes of each image are as sure as that at each place, (m, n_images)."""
    counts = np.zeros((len(at), n_images))
    inside = np.searchsorted(at, np.arange(len(owner)))
    known = inside < len(at)  # the others come after the last
    np.add.at(counts, (inside[known], owner[known]), 1.0)
    return np.cumsum(counts, axis=0)


def _average(weights: Floats, seen: Floats, right: Bools, n_gold: Floats) -> Floats:
    """Return average precision of one label, (b, 10).

    Parameters
    ----------
    weights : (m, b) float64 array
        Of the boxes that are right at some overlap, the surest first, in each of b drawn sets.
    seen : (m, b) float64 array
        How many boxes are as sure as each of these.
    right : (m, 10) bool array
    n_gold : (b,) float64 array
        Boxes that the data have.
    """
    found = np.zeros((weights.shape[1], len(OVERLAPS)))
    for t in range(len(OVERLAPS)):
        at = right[:, t]
        if not at.any():
            continue
        hits = np.cumsum(weights[at], axis=0)
        precision = hits / (seen[at] + np.spacing(1))
        falling = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
        reached = _reached(hits / np.maximum(n_gold, 1))  # of none no box is right
        found[:, t] = (np.diff(reached, axis=0, prepend=0) * falling).sum(axis=0)
    return found / len(_RECALLS)


def _reached(recall: Floats) -> Floats:
    """Return how many of the recalls are at most each of these: as a sorted search, but faster."""
    near = (recall * (len(_RECALLS) - 1) + 1e-9).astype(np.int64)  # one too many, maybe
    return np.asarray(near + (recall >= _RECALLS[near]), np.float64)
