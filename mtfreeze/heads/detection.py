# SPDX-License-Identifier: Apache-2.0
"""Detection: boxes of things in images, and what each is.

A model with queries (DETR) answers every image with as many rows, each a label, or none, and a box.
The loss matches queries to the boxes of the data (``csrc/losses/set.c``):

    sum over layers of CE + (5 sum |b - b'| + 2 sum (1 - GIoU(b, b'))) / max(1, boxes)

where every box b is matched to another query's b' so that the sum of -p(label) + 5 |b - b'| -
2 GIoU is least, and CE, with a weight of 0.1 where a query is to answer none, divides by the sum of
weights (N. Carion et al., End-to-end object detection with transformers, ECCV 2020). The divisors
are those of a whole step; an evaluation is the mean over images, each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..checks import check_flag, check_integer, check_number
from ..closest import counted
from ..data.boxes import Box
from ..data.example import Example
from ..data.examples import Examples
from ..data.labels import LabelCodes, each_label
from ..errors import ConfigError, DataError
from ..inputs.packing import Encoded
from ..quoting import quoted
from .backbone_facts import BackboneFacts
from .box_measure import BOXES, image_row
from .boxes import DETECTED, LABEL, SCORE, BoxTargets, ImageBoxes
from .kind import Float32, HeadSpec
from .layerless import LayerlessHead
from .measure import Measure, RowCounts
from .row_spaces import RowSpace, Targets

__all__ = ["Detection"]

_SLACK = 1.0
"""Pixels that a box may reach beyond its image: corners are often rounded up."""

_MOST_QUERIES = 10_000


@dataclass(frozen=True)
class Detection(LayerlessHead):
    """Boxes of things in images, over a model with queries (DETR).

    Rows carry a list of `Box` for each image, ``[]`` where there is nothing; None is no target. An
    image may have as many boxes as the model has queries.

    Parameters
    ----------
    labels : sequence of str
        One or more different names of what is found.
    queries : int, optional
        How many the model has, for who wants to be sure of it; by default what it has.
    auxiliary : bool
        Whether the loss is taken after every layer of the decoder and not after the last alone,
        with one head for all of them. Answers are those of the last.
    threshold : float
        What is told where its score is at least this, from 0 to 1.

    Raises
    ------
    TypeError, ConfigError
        If an argument cannot be used; the message says what was expected.

    Notes
    -----
    ``labels`` are linear, boxes come from a network of three layers as wide as the model, with
    ReLU, and a sigmoid: the head of ``DetrForObjectDetection``, learned by DETR's loss.

    `predict` returns a dictionary an image: ``scores`` (n,) float32, the largest first, ``labels``,
    a list of n names, and ``boxes`` (n, 4) float32: left, top, right and bottom in pixels of the
    image as it was given, right way up.

    Examples
    --------
    >>> head = Detection(["cat", "dog"])
    >>> head.measure.names
    ('map', 'map_50')
    """

    kind: ClassVar[str] = "detection"
    written: ClassVar[str] = "mtf.Detection(labels=[...])"
    row_space: ClassVar[RowSpace] = DETECTED
    measures: ClassVar[tuple[Measure, ...]] = (BOXES,)
    size_key: ClassVar[str] = "n_labels"
    has_probabilities: ClassVar[bool] = False

    queries: int | None = None
    auxiliary: bool = True
    threshold: float = field(default=0.5, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.labels:
            raise ConfigError("a detection head needs at least one label; found none; name one")
        if self.queries is not None:
            queries = check_integer("queries", self.queries, 1, _MOST_QUERIES)
            object.__setattr__(self, "queries", queries)
        object.__setattr__(self, "auxiliary", check_flag("auxiliary", self.auxiliary))
        threshold = check_number("threshold", self.threshold, 0.0, 1.0)
        object.__setattr__(self, "threshold", threshold)

    def core_config(self) -> dict[str, Any]:
        """Return what the core needs to build the head."""
        return {"kind": self.kind, "n_labels": len(self.labels), "auxiliary": self.auxiliary}

    @property
    def n_outputs(self) -> int:
        """Columns of a query in one layer: the labels, none, and the box."""
        return len(self.labels) + 5

    def bound(self, facts: BackboneFacts) -> HeadSpec:
        """Return the description with the model's number of queries."""
        super().bound(facts)
        if not facts.n_queries:
            raise ConfigError(
                "expected a model with queries for a detection head, such as DETR; found one of "
                f"the family {quoted(facts.family.model_type)}; load a DETR model, or give labels "
                "of whole images to mtf.SequenceClassification"
            )
        if self.queries not in (None, facts.n_queries):
            raise ConfigError(
                f"queries must be {facts.n_queries}, as many as the model has, or None; found "
                f"{self.queries}; leave it out, or load a model with so many"
            )
        return replace(self, queries=facts.n_queries)

    # ---- learning --------------------------------------------------------------------------------

    def targets(self, examples: Examples, label: str, head: str) -> BoxTargets:
        """Turn the boxes of each image into those that the loss wants."""
        if self.queries is None:
            raise ConfigError(
                "targets of a detection head depend on the model; found a head that is part of "
                "none; add it with add_head"
            )
        codes = LabelCodes(self.labels, head)
        images = [
            None if one is None else self._image(row, one, codes, head)
            for row, one in each_label(examples, label)
        ]
        return BoxTargets(images, self.queries)

    def _image(self, row: Example, label: object, codes: LabelCodes, head: str) -> ImageBoxes:
        """Return the boxes of a row after checking them."""
        if row.image is None:
            raise DataError(
                f"{row.source}: head {quoted(head)} finds boxes in images; found a row without an "
                "image; give rows (image, [Box, ...])"
            )
        if not isinstance(label, tuple) or not all(isinstance(one, Box) for one in label):
            raise DataError(
                f"{row.source}: head {quoted(head)} learns boxes: expected a list of mtf.Box for "
                f"an image; found {quoted(label, 60)}; give (image, [mtf.Box(...), ...]), [] where "
                "there is nothing"
            )
        boxes = cast(tuple[Box, ...], label)
        if len(boxes) > (self.queries or 0):
            raise DataError(
                f"{row.source}: expected at most {self.queries} boxes, as "
                f"many as the model has queries; found {len(boxes):,}; leave the smallest out, cut "
                "the image into parts, or load a model with more queries"
            )
        labels = np.array([codes.of(one.label, row.source) for one in boxes], np.int64)
        corners = np.array(
            [(one.left, one.top, one.right, one.bottom) for one in boxes], np.float64
        ).reshape(-1, 4)
        if len(boxes):
            _check_within(row, boxes, corners)
        return ImageBoxes(labels, corners)

    def check_sufficient(self, task: str, targets: Targets, n_rows: int) -> None:
        """Check that there is a box to find."""
        if not len(targets.flat()):
            raise DataError(
                f"task {quoted(task)} needs training images with boxes; found "
                f"{counted(n_rows, 'image')} without any; give rows (image, [mtf.Box(...), ...])"
            )

    def examples(self, targets: Targets) -> dict[str, int]:
        """Return how many boxes have each label."""
        counts = np.bincount(targets.flat(), minlength=len(self.labels))
        return dict(zip(self.labels, counts.tolist(), strict=True))

    def absent(self, targets: Targets) -> list[str]:
        """Return the labels that no box has."""
        return [name for name, n in self.examples(targets).items() if not n]

    # ---- predicting ------------------------------------------------------------------------------

    def decoded(self, outputs: Float32) -> Float32:
        """Return the best label, its score, and the box of each query, (N, 6)."""
        last = outputs[:, -self.n_outputs :]
        logits, boxes = last[:, :-4], last[:, -4:]
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares = shares[:, :-1] / shares.sum(axis=1, keepdims=True)
        best = shares.argmax(axis=1)
        found = np.concatenate([best[:, None], shares.max(axis=1)[:, None], boxes], axis=1)
        return np.asarray(found, np.float32)

    def predictions(self, kept: Float32) -> dict[str, Any]:
        """Return what was found in an image, of (n_queries, 6): label, score and corners."""
        told = kept[kept[:, SCORE] >= np.float32(self.threshold)]
        return {
            "scores": told[:, SCORE],
            "labels": [self.labels[int(code)] for code in told[:, LABEL]],
            "boxes": told[:, SCORE + 1 :],
        }

    # ---- judging ---------------------------------------------------------------------------------

    def loss_sum(self, outputs: Float32, targets: Any) -> tuple[float, int]:
        """Return the losses of labelled images, each by itself, summed, and their number."""
        layers = outputs.shape[1] // self.n_outputs
        offsets = np.arange(0, len(targets) + 1, self.queries or 1, dtype=np.int64)
        losses = _core.loss_values("set", outputs, targets, offsets, layers)
        known = ~np.isnan(losses)
        return float(losses[known].sum()), int(known.sum())

    def scored(
        self, targets: Targets, encoded: Encoded, rows: NDArray[np.int64], outputs: Float32
    ) -> RowCounts:
        """Return what was found in each labelled image, and what is there."""
        gold = cast(BoxTargets, targets)
        found: dict[int, Float32] = {}
        self.row_space.put(found, encoded, rows, self.decoded(outputs), self.lost())
        counted_rows = [
            image_row(found[row], _gold(image), gold.n_queries)
            for row in rows.tolist()
            if (image := gold.images[row]) is not None
        ]
        return np.array(counted_rows, np.float64).reshape(len(counted_rows), 4 * gold.n_queries)

    def baseline(self, train: Targets, gold: Targets) -> RowCounts:
        """Find nothing."""
        wanted = cast(BoxTargets, gold)
        nothing = np.zeros((0, 6), np.float32)
        rows = [
            image_row(nothing, _gold(one), wanted.n_queries)
            for one in wanted.images
            if one is not None
        ]
        return np.array(rows, np.float64).reshape(len(rows), 4 * wanted.n_queries)


def _gold(image: ImageBoxes) -> NDArray[np.float64]:
    return np.concatenate([image.labels[:, None], image.corners], axis=1)


def _check_within(row: Example, boxes: tuple[Box, ...], corners: NDArray[np.float64]) -> None:
    """Refuse boxes that reach beyond their image; what little rounding made of them is cut off."""
    assert row.image is not None
    height, width = row.image.size()
    ends = np.array([width, height, width, height], np.float64)
    beyond = np.maximum(corners - ends, -corners).max(axis=1) > _SLACK
    corners.clip(0.0, ends, out=corners)
    wrong = np.flatnonzero(beyond | (corners[:, :2] >= corners[:, 2:]).any(axis=1))
    if len(wrong):
        box = boxes[int(wrong[0])]
        raise DataError(
            f"{row.source}: expected boxes within the image, {width} pixels wide and {height} "
            f"high; found one of {quoted(box.label, 60)} from ({box.left:g}, {box.top:g}) to "
            f"({box.right:g}, {box.bottom:g}); corners count in pixels of the image as it is "
            "stored, right way up: scale them if it was resized"
        )
