# SPDX-License-Identifier: Apache-2.0
"""Average precision: that of pycocotools on random boxes, and of drawn images as of real copies."""

from __future__ import annotations

import contextlib
import io
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze.metrics.average_precision import Found, boxes_right, label_precisions, overlaps

Floats = NDArray[np.float64]
N_LABELS = 4


class Scene(NamedTuple):
    """One image: what there is, what was found."""

    gold: Floats
    gold_labels: NDArray[np.int64]
    boxes: Floats
    labels: NDArray[np.int64]
    scores: Floats


def scenes(seed: int, n: int, crowded: int = 0) -> list[Scene]:
    """Draw images with boxes that were found more or less well, and others."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(n):
        n_gold = int(rng.integers(0, 7))
        corner = rng.uniform(0, 400, (n_gold, 2))
        gold = np.concatenate([corner, corner + rng.uniform(20, 200, (n_gold, 2))], axis=1)
        again = np.repeat(np.arange(n_gold), 2)
        near = gold[again] + rng.normal(0, 1, (len(again), 4)) * rng.uniform(1, 20, (len(again), 1))
        corner = rng.uniform(0, 400, (3 + crowded, 2))
        others = np.concatenate([corner, corner + rng.uniform(9, 90, corner.shape)], axis=1)
        boxes = np.concatenate([near, others])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
        gold_labels = rng.integers(0, N_LABELS - 1, n_gold)  # the last label stands nowhere
        labels = rng.integers(0, N_LABELS, len(boxes))
        labels[: len(near)] = np.where(rng.random(len(near)) < 0.8, gold_labels[again], 0)
        if crowded:
            labels[:] = 0
        made.append(Scene(gold, gold_labels, boxes, labels, rng.random(len(boxes))))
    return made


def found_in(images: list[Scene]) -> Found:
    """Return what the metric reads of images."""
    right, counted = zip(*(boxes_right(*one[2:], *one[:2]) for one in images), strict=True)
    keep = np.concatenate(counted)
    owner = np.repeat(np.arange(len(images)), [len(one.boxes) for one in images])
    gold = np.stack([np.bincount(one.gold_labels, minlength=N_LABELS) for one in images])
    labels, scores = (np.concatenate([one[k] for one in images]) for k in (3, 4))
    return Found(owner[keep], labels[keep], scores[keep], np.concatenate(right)[keep], gold)


def by_pycocotools(images: list[Scene]) -> tuple[float, float]:
    """Return mAP and mAP at 0.5 of pycocotools."""
    pytest.importorskip("pycocotools", reason="pycocotools has the figures to compare with")
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    table: dict[str, Any] = {
        "info": {},
        "images": [{"id": i} for i in range(len(images))],
        "categories": [{"id": i, "name": str(i)} for i in range(N_LABELS)],
        "annotations": [
            {"id": 1, "image_id": i, "category_id": int(label), "bbox": _xywh(box), "iscrowd": 0}
            for i, one in enumerate(images)
            for box, label in zip(one.gold, one.gold_labels, strict=True)
        ],
    }
    for number, one in enumerate(table["annotations"], start=1):
        one |= {"id": number, "area": one["bbox"][2] * one["bbox"][3]}
    found = [
        {"image_id": i, "category_id": int(label), "bbox": _xywh(box), "score": float(score)}
        for i, one in enumerate(images)
        for box, label, score in zip(one.boxes, one.labels, one.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = table
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(found), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return float(judge.stats[0]), float(judge.stats[1])


def _xywh(box: Floats) -> list[float]:
    return [*map(float, box[:2]), float(box[2] - box[0]), float(box[3] - box[1])]


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(seed: int) -> None:
    images = scenes(seed, 30, crowded=150 if seed == 3 else 0)
    ours = label_precisions(found_in(images))[0]
    theirs = by_pycocotools(images)
    assert 0 < theirs[0] < theirs[1] < 0.95
    np.testing.assert_allclose((ours.mean(), ours[0]), theirs, rtol=0, atol=1e-12)


def test_a_weight_is_as_many_copies() -> None:
    images = scenes(11, 12)
    found = found_in(images)
    weights = np.random.default_rng(3).multinomial(12, [1 / 12] * 12, size=9).astype(np.float64)
    drawn = label_precisions(found, weights)
    for row, counts in zip(drawn, weights.astype(int), strict=True):
        copies = [one for one, n in zip(images, counts, strict=True) for _ in range(n)]
        np.testing.assert_allclose(row, label_precisions(found_in(copies))[0], atol=1e-14)


def test_nothing_found_and_nothing_there() -> None:
    one = scenes(1, 8)
    none = [s._replace(boxes=s.boxes[:0], labels=s.labels[:0], scores=s.scores[:0]) for s in one]
    assert not label_precisions(found_in(none)).any()
    empty = [s._replace(gold=s.gold[:0], gold_labels=s.gold_labels[:0]) for s in one]
    assert not label_precisions(found_in(empty)).any()


def test_all_found_is_one() -> None:
    images = [
        s._replace(boxes=s.gold, labels=s.gold_labels, scores=s.scores[: len(s.gold)])
        for s in scenes(2, 8)
    ]
    np.testing.assert_allclose(label_precisions(found_in(images)), 1.0, atol=1e-12)


def test_a_box_is_found_once() -> None:
    box = np.array([[0.0, 0, 10, 10]])
    right, counted = boxes_right(
        np.repeat(box, 2, axis=0), np.array([0, 0]), np.array([0.4, 0.9]), box, np.array([0])
    )
    assert right[:, 0].tolist() == [False, True]
    assert counted.all()


def test_overlap_of_boxes_apart_is_nothing() -> None:
    boxes = np.array([[0.0, 0, 1, 1], [5, 5, 6, 6]])
    assert overlaps(boxes, boxes).tolist() == [[1.0, 0.0], [0.0, 1.0]]
