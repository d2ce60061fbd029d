# SPDX-License-Identifier: Apache-2.0
"""DINOv2 ViT-S/14 with its real weights: the numbers of ONNX Runtime and transformers, and use.

`tools/real_dinov2.py` makes the folder; skips where nobody has.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze.images import Processor
from mtfreeze.inputs.image_encoder import patches
from mtfreeze.inputs.row_layout import RowLayout, starts
from support.real_weights import real_folder

pytestmark = [pytest.mark.parity, pytest.mark.long]

SIZES = [(224, 224), (112, 112), (140, 210), (518, 518)]


@pytest.fixture(scope="module")
def folder() -> Path:
    return real_folder("dinov2")


def real_pictures() -> list[NDArray[np.uint8]]:
    """Return the two photographs that come with scikit-learn, (427, 640, 3)."""
    datasets = pytest.importorskip("sklearn.datasets", reason="pictures are those of scikit-learn")
    return [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]


def prepared(folder: Path, height: int, width: int) -> list[NDArray[np.float32]]:
    processor = Processor.from_json(
        {
            **json.loads((folder / "preprocessor_config.json").read_text("utf-8")),
            "size": {"height": height, "width": width},
            "do_center_crop": False,
        }
    )
    return [processor.floats(processor.uint8(mtf.Picture(one))) for one in real_pictures()]


def last_state(model: mtf.MultiTaskModel, images: list[NDArray[np.float32]]) -> Any:
    """Return the last hidden state, (images, tokens, width)."""
    height, width = (side // 14 for side in images[0].shape[:2])
    grids = RowLayout.of(model._core).grids([height] * len(images), [width] * len(images))
    batch = {
        "inputs": {"pixels": np.concatenate([patches(one, 14) for one in images])},
        "offsets": {name: starts(rows) for name, (rows, _) in grids.items()},
        "widths": {name: wide for name, (_, wide) in grids.items() if wide is not None},
    }
    (hidden,) = model._core.forward(batch, ["hidden"])
    return hidden.reshape(len(images), height * width + 1, -1)


def root_mean_square(values: Any) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))


def close(ours: Any, theirs: Any) -> None:
    """Compare states, of which the largest is 10.

    From those in float64 ONNX Runtime is 1.5e-6 to 3e-6 away in the root mean square, PyTorch 2e-6
    to 3e-6 and 5e-5 at most: a patch of bare sky is a nearly constant row, whose layer norm divides
    by little.
    """
    assert root_mean_square(ours - theirs) < 1e-5
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-4)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: "x".join(map(str, size)))
def test_the_last_state_is_that_of_onnx_runtime(folder: Path, size: tuple[int, int]) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="the reference is an ONNX file")
    session = runtime.InferenceSession(
        folder / "reference.onnx", providers=["CPUExecutionProvider"]
    )
    images = prepared(folder, *size)
    pixels = np.stack([one.transpose(2, 0, 1) for one in images])
    (theirs,) = session.run(None, {"input_image": pixels})
    ours = last_state(mtf.MultiTaskModel.from_pretrained(folder), images)
    assert np.abs(theirs).max() > 5
    close(ours, theirs)


@pytest.mark.usefixtures("torch", "transformers")
def test_it_is_as_near_to_float64_as_pytorch_is(folder: Path) -> None:
    import torch
    import transformers

    network = transformers.AutoModel.from_pretrained(folder).eval()
    images = prepared(folder, 140, 210)
    pixels = torch.from_numpy(np.stack([one.transpose(2, 0, 1) for one in images]))
    with torch.no_grad():
        theirs = network(pixel_values=pixels).last_hidden_state.numpy()
        exact = network.double()(pixel_values=pixels.double()).last_hidden_state.numpy()
    ours = last_state(mtf.MultiTaskModel.from_pretrained(folder), images)
    close(ours, theirs)
    assert root_mean_square(ours - exact) < 1.5 * root_mean_square(theirs - exact)


def test_images_are_prepared_and_pooled_as_transformers_does(folder: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(folder, pooling="cls+mean")
    images = [
        model.encoder.processor.floats(model.encoder.processor.uint8(mtf.Picture(one)))
        for one in real_pictures()
    ]
    assert images[0].shape == (224, 224, 3)
    states = last_state(model, images)
    pooled = np.concatenate([states[:, 0], states[:, 1:].mean(axis=1)], axis=1)
    np.testing.assert_allclose(model.encode(real_pictures()), pooled, rtol=0, atol=2e-5)
