# SPDX-License-Identifier: Apache-2.0
"""Pixels against transformers: with Pillow to the last bit, with torchvision nearly."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtfreeze.images import Picture, Processor

SIZES = [(1, 1), (7, 5), (5, 7), (31, 32), (64, 64), (97, 41), (48, 130), (224, 224), (301, 257)]
"""Heights and widths: smaller and larger than the targets, odd, square, long either way."""

CASES: dict[str, list[dict[str, object]]] = {
    "ViT": [
        {},
        {"size": 32, "resample": 3},
        {"size": [40, 24], "do_normalize": False},
        {"size": {"height": 20, "width": 50}, "do_rescale": False},
        {"size": {"max_height": 60, "max_width": 33}, "resample": 1},
        {"do_resize": False, "image_mean": [0.1, 0.2, 0.3], "image_std": 0.25},
        {"size": 16, "do_rescale": False, "do_normalize": False, "resample": 0},
        {"size": 17, "rescale_factor": 0.00784313725490196, "do_center_crop": True, "crop_size": 9},
    ],
    "DeiT": [{}, {"size": 40, "crop_size": 33}, {"size": 20, "crop_size": [31, 24]}],
    "Bit": [
        {},
        {"size": {"shortest_edge": 36}, "crop_size": 32, "image_std": [0.229, 0.224, 0.225]},
        {"size": 30, "crop_size": {"height": 41, "width": 20}},
        {"size": {"shortest_edge": 30, "longest_edge": 50}, "do_center_crop": False},
        {"do_resize": False, "crop_size": 64},
    ],
    "ConvNext": [
        {},
        {"size": {"shortest_edge": 32}, "crop_pct": 0.875, "resample": 2},
        {"size": 33, "crop_pct": 0.95},
        {"size": 48, "do_center_crop": True, "crop_size": 40},
    ],
    "MobileNetV2": [
        {},
        {"size": {"shortest_edge": 36}, "crop_size": 32, "do_reduce_labels": False},
    ],
    "Detr": [
        {"size": {"shortest_edge": 40, "longest_edge": 66}},
        {"size": 40, "max_size": 90},
        {"size": {"height": 30, "width": 44}},
        {"size": {"max_height": 60, "max_width": 33}, "do_pad": False},
    ],
}


@pytest.mark.parity
@pytest.mark.parametrize("kind", CASES)
def test_pixels_equal_those_of_transformers(kind: str, transformers: Any) -> None:
    """The same floats for pictures of many sizes, and again from what `to_json` writes."""
    theirs_of = getattr(transformers, f"{kind}ImageProcessorPil")
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    random = np.random.default_rng(len(kind))
    for settings in CASES[kind]:
        config = {"image_processor_type": f"{kind}ImageProcessor", **settings}
        ours = Processor.from_json(json.dumps(config).encode())
        theirs = theirs_of.from_dict(config)
        again = theirs_of.from_dict(json.loads(ours.to_json()))
        for height, width in SIZES:
            if settings.get("size") is None and height * width > 10_000:
                continue  # the defaults resize to hundreds of pixels: a few pictures say it
            pixels = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
            one = image.fromarray(pixels)
            expected = theirs(one, return_tensors="np")["pixel_values"][0]
            found = ours.floats(ours.uint8(Picture(pixels))).transpose(2, 0, 1)
            what = f"{kind} {settings} of {height} x {width}"
            assert found.dtype == np.float32 and found.shape == expected.shape, what
            np.testing.assert_array_equal(found, expected, err_msg=what)
            np.testing.assert_array_equal(
                found,
                again(one, return_tensors="np")["pixel_values"][0],
                err_msg=what,
            )


@pytest.mark.parity
@pytest.mark.parametrize("name", ["china.jpg", "flower.jpg"])
def test_photographs_from_the_file_to_the_floats(name: str, transformers: Any) -> None:
    """Decoded, resized and normalised as transformers does from a path, by its defaults."""
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    path = Path(datasets.__file__).parent / "images" / name
    for kind in CASES:
        ours = Processor.from_json({"image_processor_type": f"{kind}ImageProcessor"})
        theirs = getattr(transformers, f"{kind}ImageProcessorPil")()
        loaded = transformers.image_utils.load_image(str(path))
        expected = theirs(loaded, return_tensors="np")["pixel_values"][0]
        found = ours.floats(ours.uint8(Picture(path))).transpose(2, 0, 1)
        np.testing.assert_array_equal(found, expected, err_msg=f"{kind} of {name}")


@pytest.mark.parity
@pytest.mark.parametrize(("mode", "resample", "steps"), [("bilinear", 2, 1), ("bicubic", 3, 1)])
def test_torch_resizes_alike_but_for_a_step(
    mode: str, resample: int, steps: int, torch: Any
) -> None:
    """What processors with torchvision call: 8-bit values differ from Pillow's by one at most."""
    pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    array = np.random.default_rng(1).integers(0, 256, (301, 257, 3), dtype=np.uint8)
    ours = Processor.from_json(
        {"image_processor_type": "ViTImageProcessor", "size": 96, "resample": resample}
    )
    theirs = torch.nn.functional.interpolate(
        torch.from_numpy(array).permute(2, 0, 1)[None], (96, 96), mode=mode, antialias=True
    )
    differences = theirs[0].permute(1, 2, 0).numpy().astype(int) - ours.uint8(array)
    assert np.abs(differences).max() <= steps


