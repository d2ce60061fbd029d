# SPDX-License-Identifier: Apache-2.0
"""Folders that timm itself writes: its image preparation, pooled vectors and logits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_reference import difference

import mtfreeze as mtf

pytestmark = pytest.mark.parity

CLOSE = 1e-5
HEADLESS = ("deit3", "deit_tiny_distilled")
"""Whose classifiers are not that of transformers."""


@pytest.fixture(scope="module")
def timm(torchvision: Any) -> Any:
    """The module timm; skips without it."""
    return pytest.importorskip(
        "timm", reason="compares with timm (make .venv/.stamp-parity-vision)"
    )


def moved(torch: Any, model: Any) -> Any:
    """Return a model in eval none of whose tensors is as it was made."""
    with torch.no_grad():
        for name, values in [*model.named_buffers(), *model.named_parameters()]:
            if name.endswith("running_var"):
                values.uniform_(0.7, 1.4)
            elif values.is_floating_point() and values.ndim < 2:
                values.add_(torch.randn_like(values) * 0.05)
            elif name.endswith(("token", "pos_embed")) or name.startswith("head"):
                values.normal_(0, 0.05)
    return model.eval()


def pictures() -> list[Any]:
    """Return two images, wide and high."""
    random = np.random.default_rng(5)
    return [random.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((230, 341), (301, 250))]


def prepared(prepare: Any, picture: Any) -> Any:
    """Return what timm's steps make of a picture, but that the middle begins at half rounded down.

    torchvision rounds half to even: where an odd number of pixels goes, that may be the next one.
    """
    for step in prepare.transforms:
        if type(step).__name__ == "CenterCrop":
            height, width = step.size
            left, top = (picture.width - width) // 2, (picture.height - height) // 2
            picture = picture.crop((left, top, left + width, top + height))
        else:
            picture = step(picture)
    return picture


QUICK = ["resnet18", "mobilenetv2_050", "vit_tiny_patch16_224", "deit_tiny_distilled_patch16_224"]
LONG = ["resnet50", "deit3_small_patch16_224", "vgg11_bn"]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.long) for n in LONG)])
def test_a_folder_of_timm(torch: Any, timm: Any, tmp_path: Path, name: str) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    from timm.data import create_transform, resolve_data_config
    from timm.models import save_for_hf

    torch.manual_seed(2)
    made = moved(torch, timm.create_model(name, pretrained=False, num_classes=7))
    save_for_hf(made, tmp_path / "timm", model_config={}, safe_serialization=True)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "timm")
    prepare = create_transform(**resolve_data_config(made.pretrained_cfg, model=made))
    pixels = torch.stack([prepared(prepare, image.fromarray(one)) for one in pictures()])
    processor = model._encoder.processor
    floats = [processor.floats(processor.uint8(mtf.Picture(one))) for one in pictures()]
    np.testing.assert_allclose(
        np.stack(floats).transpose(0, 3, 1, 2), pixels.numpy(), rtol=0, atol=1e-6
    )
    with torch.no_grad():
        rows = made.forward_features(pixels)
        pooled, logits = made.forward_head(rows, pre_logits=True), made(pixels)
    if "distilled" in name:
        pooled = rows[:, 0]
    assert difference(model.encode(pictures()), pooled.numpy()) < CLOSE
    if not name.startswith(HEADLESS):
        model.add_head("kind", from_pretrained=tmp_path / "timm")
        assert difference(model.forward(pictures(), ["kind"])["kind"], logits.numpy()) < CLOSE
