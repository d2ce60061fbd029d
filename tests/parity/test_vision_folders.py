# SPDX-License-Identifier: Apache-2.0
"""Folders of vision transformers, from transformers and back to it, with their heads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from mtfreeze.images import Processor
from support.vision import CASES, image_batch, images

pytestmark = [pytest.mark.parity, pytest.mark.usefixtures("torch", "transformers")]

SIZES = [(20, 20)] * 3
LABELS = ["bird", "cat", "dog"]
MODEL_TYPES = ["vit", "deit", "dinov2", "dinov2_with_registers"]


def save(folder: Path, name: str, end: str = "ForImageClassification") -> Any:
    """Save a seeded random checkpoint with transformers; return its network."""
    import torch
    import transformers

    torch.manual_seed(3)
    config = {**CASES[name], "id2label": dict(enumerate(LABELS)), "initializer_range": 0.1}
    family = FAMILIES[config.pop("model_type")]
    made = getattr(transformers, family.class_stem + "Config")(**config)
    network = getattr(transformers, family.class_stem + end)(made).eval()
    for parameter in network.parameters():  # biases, norms and tokens are not left at 0 and 1
        parameter.data += 0.05 * torch.randn_like(parameter)
    network.save_pretrained(folder)
    file = folder / "preprocessor_config.json"
    file.write_bytes(Processor.published(family.model_type).to_json())
    return network


def logits_of(network: Any, pictures: list[Any]) -> np.ndarray[Any, Any]:
    import torch

    pixels = torch.from_numpy(np.stack([one.transpose(2, 0, 1) for one in pictures]))
    with torch.no_grad():
        return np.asarray(network(pixel_values=pixels).logits.numpy())


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_checkpoints_load_and_are_written_again(name: str, tmp_path: Path) -> None:
    import transformers
    from safetensors.numpy import load_file

    network = save(tmp_path / "theirs", name)
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs")
    model.add_head("animal", from_pretrained=tmp_path / "theirs")
    assert list(model.heads["animal"].labels) == LABELS
    pictures = images(SIZES)
    theirs = logits_of(network, pictures)
    (ours,) = model._core.forward(image_batch(model._core, pictures), ["animal"])
    assert np.abs(theirs).max() > 0.05
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5)

    model.save_pretrained(tmp_path / "ours", head="animal")
    auto = transformers.AutoModelForImageClassification
    again, info = auto.from_pretrained(tmp_path / "ours", output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "mismatched_keys", "unexpected_keys"))
    np.testing.assert_array_equal(logits_of(again.eval(), pictures), theirs)
    old, new = (load_file(tmp_path / one / "model.safetensors") for one in ("theirs", "ours"))
    assert old.keys() == new.keys()  # the unused mask token among them
    assert all(np.array_equal(old[key], new[key]) for key in old)


@pytest.mark.parametrize("name", MODEL_TYPES)
def test_backbones_go_there_and_back(name: str, tmp_path: Path) -> None:
    import torch
    import transformers

    save(tmp_path / "theirs", name, "Model")
    pooling = "pooler" if FAMILIES[name].pooler else "cls"
    model = mtf.MultiTaskModel.from_pretrained(tmp_path / "theirs", pooling=pooling)
    model.save_pretrained(tmp_path / "ours")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "ours")
    pictures = images(SIZES)
    batch = image_batch(model._core, pictures)
    for one, other in zip(
        model._core.forward(batch, ["hidden", "pooled"]),
        again._core.forward(batch, ["hidden", "pooled"]),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    network = transformers.AutoModel.from_pretrained(tmp_path / "ours").eval()
    pixels = torch.from_numpy(np.stack([one.transpose(2, 0, 1) for one in pictures]))
    with torch.no_grad():
        hidden = network(pixel_values=pixels).last_hidden_state.numpy()
    (ours,) = model._core.forward(batch, ["hidden"])
    np.testing.assert_allclose(ours.reshape(hidden.shape), hidden, rtol=0, atol=1e-5)


def test_the_mean_of_two_heads_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "deit", "ForImageClassificationWithTeacher")
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    with pytest.raises(mtf.ConfigError, match="mean of two, one of them over the distillation"):
        model.add_head("animal", from_pretrained=tmp_path)
    assert not model.heads


def test_a_head_of_words_is_refused(tmp_path: Path) -> None:
    save(tmp_path, "vit", "Model")
    model = mtf.MultiTaskModel.from_pretrained(tmp_path)
    with pytest.raises(mtf.ConfigError, match="has no words to guess"):
        model.add_head("words", mtf.MaskedLM())
    assert not model.heads
