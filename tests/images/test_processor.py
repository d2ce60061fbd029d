# SPDX-License-Identifier: Apache-2.0
"""Processors: sizes, crops, floats and the file; `parity` compares the pixels with transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mtfreeze import ConfigError, DataError, Picture
from mtfreeze.images import Processor
from mtfreeze.images.resizing import center_cropped, target_size
from support.made_up_images import pixels

pytest.importorskip("PIL", reason="Pillow is not installed")


def processor(kind: str = "ViT", **settings: object) -> Processor:
    return Processor.from_json({"image_processor_type": f"{kind}ImageProcessor", **settings})


@pytest.mark.parametrize(
    ("size", "rule", "expected"),
    [
        ((480, 640), {"shortest_edge": 256}, (256, 341)),
        ((640, 480), {"shortest_edge": 256}, (341, 256)),
        ((480, 640), {"shortest_edge": 800, "longest_edge": 1333}, (800, 1066)),
        ((300, 1000), {"shortest_edge": 800, "longest_edge": 1333}, (400, 1333)),
        ((1000, 300), {"shortest_edge": 800, "longest_edge": 1333}, (1333, 400)),
        ((800, 900), {"shortest_edge": 800, "longest_edge": 1333}, (800, 900)),
        ((100, 200), {"max_height": 50, "max_width": 50}, (25, 50)),
        ((3, 9), {"height": 5, "width": 4}, (5, 4)),
    ],
)
def test_sizes(size: tuple[int, int], rule: dict[str, int], expected: tuple[int, int]) -> None:
    assert target_size(size, rule) == expected


@pytest.mark.parametrize("shape", [(6, 6), (7, 4), (3, 9), (2, 2), (5, 5)])
def test_the_middle_is_cut_out(shape: tuple[int, int]) -> None:
    """Of each axis: an offset of floor((h - 5) / 2), or zeros, the larger half of them first."""
    array = pixels(*shape, seed=3) | 1
    found = center_cropped(array, (5, 5))
    assert found.shape == (5, 5, 3)
    top, left = ((5 - n) // 2 + (5 - n) % 2 if n < 5 else -((n - 5) // 2) for n in shape)
    for y in range(5):
        for x in range(5):
            inside = 0 <= y - top < shape[0] and 0 <= x - left < shape[1]
            expected = array[y - top, x - left] if inside else np.zeros(3)
            assert (found[y, x] == expected).all(), (y, x)


def test_floats_are_made_in_two_steps() -> None:
    made = processor(image_mean=[0.1, 0.2, 0.3], image_std=[0.4, 0.5, 0.6])
    array = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    scaled = (array.astype(np.float64) * (1 / 255)).astype(np.float32)
    expected = (scaled - np.float32([0.1, 0.2, 0.3])) / np.float32([0.4, 0.5, 0.6])
    found = made.floats(array)
    assert found.dtype == np.float32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(made.floats(array.reshape(-1, 3)), expected.reshape(-1, 3))


def test_what_is_kept_is_what_pillow_resizes_to() -> None:
    from PIL import Image

    array = pixels(40, 60)
    found = processor(size=24, resample=3).uint8(Picture(array))
    expected = np.asarray(Image.fromarray(array).resize((24, 24), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


@pytest.mark.parametrize("kind", ["ViT", "DeiT", "Bit", "ConvNext", "Detr"])
@pytest.mark.parametrize("name", ["{}ImageProcessor", "{}ImageProcessorFast", "{}FeatureExtractor"])
def test_every_name_of_a_kind_is_that_kind(kind: str, name: str) -> None:
    key = "feature_extractor_type" if "Extractor" in name else "image_processor_type"
    made = Processor.from_json({key: name.format(kind)})
    assert made.kind == kind and made == processor(kind)
    assert Processor.from_json(made.to_json()) == made


def test_an_old_file_without_a_type_takes_that_of_the_model() -> None:
    old = {"do_normalize": True, "size": 224, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    assert Processor.from_json(json.dumps(old).encode(), model_type="vit") == processor("ViT")
    assert Processor.from_json({}, model_type="dinov2").kind == "Bit"


@pytest.mark.parametrize(
    ("model", "side", "expected"),
    [("vit", 224, 224), ("deit", 224, 224), ("dinov2", 224, 224), ("resnet", 224, 224)],
)
def test_published_settings(model: str, side: int, expected: int) -> None:
    assert Processor.published(model).uint8(pixels(50, 80)).shape[:2] == (expected, expected)
    half = Processor.published(model, side // 2)
    assert half.uint8(pixels(50, 80)).shape[:2] == (expected // 2, expected // 2)
    if half.do_center_crop:
        assert max(half.size.values()) == 128
    with pytest.raises(ConfigError, match="image_size"):
        Processor.published("detr", 224)


def test_an_image_like_a_thread_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(DataError, match=r"1 x 30000, which would be resized to 4,000 x"):
        processor("Bit", size=4000).uint8(np.zeros((1, 30_000, 3), np.uint8))
    with pytest.raises(DataError, match="resized to 0 x 60"):
        shape = (1, 30_000, 3)
        processor("Detr", size={"max_height": 60, "max_width": 60}).uint8(np.zeros(shape, np.uint8))
