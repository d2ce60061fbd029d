# SPDX-License-Identifier: Apache-2.0
"""Calls that are rare: no heads to ask, outputs of several row spaces, options of other models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from safetensors.numpy import save_file

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.model import adapter_methods, head_methods
from support.bits import bits
from support.texts import SENTENCES
from support.vision import seed


def write_resnet(folder: Path) -> Path:
    """Write a ResNet of two stages whose images may have any size."""
    config = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 12],
        "depths": [1, 1],
        "layer_type": "basic",
    }
    core = _core.Model(core_config(FAMILIES["resnet"], config, "config.json"))
    seed(core)
    tensors = {
        info.key.removeprefix("backbone."): np.array(core.view(index))
        for index, info in enumerate(core.params())
    }
    for key, values in tensors.items():
        if key.endswith("running_var"):
            tensors[key] = np.abs(values) + 0.5
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config))
    processor = {"image_processor_type": "ConvNextImageProcessor", "do_resize": False}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_no_heads_asked_rows_are_checked_and_nothing_is_answered(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    assert two_head_model.predict_all(SENTENCES, heads=[]) == {}
    with pytest.raises(TypeError, match="text 1: expected"):
        two_head_model.predict_all(["good", 3], heads=[])  # type: ignore[list-item]


def test_outputs_of_several_row_spaces_say_where_each_begins(tmp_path: Path) -> None:
    """Stages of a ResNet have a quarter of the rows of the one below: of two images, two counts."""
    model = mtf.MultiTaskModel.from_pretrained(write_resnet(tmp_path / "resnet"))
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (*size, 3)).astype(np.uint8) for size in ((16, 24), (9, 40))]
    found = model.forward(images, ["pooled"], hidden_states=True)
    spaces = {info.name: info.space for info in model._core.outputs()}
    names = [name for name in found if name.startswith("hidden_states.")]
    assert len({spaces[name] for name in names}) > 1 and "offsets" not in found
    for name in names:
        offsets = found[f"offsets.{spaces[name]}"]
        assert offsets[0] == 0 and offsets[-1] == len(found[name]), name
        alone = [model.forward([one], [name])[name] for one in images]
        np.testing.assert_array_equal(np.diff(offsets), [len(one) for one in alone])
        np.testing.assert_array_equal(found[name], np.concatenate(alone))


def test_an_option_of_images_is_refused_for_texts(tiny_folder: Path) -> None:
    with pytest.raises(mtf.ConfigError, match=r"is of models of images; found True .*'bert', whic"):
        mtf.MultiTaskModel.from_pretrained(tiny_folder, interpolate_positions=True)


@pytest.mark.parametrize(
    ("module", "add"),
    [
        (head_methods, lambda model: model.add_head("late", mtf.Regression())),
        (adapter_methods, lambda model: model.add_lora(rank=2)),
    ],
)
def test_what_fails_half_way_is_taken_back(
    two_head_model: mtf.MultiTaskModel,
    module: ModuleType,
    add: Callable[[mtf.MultiTaskModel], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Memory that ends when the core has the new part already: it goes, and can be added again."""

    def publish(*_: object) -> None:
        raise MemoryError("no room for the names")

    model = two_head_model
    before = bits(model.parameters()), [unit.path for unit in model._core.units()], repr(model)
    with monkeypatch.context() as patch:
        patch.setattr(module, "publish", publish)
        with pytest.raises(MemoryError, match="no room for the names"):
            add(model)
    after = bits(model.parameters()), [unit.path for unit in model._core.units()], repr(model)
    assert after == before
    add(model)
    assert len(model._core.units()) == len(before[1]) + 1
