# SPDX-License-Identifier: Apache-2.0
"""MobileNetV2 on the core: what is refused, units, widths, bits of an image, statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import ConfigError
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.inputs.row_layout import RowLayout
from mtfreeze.runtime import threads
from support.vision import SMALL_MOBILE, grid_batch, images, seed

CONFIG: dict[str, Any] = {"model_type": "mobilenet_v2", **SMALL_MOBILE, "expand_ratio": 2}
SIZES = [(33, 20), (16, 16), (9, 47), (1, 1)]
HEAD = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
LABELS = np.array([1, 0, 2, 1], np.int32)
STATISTICS = ("running_mean", "running_var")


def made(**changes: Any) -> _core.Model:
    """Return a seeded model with a head, statistics away from 0 and 1."""
    threads.initialize()
    core = _core.Model(core_config(FAMILIES["mobilenet_v2"], CONFIG | changes, "config.json"))
    seed(core, 3, 0.5)
    random = np.random.default_rng(4)
    for position, info in enumerate(core.params()):
        if info.key.endswith("running_var"):
            core.set_param(position, random.uniform(0.5, 1.5, info.shape).astype(np.float32))
    core.add_head("animal", HEAD, 1)
    return core


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"output_stride": 16}, "'output_stride' changes what the model computes"),
        ({"num_channels": 1}, "'num_channels'"),
        ({"hidden_act": "relu"}, "'hidden_act'"),
        ({"depth_multiplier": 0}, "depth_multiplier"),
        ({"depth_divisible_by": 0}, "depth_divisible_by"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps"),
        ({"squeeze": 4}, "'squeeze'"),
    ],
)
def test_what_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        made(**changes)


def test_units_and_widths_of_the_published_model() -> None:
    threads.initialize()
    core = _core.Model(core_config(FAMILIES["mobilenet_v2"], {"model_type": "mobilenet_v2"}, ""))
    units = [unit.path for unit in core.units()]
    blocks = [f"backbone.blocks[{i}]" for i in range(16)]
    assert units == ["backbone.stem", *blocks, "backbone.final_convolution"]
    shapes = {info.key.removeprefix("backbone."): info.shape for info in core.params()}
    assert shapes["layer.0.expand_1x1.convolution.weight"] == (96, 16, 1, 1)
    assert shapes["layer.15.conv_3x3.convolution.weight"] == (960, 1, 3, 3)
    assert shapes["conv_1x1.convolution.weight"] == (1280, 320, 1, 1)
    n_values = sum(int(np.prod(s)) for k, s in shapes.items() if not k.endswith(STATISTICS))
    assert n_values == 2_223_872  # 3,504,872 of the paper's 1.0 without the 1,281,000 of its head
    assert RowLayout.of(core).least_side == 1


@pytest.mark.parametrize("same", [True, False])
def test_an_image_has_the_same_bits_in_every_batch(same: bool) -> None:
    core, pictures = made(tf_padding=same), images(SIZES)
    names = ["hidden_states.3", "layers", "pooled", "animal"]
    batch = grid_batch(core, pictures)
    whole = core.forward(batch, names)
    spaces = {info.name: info.space for info in core.outputs()}
    for number, picture in enumerate(pictures):
        alone = core.forward(grid_batch(core, [picture]), names)
        for name, one, every in zip(names, alone, whole, strict=True):
            begin, end = batch["offsets"].get(spaces[name], range(99))[number : number + 2]
            np.testing.assert_array_equal(one, every[begin:end], name)


def test_statistics_never_move_and_all_else_does() -> None:
    core, batch = made(), {}
    batch = grid_batch(core, images(SIZES))
    infos = core.params()
    before = [core.view(index).copy() for index in range(len(infos))]
    rates = np.full(len(infos), 1e-2)
    core.train_gradients(batch, [("animal", LABELS, 1.0)], token_budget=4096)
    core.train_apply(rates, rates)
    for index, info in enumerate(infos):
        still = info.key.endswith(STATISTICS)
        assert np.array_equal(core.view(index), before[index]) == still, info.key


@pytest.mark.parametrize("name", ["hidden_states.0", "hidden_states.6", "layers", "pooled"])
def test_what_is_stored_stands_for_what_lies_below(name: str) -> None:
    core = made()
    batch = grid_batch(core, images(SIZES))
    states, logits = core.forward(batch, [name, "animal"])
    given = {**batch, "inputs": {}, "features": {name: states}}
    np.testing.assert_array_equal(core.forward(given, ["animal"])[0], logits)


def test_gradients_depend_on_threads_not_at_all() -> None:
    core = made()
    batch = grid_batch(core, images(SIZES))

    def gradients() -> list[Any]:
        core.train_gradients(batch, [("animal", LABELS, 1.0)], token_budget=4096)
        return [core.gradient(index) for index in range(len(core.params()))]

    before, whole = threads.get_threads(), gradients()
    try:
        threads.set_threads(3)
        pairs = list(zip(gradients(), whole, strict=True))
    finally:
        threads.set_threads(before)
    assert all(np.array_equal(one, other) for one, other in pairs if other is not None)


@pytest.mark.parametrize("name", ["features.1.conv.9.0.weight", "features.20.conv.0.0.weight"])
def test_what_is_named_almost_as_torchvision_does_keeps_its_name(name: str) -> None:
    assert FAMILIES["mobilenet_v2"].plain_name(name) == name
