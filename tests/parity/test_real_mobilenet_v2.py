# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 with torchvision's real weights: the logits of transformers, and what is in pictures.

`tools/real_mobilenet_v2.py` makes the folder; skips where nobody has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from support.real_weights import real_folder

pytestmark = [pytest.mark.parity, pytest.mark.long]

PALACE = 698
"""What ImageNet has for the Summer Palace of china.jpg."""


def test_logits_of_photographs(torch: Any, transformers: Any) -> None:
    datasets = pytest.importorskip("sklearn.datasets", reason="pictures are those of scikit-learn")
    folder = real_folder("mobilenet_v2")
    model = mtf.MultiTaskModel.from_pretrained(folder)
    model.add_head("imagenet", from_pretrained=folder)
    pictures = [datasets.load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    found = model.forward(pictures, ["imagenet"])["imagenet"]
    config = transformers.MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, num_labels=1000)
    reference = transformers.MobileNetV2ForImageClassification(config).eval()
    plain = FAMILIES["mobilenet_v2"].plain_name
    tensors = load_file(folder / "model.safetensors")
    named = {plain(key): torch.from_numpy(values) for key, values in tensors.items()}
    heads = ("classifier.weight", "classifier.bias")
    reference.load_state_dict(
        {key if key in heads else f"mobilenet_v2.{key}": values for key, values in named.items()}
    )
    processor = model._encoder.processor
    pixels = np.stack([processor.floats(processor.uint8(mtf.Picture(one))) for one in pictures])
    with torch.no_grad():
        x = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)))
        wanted = reference(x).logits.numpy()
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()
    assert int(found[0].argmax()) == PALACE
    share = np.exp(found[0] - found[0].max())
    assert 0.5 < share[PALACE] / share.sum() < 0.95
