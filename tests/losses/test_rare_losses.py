# SPDX-License-Identifier: Apache-2.0
"""Losses over nothing, over directions one by one, and descriptions that files cannot hold."""

from __future__ import annotations

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.labels import IGNORE
from mtfreeze.losses.batch_rows import BatchRows
from mtfreeze.losses.cross_entropy import cross_entropy_sum
from mtfreeze.losses.from_dict import loss_from_dict
from mtfreeze.losses.in_batch_negatives import DIRECTIONS, multiple_negatives


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (3, "task 'c': loss must be a section of keys and values; found"),
        ({"kind": "cross_entropy", "label_smoothing": 2}, "task 'c': loss: label_smoothing must"),
        ({"kind": "cross_entropy", "label_smoothing": "a"}, "task 'c': loss: label_smoothing must"),
    ],
)
def test_descriptions_that_are_none(values: object, words: str) -> None:
    with pytest.raises(mtf.ConfigError, match=words):
        loss_from_dict(values, "task 'c': loss")


def test_nothing_labelled_has_no_loss() -> None:
    outputs, codes = np.ones((3, 2), np.float32), np.full(3, IGNORE, np.int32)
    settings = mtf.CrossEntropy(label_smoothing=0.1).settings(["a", "b"], codes, "c")
    assert cross_entropy_sum(outputs, codes, settings) == (0.0, 0.0)


def test_one_logarithm_a_direction_is_their_mean() -> None:
    """With one direction both ways are the same; with several it lies between the single ones."""
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(5, 2, 7))
    rows = BatchRows(vectors, np.zeros((5, 2)), np.arange(10).reshape(5, 2))
    first = ["query_to_doc"]
    alone = multiple_negatives(rows, 3.0, first, "joint")
    same = multiple_negatives(rows, 3.0, first, "per_direction")
    assert alone[0] == pytest.approx(same[0]) and np.allclose(alone[1], same[1])
    several = list(DIRECTIONS)
    value, gradient = multiple_negatives(rows, 3.0, several, "per_direction")
    joint, _ = multiple_negatives(rows, 3.0, several, "joint")
    assert value < joint
    step = 1e-6
    for at in [(0, 0, 1), (3, 1, 4)]:
        moved = vectors.copy()
        moved[at] += step
        other = rows._replace(vectors=moved)
        rise = multiple_negatives(other, 3.0, several, "per_direction")[0] - value
        assert rise / step == pytest.approx(gradient[at], rel=1e-3, abs=1e-6)
