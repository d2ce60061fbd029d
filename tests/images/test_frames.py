# SPDX-License-Identifier: Apache-2.0
"""Frames: boxes move as the pixels of a variant do."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.images.frames import Frame

SIZE = (60, 90)
CORNERS = [15, 10, 35, 30]  # left, top, right, bottom


def drawn_on(corners: list[int]) -> NDArray[np.uint8]:
    """Return a black picture with one white box."""
    pixels = np.zeros((*SIZE, 3), np.uint8)
    left, top, right, bottom = corners
    pixels[top:bottom, left:right] = 255
    return pixels


@pytest.mark.parametrize("variant", range(8))
def test_boxes_move_with_their_pixels(variant: int) -> None:
    augment = mtf.Augment(flip=True, crop=(0.2, 0.7), colour=0.0, variants=8)
    pixels = augment.apply(drawn_on(CORNERS), picture=5, variant=variant)
    frame = Frame.of(augment.drawn(SIZE, picture=5, variant=variant), SIZE)
    shares, seen = frame.shares([CORNERS])
    rows, columns = np.nonzero(pixels[..., 0])
    if not seen[0]:  # its middle, a pixel, is not there
        assert not len(rows) or len(rows) < 20 * 20
        return
    height, width = pixels.shape[:2]
    x, y, w, h = shares[0] * [width, height, width, height]
    assert (columns.min(), columns.max() + 1) == pytest.approx((x - w / 2, x + w / 2))
    assert (rows.min(), rows.max() + 1) == pytest.approx((y - h / 2, y + h / 2))


def test_all_ways_of_being_seen_occur() -> None:
    augment = mtf.Augment(flip=True, crop=(0.2, 0.7), variants=60)
    frames = [Frame.of(augment.drawn(SIZE, picture=5, variant=v), SIZE) for v in range(60)]
    seen = [bool(frame.shares([CORNERS])[1][0]) for frame in frames]
    widths = [one.shares([CORNERS])[0][:, 2] * one.width for one in frames]
    assert {one.flip for one in frames} == {True, False}
    assert 0 < sum(seen) < len(seen)
    assert any((one < 20 - 1e-9).any() for one in widths)  # clipped


def test_corners_come_back_from_shares() -> None:
    frame = Frame(60, 90, 10, 20, 40, 50, True)
    corners = np.array([[25.0, 12, 40, 30], [30, 20, 69, 49]])
    shares, seen = frame.shares(corners)
    assert seen.all()
    np.testing.assert_allclose(frame.corners(shares), corners)


def test_no_boxes() -> None:
    shares, seen = Frame.whole(*SIZE).shares(np.zeros((0, 4)))
    assert shares.shape == (0, 4) and seen.shape == (0,)
