# SPDX-License-Identifier: Apache-2.0
"""Boxes of images: targets of the loss, and what queries answer read back as boxes.

The core has a fixed number of rows an image, its *queries*. Of targets the first rows of an image
hold its boxes, as label, middle, width and height, in shares of the image that is read; the others
have the label -1. Boxes of data and of answers are corners in pixels of the picture as it was
stored, right way up; what of it is seen, and how, its `Frame` says.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..images.frames import Frame
from ..inputs.image_encoder import EncodedImages
from ..inputs.packing import Encoded, PackedBatch
from .row_spaces import Float32, Int64, RowSpace, Targets, Values

__all__ = ["DETECTED", "LABEL", "QUERIES", "SCORE", "BoxTargets", "ImageBoxes", "frames_of"]

QUERIES = "queries"
"""The row space of what a model looks for things with, equally many in every image."""

_NO_BOX = -1.0
_WIDTH = 5

LABEL, SCORE = 0, 1
"""Columns of a box that was found, before its corners."""


@dataclass(frozen=True)
class ImageBoxes:
    """The boxes of one image.

    Attributes
    ----------
    labels : (n,) int64 array
        Positions among those of the head.
    corners : (n, 4) float64 array
        Left, top, right and bottom in pixels of the picture.
    """

    labels: Int64
    corners: NDArray[np.float64]

    def in_frame(self, frame: Frame) -> NDArray[np.float64]:
        """Return label, middle, width and height of those that are seen, (m, 5)."""
        shares, seen = frame.shares(self.corners)
        return np.concatenate([self.labels[seen, None], shares], axis=1)


@dataclass
class BoxTargets(Targets):
    """The boxes of every image.

    Attributes
    ----------
    images : sequence of ImageBoxes or None
        None: the image is not labelled.
    n_queries : int
        Of the model; no image has more boxes.
    """

    images: Sequence[ImageBoxes | None]
    n_queries: int

    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the targets of the queries of these images, (n * n_queries, 5)."""
        return self.in_epoch(encoded, rows, 0)

    def in_epoch(self, encoded: Encoded, rows: Int64, epoch: int) -> Values:
        """Return the same of the variants that an epoch reads."""
        found = np.full((len(rows), self.n_queries, _WIDTH), 0.0, np.float32)
        found[:, :, LABEL] = _NO_BOX
        frames = frames_of(encoded, rows, epoch)
        for at, (row, frame) in enumerate(zip(rows.tolist(), frames, strict=True)):
            image = self.images[row]
            if image is None:
                found[at] = np.nan
            else:
                boxes = image.in_frame(frame)
                found[at, : len(boxes)] = boxes
        return found.reshape(-1, _WIDTH)

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for every query of the batch."""
        return np.full((int(batch.offsets[QUERIES][-1]), _WIDTH), np.nan, np.float32)

    def flat(self) -> Values:
        """Return the labels of all boxes, (n,) int32."""
        labels = [one.labels for one in self.images if one is not None]
        return np.concatenate([np.zeros(0, np.int64), *labels]).astype(np.int32)

    def labelled_rows(self) -> Int64:
        """Return the numbers of the images that are labelled, with boxes or with none."""
        return np.flatnonzero([one is not None for one in self.images]).astype(np.int64)

    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return the queries whose rows hold the boxes of these images."""
        values = self.for_rows(encoded, rows)
        at = np.flatnonzero(values[:, LABEL] >= 0).astype(np.int64)
        return at, values[at], at // self.n_queries


def frames_of(encoded: Encoded, rows: Int64, epoch: int = 0) -> list[Frame]:
    """Return what is seen of the pictures of these rows of data, in an epoch."""
    images = cast(EncodedImages, encoded)
    return images.frames(images.sequences_of(rows, epoch))


class _Detected(RowSpace):
    """An image has as many rows as the model has queries: label, score and corners, the surest
    first."""

    def empty(self, n: int, width: int) -> Any:
        return [np.zeros((0, 2 + 4), np.float32)] * n

    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        """Put what `Detection.decoded` kept in its place: label, score and shares of a query."""
        by_image = outputs.reshape(len(rows), -1, outputs.shape[1])
        frames = frames_of(encoded, rows)
        for row, own, frame in zip(rows.tolist(), by_image, frames, strict=True):
            order = np.argsort(-own[:, SCORE], kind="stable")
            corners = frame.corners(own[order, SCORE + 1 :]).astype(np.float32)
            found[row] = np.concatenate([own[order, : SCORE + 1], corners], axis=1)

    def each(self, found: Any, make: Callable[[Any], Any]) -> Any:
        return [make(one) for one in found]


DETECTED = _Detected(
    name=QUERIES,
    item="box",
    items="boxes",
    example="image",
    data="images with boxes",
    labelled="images",
    classes="labels",
    splits=False,
)
