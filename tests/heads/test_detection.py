# SPDX-License-Identifier: Apache-2.0
"""Detection heads by themselves: what boxes are to the loss, what queries are to the user.

That they learn is in ``tests/model/test_detection_models.py``.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.comparing.bootstrap import draw
from mtfreeze.comparing.results import TaskScore
from mtfreeze.heads.boxes import BoxTargets
from mtfreeze.heads.registry import measure_named, spec_from_dict
from mtfreeze.images import Processor
from mtfreeze.inputs.image_encoder import EncodedImages, ImageEncoder
from mtfreeze.inputs.row_layout import RowLayout
from support.vision import CASES, core_of

LABELS = ["cat", "dog"]
HEAD = replace(mtf.Detection(LABELS), queries=4)
PICTURE = np.arange(40 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(40, 80, 3)
CAT, DOG = mtf.Box("cat", 10, 10, 30, 30), mtf.Box("dog", 40, 0, 80, 40)


def targets_of(*rows: object) -> BoxTargets:
    """Return the targets of such rows."""
    return HEAD.targets(mtf.Examples.from_rows(rows), "boxes", "boxes")


def encoded(n: int, augment: mtf.Augment | None = None, **changes: Any) -> EncodedImages:
    """Return the picture n times, as a model of 20 x 20 pixels reads it."""
    config = {"image_processor_type": "ViTImageProcessor", "size": 20, **changes}
    layout = RowLayout.of(core_of(CASES["vit"]))
    return ImageEncoder(Processor.from_json(config), layout, 4).encode_images(
        [PICTURE] * n, augment
    )


def rows_of(found: NDArray[Any]) -> list[list[float]]:
    """Return the rows of targets that are boxes, rounded."""
    return found[found[:, 0] >= 0].round(4).tolist()


def test_boxes_become_shares_of_the_image() -> None:
    targets = targets_of((PICTURE, [CAT, DOG]), (PICTURE, []), {"image": PICTURE, "boxes": [DOG]})
    found = targets.for_rows(encoded(3), np.arange(3))
    assert found.shape == (12, 5) and found.dtype == np.float32
    assert rows_of(found[:4]) == [[0, 0.25, 0.5, 0.25, 0.5], [1, 0.75, 0.5, 0.5, 1.0]]
    assert (found[2:8, 0] == -1).all()
    assert rows_of(found[8:]) == [[1, 0.75, 0.5, 0.5, 1.0]]
    assert targets.flat().tolist() == [0, 1, 1]
    at, values, owner = targets.items(encoded(3), np.array([2, 0]))
    assert (at.tolist(), owner.tolist()) == ([0, 4, 5], [0, 1, 1])
    assert values[:, 0].tolist() == [1, 0, 1]


def test_images_without_labels_teach_nothing() -> None:
    rows: list[Any] = [
        {"image": PICTURE, "labels": {"boxes": [CAT]}},
        {"image": PICTURE, "labels": {"other": "x"}},
    ]
    targets = targets_of(*rows)
    assert targets.labelled_rows().tolist() == [0]
    found = targets.for_rows(encoded(2), np.arange(2))
    assert np.isnan(found[4:]).all() and not np.isnan(found[:4]).any()


def test_boxes_move_with_the_variant_of_an_epoch() -> None:
    augment = mtf.Augment(flip=True, crop=(0.2, 0.5), variants=12)
    images = encoded(1, augment)
    targets = targets_of((PICTURE, [CAT, DOG]))
    by_epoch = [targets.in_epoch(images, np.arange(1), epoch) for epoch in range(13)]
    assert np.array_equal(by_epoch[0], targets.for_rows(encoded(1), np.arange(1)))
    assert np.array_equal(by_epoch[12], by_epoch[0])
    for epoch in range(12):
        (frame,) = images.frames(images.sequences_of([0], epoch))
        shares, seen = frame.shares([[10, 10, 30, 30], [40, 0, 80, 40]])
        np.testing.assert_allclose(
            by_epoch[epoch][: len(shares)],
            np.concatenate([np.flatnonzero(seen)[:, None], shares], axis=1),
            rtol=1e-6,
        )
    assert len({len(rows_of(one)) for one in by_epoch}) > 1  # some boxes left


def test_a_processor_that_crops_is_refused() -> None:
    images = encoded(1, do_center_crop=True, crop_size=20, size={"height": 30, "width": 30})
    with pytest.raises(mtf.DataError, match=r"keeps the whole image.*cuts the middle out"):
        targets_of((PICTURE, [CAT])).for_rows(images, np.arange(1))


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([CAT] * 5, r"at most 4 boxes, as many as the model has queries; found 5"),
        ([mtf.Box("bird", 0, 0, 9, 9)], r"unknown label 'bird'"),
        ([mtf.Box("cat", 0, 0, 82, 9)], r"within the image, 80 pixels wide.*\(82, 9\)"),
        ([mtf.Box("cat", 80.2, 0, 80.9, 9)], r"within the image"),
        ("cat", r"expected a list of mtf.Box for an image; found 'cat'"),
        (["cat", "dog"], r"expected a list of mtf.Box"),
    ],
)
def test_what_no_targets_are(boxes: Any, message: str) -> None:
    with pytest.raises(mtf.DataError, match=rf"row 1 of data: .*{message}"):
        targets_of((PICTURE, [CAT]), (PICTURE, boxes))


def test_texts_have_no_boxes() -> None:
    with pytest.raises(mtf.DataError, match="finds boxes in images; found a row without an image"):
        targets_of(("a text", "cat"))


def test_what_rounding_put_beyond_the_image_is_cut_off() -> None:
    found = targets_of((PICTURE, [mtf.Box("cat", -0.4, 0, 80.5, 40)])).for_rows(
        encoded(1), np.arange(1)
    )
    assert rows_of(found) == [[0, 0.5, 0.5, 1.0, 1.0]]


def answers(*queries: tuple[list[float], list[float]]) -> NDArray[np.float32]:
    """Return outputs of one layer: logits of cat, dog and none, and a box, of each query."""
    return np.array([[*logits, *box] for logits, box in queries], np.float32)


SEEN = answers(
    ([0, 0, 9], [0.1, 0.1, 0.1, 0.1]),
    ([4, 0, 0], [0.25, 0.5, 0.25, 0.5]),
    ([0, 5, 0], [0.75, 0.5, 0.5, 0.9]),
    ([0, 1, 0], [0.75, 0.5, 0.5, 0.9]),
)


def test_predictions_are_boxes_of_the_picture() -> None:
    kept = HEAD.decoded(SEEN)
    found = HEAD.row_space.empty(2, HEAD.n_outputs)
    HEAD.row_space.put(found, encoded(2), np.array([1]), kept, HEAD.lost())
    (_, told) = HEAD.row_space.each(found, HEAD.predictions)
    assert told["labels"] == ["dog", "cat", "dog"]
    shares = np.exp([5, 4, 1]) / (np.exp([5, 4, 1]) + 2)
    np.testing.assert_allclose(told["scores"], shares, rtol=1e-6)
    np.testing.assert_allclose(
        told["boxes"], [[40, 2, 80, 38], [10, 10, 30, 30], [40, 2, 80, 38]], atol=1e-5
    )
    sure = replace(HEAD, threshold=0.9).predictions(found[1])
    assert sure["labels"] == ["dog", "cat"]


def test_of_several_layers_the_last_answers() -> None:
    both = np.concatenate([SEEN[::-1], SEEN], axis=1)
    assert np.array_equal(HEAD.decoded(both), HEAD.decoded(SEEN))


def test_scores_of_images() -> None:
    rows: list[Any] = [
        {"image": PICTURE, "labels": {"boxes": [CAT, DOG]}},
        {"image": PICTURE, "labels": {"other": "x"}},
        {"image": PICTURE, "labels": {"boxes": [DOG]}},
    ]
    targets = targets_of(*rows)
    wrong = SEEN.copy()
    wrong[:, -4:] = 0.05
    outputs = np.concatenate([SEEN, SEEN, wrong])
    counts = HEAD.scored(targets, encoded(3), np.arange(3), outputs)
    assert counts.shape == (2, 16)
    figures = HEAD.measure.figures(counts)
    # The cat is found; of two dogs the first, with an overlap of 0.9 and as the surest: precision 1
    # up to a recall of one half, which are 51 of 101.
    assert figures["map_50"] == pytest.approx((1 + 51 / 101) / 2)
    assert figures["map"] < figures["map_50"]
    assert HEAD.measure.n_items(counts) == 3
    nothing = HEAD.baseline(targets, targets)
    assert HEAD.measure.figures(nothing) == {"map": 0.0, "map_50": 0.0}
    assert np.array_equal(HEAD.measure.gold(nothing), HEAD.measure.gold(counts))


def random_counts(seed: int, n: int = 40) -> NDArray[Any]:
    """Return what n images add, of boxes found more or less well; the data are the same always."""
    rng, data = np.random.default_rng(seed), np.random.default_rng(0)
    counted = []
    targets = targets_of(
        *(
            (PICTURE, [mtf.Box(LABELS[int(data.integers(2))], x, y, x + 20, y + 15)])
            for x, y in zip(data.integers(0, 60, n), data.integers(0, 25, n), strict=True)
        )
    )
    images = encoded(n)
    wanted = targets.for_rows(images, np.arange(n)).reshape(n, 4, 5)
    for row in wanted:
        near = row[0, 1:] + rng.normal(0, 0.02 * (1 + seed), 4)
        logits = rng.normal(0, 1, (4, 3))
        logits[0, int(row[0, 0])] += 2
        boxes = np.concatenate([near[None], rng.uniform(0.2, 0.8, (3, 4))])
        counted.append(np.concatenate([logits, boxes], axis=1))
    outputs = np.concatenate(counted).astype(np.float32)
    return HEAD.scored(targets, images, np.arange(n), outputs)


def test_a_bootstrap_draws_images() -> None:
    scores = {
        f"model {seed}": {
            0: TaskScore("boxes", "map", tuple(LABELS), counts, HEAD.measure.figures(counts))
        }
        for seed, counts in enumerate([random_counts(0), random_counts(1)])
    }
    drawn = draw(scores, seed=5, n_draws=30)
    for name, one in drawn.items():
        counts = scores[name][0].counts
        assert one.values[0] == pytest.approx(scores[name][0].metrics["map"], abs=1e-12)
        rows = np.random.default_rng([5, len(counts)]).integers(0, len(counts), (30, len(counts)))
        again = [HEAD.measure.figures(counts[chosen])["map"] for chosen in rows]
        np.testing.assert_allclose(one.draws[:, 0], again, atol=1e-12)
    kept = TaskScore.from_dict(scores["model 0"][0].to_dict())
    assert np.array_equal(kept.counts, scores["model 0"][0].counts)


def test_a_column_an_image_says_the_same() -> None:
    counts = random_counts(0, 9)
    for metric in HEAD.measure.choices:
        columns, values = HEAD.measure.sums(counts, metric)
        found = values(np.stack([columns.sum(axis=0), columns[:7].sum(axis=0)]))
        whole, part = HEAD.measure.figures(counts), HEAD.measure.figures(counts[:7])
        assert found == pytest.approx([whole[metric], part[metric]], abs=1e-12)


def test_descriptions() -> None:
    spec = mtf.Detection(LABELS, auxiliary=False, threshold=0.3)
    assert spec_from_dict(spec.to_dict(), "file") == spec
    assert spec.core_config() == {"kind": "detection", "n_labels": 2, "auxiliary": False}
    assert measure_named("boxes") is spec.measure
    assert HEAD.absent(targets_of((PICTURE, [CAT]))) == ["dog"]
    with pytest.raises(mtf.DataError, match="'t' needs training images with boxes; found 1 image"):
        HEAD.check_sufficient("t", targets_of((PICTURE, [])), 1)
    with pytest.raises(mtf.ConfigError, match="part of none; add it with add_head"):
        spec.targets(mtf.Examples.from_rows([(PICTURE, [CAT])]), "x", "x")
    for wrong, message in (
        ({"labels": []}, "at least one label"),
        ({"labels": LABELS, "queries": 0}, "queries must be"),
        ({"labels": LABELS, "threshold": 1.5}, "threshold must be"),
    ):
        with pytest.raises(mtf.ConfigError, match=message):
            mtf.Detection(**wrong)  # type: ignore[arg-type]


def test_models_without_queries_are_refused(tmp_path: Path) -> None:
    from support.vision_folders import vision_model, write_vision_folder

    model = vision_model(write_vision_folder(tmp_path / "model"))
    with pytest.raises(mtf.ConfigError, match=r"a model with queries .* such as DETR; found .*vit"):
        model.add_head("boxes", mtf.Detection(LABELS))
    with pytest.raises(mtf.ConfigError, match="threshold= is of heads that tell what is sure"):
        model.predict("colour", [PICTURE], threshold=0.5)
