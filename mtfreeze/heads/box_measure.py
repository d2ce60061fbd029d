# SPDX-License-Identifier: Apache-2.0
"""What detection is judged by: mean average precision, as COCO has it.

A row of an image holds, for each query of the model, the label and the score of what it found, at
which overlaps that is right (a number of ten bits), and the label of a box of the data; -1 where
there is none. Average precision is no sum over rows: it is computed anew for every drawn set, from
how often each image is in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..metrics.average_precision import OVERLAPS, Found, boxes_right, label_precisions
from .measure import Floats, Measure, Metric, RowCounts, Sums

__all__ = ["BOXES", "image_row"]

_PARTS = 4
"""Columns a query: label, score, right, label of the data."""

_BITS = 1 << np.arange(len(OVERLAPS))


class _Boxes(Measure):
    """Of images with boxes: what was found, what is right of it, and what there is."""

    name: ClassVar[str] = "boxes"
    of: ClassVar[str] = "a detection head"
    metrics: ClassVar[tuple[Metric, ...]] = (Metric("map", "mAP"), Metric("map_50", "mAP at 0.5"))
    dtype: ClassVar[type] = np.float64

    def figures(self, rows: RowCounts) -> dict[str, float]:
        """Return both; 0.0 where the data have no box."""
        by_overlap = label_precisions(_found(rows))[0]
        return {"map": float(by_overlap.mean()), "map_50": float(by_overlap[0])}

    def gold(self, rows: RowCounts) -> RowCounts:
        """Return the labels of the data's boxes."""
        return rows[:, 3 * rows.shape[1] // _PARTS :]

    def sums(self, rows: RowCounts, metric: str) -> Sums:
        """Return a column an image."""
        return Sums(np.eye(len(rows)), self.by_weights(rows, metric))

    def by_weights(self, rows: RowCounts, metric: str) -> Callable[[Floats], Floats]:
        """Return what weights of the images make of the metric."""
        found = _found(rows)

        def values(weights: Floats) -> Floats:
            by_overlap = label_precisions(found, weights)
            return by_overlap[:, 0] if metric == "map_50" else np.asarray(by_overlap.mean(axis=1))

        return values

    def n_items(self, rows: RowCounts) -> int:
        """Return how many boxes the data have."""
        return int((self.gold(rows) >= 0).sum())


BOXES = _Boxes()


def image_row(
    found: NDArray[np.floating], gold: NDArray[np.floating], n_queries: int
) -> NDArray[np.float64]:
    """Return what one image adds, (4 * n_queries,).

    Parameters
    ----------
    found : (n, 6) array
        Label, score, left, top, right and bottom of at most `n_queries` boxes.
    gold : (m, 5) array
        Label and corners of the data's boxes.
    """
    row = np.full((_PARTS, n_queries), -1.0)
    labels, scores = found[:, 0].astype(np.int64), found[:, 1].astype(np.float64)
    of_gold = gold[:, 0].astype(np.int64)
    right, counted = boxes_right(
        found[:, 2:].astype(np.float64), labels, scores, gold[:, 1:].astype(np.float64), of_gold
    )
    bits = right.astype(np.int64) @ _BITS
    for part, values in enumerate((labels, scores, bits)):
        row[part, : len(found)][counted] = values[counted]
    row[3, : len(gold)] = of_gold
    return row.reshape(-1)


def _found(rows: RowCounts) -> Found:
    labels, scores, bits, gold = np.split(np.asarray(rows, np.float64), _PARTS, axis=1)
    owner, at = np.nonzero(labels >= 0)
    n_labels = int(max(labels.max(initial=-1), gold.max(initial=-1))) + 1
    right = (bits[owner, at].astype(np.int64)[:, None] & _BITS) > 0
    counts = np.zeros((len(rows), n_labels), np.int64)
    of_image, place = np.nonzero(gold >= 0)
    np.add.at(counts, (of_image, gold[of_image, place].astype(np.int64)), 1)
    return Found(owner, labels[owner, at].astype(np.int64), scores[owner, at], right, counts)
