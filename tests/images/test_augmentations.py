# SPDX-License-Identifier: Apache-2.0
"""Variants of pictures: functions of (seed, picture, variant), within what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from mtfreeze import Augment
from support.made_up_images import pixels

SIZE = (60, 90)
EXPECTED = (92, 0, 378, 640, False, 0.8646477975843363, 1.059186251450328, 0.8634505579015919)
"""Of one variant, as it was drawn when this was written."""


def test_a_variant_depends_on_seed_picture_and_number_alone() -> None:
    array, augment = pixels(*SIZE), Augment(seed=1)
    first = augment.apply(array, picture="a", variant=3)
    np.testing.assert_array_equal(first, augment.apply(array, picture="a", variant=11))
    drawn = augment.drawn(SIZE, picture="a", variant=3)
    for seed, picture, variant in ((2, "a", 3), (1, "b", 3), (1, "a", 4)):
        assert Augment(seed=seed).drawn(SIZE, picture=picture, variant=variant) != drawn


def test_variant_0_is_the_picture() -> None:
    array = pixels(*SIZE)
    for variant in (0, 8, 16):
        found = Augment().apply(array, picture=1, variant=variant)
        np.testing.assert_array_equal(found, array)


def test_draws_stay_within_bounds_and_fill_them() -> None:
    augment = Augment(crop=(0.5, 0.8), colour=0.3, variants=10_000)
    drawn = [augment.drawn(SIZE, picture=0, variant=v) for v in range(1, 2000)]
    shares = np.array([one.height * one.width / (SIZE[0] * SIZE[1]) for one in drawn])
    assert 0.48 < shares.min() < 0.52 and 0.77 < shares.max() < 0.82
    assert all(0 <= one.top <= SIZE[0] - one.height for one in drawn)
    assert all(0 <= one.left <= SIZE[1] - one.width for one in drawn)
    assert 0.45 < np.mean([one.flip for one in drawn]) < 0.55
    for factors in np.array([one[5:] for one in drawn]).T:
        assert 0.7 <= factors.min() < 0.71 and 1.29 < factors.max() <= 1.3


def test_the_draws_are_the_same_on_every_machine() -> None:
    """Numbers that were drawn once; a change of them changes every run that varies its pictures."""
    one = Augment(seed=7).drawn((480, 640), picture=3, variant=5)
    assert one[:5] == EXPECTED[:5]
    np.testing.assert_allclose(one[5:], EXPECTED[5:], rtol=0, atol=1e-12)


def test_a_flip_alone_is_a_mirror() -> None:
    array = pixels(*SIZE)
    augment = Augment(crop=None, colour=0.0, variants=64)
    found = [augment.apply(array, picture=0, variant=v) for v in range(64)]
    kinds = {(one == array).all() * 1 + (one == array[:, ::-1]).all() * 2 for one in found}
    assert kinds == {1, 2}


def test_colours_alone_keep_the_size_and_grey_stays_grey() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    augment = Augment(flip=False, crop=None, colour=0.5)
    for variant in range(1, 8):
        factor = augment.drawn((8, 8), picture=0, variant=variant).brightness
        found = augment.apply(grey, picture=0, variant=variant)
        # Of one colour contrast and saturation have nothing to move.
        assert (found == np.rint(np.float32(100) * np.float32(factor))).all()


def test_tiny_pictures() -> None:
    for variant in range(8):
        found = Augment().apply(pixels(1, 1), picture=0, variant=variant)
        assert found.shape == (1, 1, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"crop": 0.5}, "crop must be the least and the largest"),
        ({"crop": (0.9, 0.5)}, "exchange them"),
        ({"crop": (0.0, 1.0)}, r"crop\[0\] must be a finite number, above 0"),
        ({"colour": 2}, "colour must be"),
        ({"variants": 0}, "variants must be at least 1"),
        ({"seed": -1}, "seed must be"),
        ({"flip": "yes"}, "flip must be True or False"),
    ],
)
def test_arguments(arguments: dict[str, object], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        Augment(**arguments)  # type: ignore[arg-type]
