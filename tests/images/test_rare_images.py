# SPDX-License-Identifier: Apache-2.0
"""Images off the beaten track: files that the system refuses, sizes that are rare, no Pillow."""

from __future__ import annotations

import errno
import io
import sys
from pathlib import Path

import numpy as np
import pytest

from mtfreeze import Augment, CheckpointError, DataError, Picture
from mtfreeze.images import Processor
from mtfreeze.images.picture import check_pixels
from mtfreeze.images.pillow import opened
from support.made_up_images import file_bytes, pixels

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")

PNG = file_bytes(pixels(4, 6), "PNG")
KIND = "ImageProcessor"


def test_a_name_longer_than_the_system_takes_is_a_missing_file(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(PNG)
    with pytest.raises(DataError, match=r"expected an image; found no such file"):
        Picture(tmp_path / ("c" * 300 + ".png")).decode()


def test_what_the_system_refuses_stays_its_error(tmp_path: Path) -> None:
    """A circle of links is no missing file: the system's own words say more."""
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(OSError) as refusal:
        Picture(loop).decode()
    assert refusal.value.errno == errno.ELOOP and "loop.png" in str(refusal.value)


def test_a_disk_that_fails_is_no_damaged_image() -> None:
    class Failing(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() > 40:
                raise OSError(errno.EIO, "Input/output error")
            return super().read(size)

    with pytest.raises(OSError) as refusal, opened(Failing(PNG), "a.png") as image:
        image.load()
    assert not isinstance(refusal.value, DataError) and refusal.value.errno == errno.EIO


def test_memory_that_ends_while_pillow_decodes_is_said_as_that(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def load(image: object) -> None:
        raise MemoryError("no room")

    drawn = Image.fromarray(pixels(4, 6))
    monkeypatch.setattr(type(drawn), "load", load)
    with pytest.raises(MemoryError, match="no room"):
        Picture(drawn)


def test_without_pillow_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'pip install "mtfreeze\[vision\]"'):
        Picture(PNG).decode()
    assert Picture(pixels(4, 6)).decode().shape == (4, 6, 3)


def test_a_picture_says_what_it_holds(tmp_path: Path) -> None:
    stored, array = Picture(PNG), Picture(pixels(4, 6))
    assert repr(stored) == f"Picture({len(PNG)} bytes, digest {stored.digest()})"
    assert repr(array) == f"Picture(4x6, digest {array.digest()})"
    assert stored.digest() != array.digest()


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        ([[1, 2, 3]], TypeError, "expected an array of uint8 (height, width, 3); found list"),
        (np.zeros((4, 6), np.uint8), DataError, "found the shape (4, 6)"),
        (np.zeros((4, 6, 3)), TypeError, "found float64"),
    ],
)
def test_only_decoded_pixels_are_augmented(value: object, error: type, said: str) -> None:
    for call in (
        lambda: check_pixels("pixels", value),
        lambda: Augment().apply(value, picture=0, variant=1),  # type: ignore[arg-type]
    ):
        with pytest.raises(error) as refusal:
            call()
        assert said in str(refusal.value)


def test_the_size_that_is_drawn_for_has_two_sides() -> None:
    for size in (480, (480, 640, 3)):
        with pytest.raises(TypeError, match="size must be a height and a width; found"):
            Augment().drawn(size, picture=0, variant=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("side", "squashed"), [(383, False), (384, True)])
def test_convnext_squashes_large_images_and_crops_smaller_ones(side: int, squashed: bool) -> None:
    """As its published models want it: whole from 384 pixels on, else the middle."""
    made = Processor.from_json(
        {
            "image_processor_type": "ConvNextImageProcessor",
            "size": {"shortest_edge": side},
            "crop_pct": 0.875,
        }
    )
    array = np.zeros((20, 60, 3), np.uint8)
    array[:, :15] = array[:, -15:] = 255
    found = made.fitted(array)
    assert found.shape == (side, side, 3)
    assert bool((found[:, 0] == 255).all()) is squashed and not found[:, side // 2].any()


@pytest.mark.parametrize(
    "value", [np.zeros((4, 6, 3)), np.zeros((4, 6), np.uint8), [[[1, 2, 3]]], Picture(PNG)]
)
def test_floats_are_made_of_prepared_pixels_alone(value: object) -> None:
    made = Processor.published("vit")
    with pytest.raises(TypeError, match=r"pixels must be an array of uint8 \(\.\.\., 3\); found"):
        made.floats(value)  # type: ignore[arg-type]


def test_old_files_of_detr_give_two_numbers_for_the_size() -> None:
    """``size`` was the shorter side and ``max_size`` the longer, 1333 where it was left out."""
    for given, longest in (({"max_size": 900}, 900), ({}, 1333)):
        made = Processor.from_json({"image_processor_type": "Detr" + KIND, "size": 600, **given})
        assert made.size == {"shortest_edge": 600, "longest_edge": longest}


def test_a_size_that_no_memory_holds_is_refused() -> None:
    size = {"height": 16_384, "width": 16_384}
    with pytest.raises(CheckpointError, match=r"'size' must stand for at most [\d,]+ pixels"):
        Processor.from_json({"image_processor_type": "ViT" + KIND, "size": size})