def apart_in_steps(theirs: Any, ours: Processor, pixels: Any, one: Any) -> Any:
    """Return how far the floats of a picture are apart, in steps of 8 bits, (3, H, W)."""
    wanted = theirs(one, return_tensors="np")["pixel_values"][0]
    found = ours.floats(ours.uint8(Picture(pixels))).transpose(2, 0, 1)
    assert found.shape == wanted.shape
    scale = theirs.rescale_factor if theirs.do_rescale else 1.0
    std = np.array(theirs.image_std if theirs.do_normalize else 1.0) * np.ones(3)
    return np.abs(found - wanted) * (std / scale)[:, None, None]


@pytest.mark.parity
@pytest.mark.parametrize("kind", CASES)
def test_within_a_step_of_the_processors_with_torchvision(
    kind: str, torchvision: Any, transformers: Any
) -> None:
    """Photographs and noise; of bicubic ones a few values in a million are two steps apart."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    datasets = pytest.importorskip("sklearn.datasets", reason="scikit-learn is not installed")
    noise = np.random.default_rng(3).integers(0, 256, (97, 141, 3), dtype=np.uint8)
    pictures = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    n_values = n_far = 0
    for settings in [one for one in CASES[kind] if not surrounded(one)]:
        config = {"image_processor_type": f"{kind}ImageProcessor", **settings}
        ours = Processor.from_json(json.dumps(config).encode())
        theirs = getattr(transformers, f"{kind}ImageProcessor").from_dict(config)
        assert any(one.__name__ == "TorchvisionBackend" for one in type(theirs).__mro__)
        bicubic = int(theirs.resample) == 3
        for pixels in [*pictures, noise]:
            apart = apart_in_steps(theirs, ours, pixels, image.fromarray(pixels))
            what = f"{kind} {settings} of {pixels.shape}"
            assert apart.max() <= (2.001 if bicubic else 1.001), what
            n_values, n_far = n_values + apart.size, n_far + int((apart > 1.001).sum())
    assert n_far <= 2e-5 * n_values


def surrounded(settings: dict[str, object]) -> bool:
    """Say whether a crop is larger than what it is cut from."""
    return settings.get("crop_size") in ([31, 24], {"height": 41, "width": 20})


@pytest.mark.parity
@pytest.mark.parametrize("size", [20, 21])
def test_odd_borders_are_those_of_pillow(size: int, torchvision: Any, transformers: Any) -> None:
    """The one with torchvision lays the image a pixel higher and further left there."""
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    pixels = np.random.default_rng(3).integers(0, 256, (97, 97, 3), dtype=np.uint8)
    one = image.fromarray(pixels)
    config = {"image_processor_type": "DeiTImageProcessor", "size": size, "crop_size": 24}
    ours = Processor.from_json(json.dumps(config).encode())
    with_pillow = transformers.DeiTImageProcessorPil.from_dict(config)
    assert apart_in_steps(with_pillow, ours, pixels, one).max() == 0
    theirs = transformers.DeiTImageProcessor.from_dict(config)
    if (24 - size) % 2 == 0:
        assert apart_in_steps(theirs, ours, pixels, one).max() <= 2.001
        return
    wanted = theirs(one, return_tensors="np")["pixel_values"][0]
    found = ours.floats(ours.uint8(Picture(pixels))).transpose(2, 0, 1)
    scale, std = 1 / 255, np.array(theirs.image_std)[:, None, None]
    moved = np.abs(np.roll(wanted, (1, 1), (1, 2)) - found) * std / scale
    assert moved.max() <= 2.001 < apart_in_steps(theirs, ours, pixels, one).max()
