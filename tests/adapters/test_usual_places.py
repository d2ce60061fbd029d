# SPDX-License-Identifier: Apache-2.0
"""Where adapters stand if nobody says: in every family, at queries and values of every layer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES
from mtfreeze.families.adapter_targets import IA3_TARGETS, LORA_TARGETS
from support.detection import detector, write_detr_folder
from support.families import CASES as OF_TEXTS
from support.families import load_family, write_family
from support.vision import CASES as OF_IMAGES
from support.vision_folders import coloured, vision_model, write_resnet_folder, write_vision_folder

CONVOLUTIONS = {"resnet", "vgg", "mobilenet_v2"}
"""Families whose blocks have no linear layer."""

NAMES = [*OF_TEXTS, *(f"{name}, images" for name in OF_IMAGES), "detr"]


def model_of(name: str, folder: Path) -> mtf.MultiTaskModel:
    if name in OF_TEXTS:
        return load_family(write_family(folder, name))
    if name == "detr":
        return detector(write_detr_folder(folder))
    return vision_model(write_vision_folder(folder, name.removesuffix(", images")))


def test_every_family_with_linear_layers_has_them() -> None:
    assert set(LORA_TARGETS) == set(IA3_TARGETS) == set(FAMILIES) - CONVOLUTIONS


@pytest.mark.parametrize("name", NAMES)
def test_they_stand_in_every_layer(name: str, tmp_path: Path) -> None:
    model = model_of(name, tmp_path / "model")
    lora, ia3 = model.copy().add_lora(rank=2).adapter, model.add_ia3().adapter
    assert lora is not None and ia3 is not None
    for adapter in (lora, ia3):
        stacks: dict[str, dict[str, set[str]]] = {}
        for one in adapter.sites:
            stack, layer, part = re.split(r"\.?(\d+)\.", one.path, maxsplit=1)
            stacks.setdefault(stack, {}).setdefault(layer, set()).add(part)
        for layers in stacks.values():
            parts = list(layers.values())
            assert len(parts) > 1 and all(one == parts[0] for one in parts)
    ends = {one.path.rpartition(".")[2].lower() for one in lora.sites}
    assert all("q" in one or "v" in one or one == "c_attn" for one in ends)
    # What leaves the feed-forward part is scaled before it is read, keys and values after.
    assert {one.input for one in ia3.sites} == {True, False}


def test_an_adapter_of_images_learns_beside_a_frozen_backbone(tmp_path: Path) -> None:
    model = vision_model(write_vision_folder(tmp_path / "vit", "dinov2")).freeze("backbone")
    model.add_lora(rank=2)
    before = {key: values.copy() for key, values in model.parameters().items()}
    task = {"colour": mtf.Task(train=coloured(6))}
    run = mtf.fit(model, task, epochs=3, batch_size=6, start="cold", progress=False)
    assert run.verify_frozen()
    moved = {k for k, values in model.parameters().items() if not np.array_equal(values, before[k])}
    assert any(key.startswith("lora.") for key in moved)
    assert not any(key.startswith("backbone.") for key in moved)


def test_convolutions_have_no_place_for_one(tmp_path: Path) -> None:
    model = vision_model(write_resnet_folder(tmp_path / "resnet"))
    for add in (model.add_lora, model.add_ia3):
        with pytest.raises(mtf.ConfigError, match=r"linear layers; found none .*'resnet'"):
            add()


def test_numbers_of_a_detr_are_those_of_encoder_and_decoder(tmp_path: Path) -> None:
    """Not those of its network's stages, of which this one has three and a usual one four."""
    places = {"encoder_layers": 2, "decoder_layers": 5}
    model = mtf.MultiTaskModel.from_pretrained(write_detr_folder(tmp_path / "detr", **places))
    model.freeze("all")
    for number, stacks in ((1, {"encoder", "decoder"}), (4, {"decoder"})):
        adapted = model.copy().add_lora(rank=1, layers=[number])
        assert adapted.adapter is not None
        paths = [site.path.split(".") for site in adapted.adapter.sites]
        assert {(path[0], path[2]) for path in paths} == {(stack, str(number)) for stack in stacks}
    said = "from 0 to 4; found 5; there are 2 in 'encoder.layers', 5 in 'decoder.layers'"
    with pytest.raises(mtf.ConfigError, match=said):
        model.add_lora(layers=[5])
    assert len(model.add_lora(targets=r"decoder\..*q_proj", layers=[0]).adapter.sites) == 2
