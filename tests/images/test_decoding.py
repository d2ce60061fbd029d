# SPDX-License-Identifier: Apache-2.0
"""Pictures decoded ahead: in order, bounded, errors in their place, threads that end."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest

from mtfreeze import DataError, ImageWarning, Picture
from mtfreeze.images import Processor
from mtfreeze.images.decoding import fitted_pictures
from support.made_up_images import file_bytes, pixels

pytest.importorskip("PIL", reason="Pillow is not installed")

PROCESSOR = Processor.from_json({"image_processor_type": "ViTImageProcessor", "size": 16})


def threads() -> int:
    return sum(one.name.startswith("mtfreeze-pictures") for one in threading.enumerate())


@pytest.mark.parametrize("n_threads", [1, 3, None])
def test_in_order_and_the_same_bits(n_threads: int | None) -> None:
    made = [pixels(20 + i, 30, seed=i) for i in range(20)]
    pictures = [Picture(file_bytes(one, "PNG")) for one in made]
    found = list(fitted_pictures(pictures, PROCESSOR, n_threads=n_threads))
    for one, array in zip(found, made, strict=True):
        np.testing.assert_array_equal(one, PROCESSOR.uint8(array))
    assert threads() == 0


def test_no_more_is_taken_than_is_asked_for() -> None:
    taken = []

    def endless() -> Iterator[Picture]:
        for number in range(10**9):
            taken.append(number)
            yield Picture(pixels(4, 4))

    found = fitted_pictures(endless(), PROCESSOR, n_threads=2)
    for _ in range(5):
        next(found)
    assert len(taken) <= 5 + 2 * 2
    found.close()
    assert threads() == 0


def test_an_error_comes_in_the_place_of_its_picture() -> None:
    pictures = [Picture(pixels(4, 4)), Picture(b"none", "row 1"), Picture(pixels(4, 4))]
    found = fitted_pictures(pictures, PROCESSOR, n_threads=2)
    next(found)
    with pytest.raises(DataError, match="row 1: expected an image"):
        next(found)
    assert threads() == 0


def test_an_interrupt_ends_the_threads() -> None:
    found = fitted_pictures((Picture(pixels(4, 4)) for _ in range(100)), PROCESSOR, n_threads=2)
    with pytest.raises(KeyboardInterrupt):
        for _ in found:
            raise KeyboardInterrupt
    found.close()
    assert threads() == 0


def test_changes_are_made_before_the_processor() -> None:
    pictures = [Picture(pixels(8, 8, seed)) for seed in range(4)]
    found = fitted_pictures(pictures, PROCESSOR, change=lambda number, p: p[:4] + np.uint8(number))
    for number, one in enumerate(found):
        np.testing.assert_array_equal(
            one, PROCESSOR.uint8(pixels(8, 8, number)[:4] + np.uint8(number))
        )


def test_one_warning_for_all_files_of_several_images() -> None:
    from PIL import Image

    frames = [Image.fromarray(pixels(8, 8, seed)) for seed in (1, 2)]
    data = file_bytes(np.asarray(frames[0]), "PNG", save_all=True, append_images=frames[1:])
    with pytest.warns(ImageWarning, match=r"first.png: .* \(and so do 2 more\)") as caught:
        list(fitted_pictures([Picture(data, "first.png")] * 3, PROCESSOR))
    assert len(caught) == 1


def test_times_of_a_picture_follow_one_another_and_share_its_decoding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    decoded: list[Picture] = []
    plain = Picture.decoded

    def counted(picture: Picture) -> tuple[np.ndarray, str]:
        decoded.append(picture)
        return plain(picture)

    monkeypatch.setattr(Picture, "decoded", counted)
    pictures = [Picture(np.full((4, 4, 3), 10 * at, np.uint8)) for at in range(3)]
    found = fitted_pictures(
        pictures, PROCESSOR, change=lambda number, p: p + np.uint8(number), times=2
    )
    assert [int(one[0, 0, 0]) for one in found] == [0, 1, 12, 13, 24, 25]
    assert len(decoded) == 3
