# SPDX-License-Identifier: Apache-2.0
"""DETR on the core: bits alone and in a batch, what a frozen prefix hands on, prices, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import ConfigError
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from support.detr import CONFIG, detr_core
from support.vision import grid_batch, images

SIZES = [(64, 96), (70, 41), (1, 9)]
LAST = [f"queries.{k}" for k in range(3)]


def frozen_in(core: _core.Model, *parts: str) -> tuple[Any, Any]:
    """Return masks over parameters and units: frozen is what these paths begin."""
    units = [any(unit.path.startswith(part) for part in parts) for unit in core.units()]
    params = [units[info.unit] or info.is_buffer for info in core.params()]
    return np.array(params, np.uint8), np.array(units, np.uint8)


def test_an_image_has_the_same_bits_in_every_batch() -> None:
    core, pictures = detr_core(), images(SIZES)
    infos = {info.name: info for info in core.outputs()}
    whole, batch = core.forward(grid_batch(core, pictures), list(infos)), grid_batch(core, pictures)
    for number, picture in enumerate(pictures):
        alone = core.forward(grid_batch(core, [picture]), list(infos))
        for name, one, all_of_them in zip(infos, alone, whole, strict=True):
            begin, end = batch["offsets"].get(infos[name].space, range(99))[number : number + 2]
            np.testing.assert_array_equal(one, all_of_them[begin:end], err_msg=name)


def test_bits_depend_on_threads_not_at_all() -> None:
    core = detr_core()
    batch = grid_batch(core, images(SIZES))
    random = np.random.default_rng(4)
    given = {name: random.normal(size=(15, 24)).astype(np.float32) for name in LAST}

    def step() -> list[Any]:
        found = core.forward(batch, ["queries", "pooled"])
        core.train_gradients(batch, [], given, token_budget=1 << 20, seed=7)
        return found + [core.gradient(index) for index in range(len(core.params()))]

    before, one = threads.get_threads(), step()
    try:
        threads.set_threads(3)
        several = step()
    finally:
        threads.set_threads(before)
    assert sum(values is not None for values in one) > 100
    for first, second in zip(one, several, strict=True):
        assert (first is None) == (second is None)
        if first is not None:
            np.testing.assert_array_equal(first, second)


def test_a_stored_output_stands_for_what_lies_below() -> None:
    core = detr_core()
    batch = grid_batch(core, images(SIZES))
    below = ["hidden_states.1", "hidden_states.3", "encoder.0", "encoder.1", "hidden"]
    *states, wanted, last = core.forward(batch, [*below, "queries", "decoder.2"])
    for name, values in zip(below, states, strict=True):
        given = {**batch, "inputs": {}, "features": {name: values}}
        np.testing.assert_array_equal(core.forward(given, ["queries"])[0], wanted, err_msg=name)
    features = {"hidden": states[-1], "decoder.2": last}
    given = {**batch, "inputs": {}, "features": features}
    np.testing.assert_array_equal(core.forward(given, ["queries"])[0], wanted)


NETWORK = ("backbone", "input_projection")


@pytest.mark.parametrize(
    ("parts", "handed_on"),
    [
        (("backbone.stem",), ["hidden_states.0"]),
        (("backbone.stem", "backbone.stages[0]"), ["hidden_states.1"]),
        (("backbone",), ["hidden_states.3"]),
        (NETWORK, ["encoder.0"]),
        ((*NETWORK, "encoder.layers[0]"), ["encoder.1"]),
        ((*NETWORK, "encoder"), ["hidden"]),
        ((*NETWORK, "encoder", "queries"), ["hidden"]),
        ((*NETWORK, "encoder", "queries", "decoder.layers[0]"), ["hidden", "decoder.1"]),
        ((*NETWORK, "encoder", "decoder"), ["hidden"]),
        ((*NETWORK, "encoder", "queries", "decoder.layers"), ["decoder.3"]),
        ((*NETWORK, "encoder", "queries", "decoder"), ["queries"]),
        (("queries", "decoder"), []),
    ],
)
def test_what_the_frozen_prefix_hands_on(parts: tuple[str, ...], handed_on: list[str]) -> None:
    """Rows that are the same for every image are made anew: none of them is handed on."""
    core = detr_core()
    found = core.prefix(["queries"], training=True, frozen=frozen_in(core, *parts))
    assert set(found) == set(handed_on)
    if not handed_on:
        return
    batch = grid_batch(core, images(SIZES))
    core.set_frozen(*frozen_in(core, *parts))
    given = {"queries": np.ones((15, 24), np.float32)}

    def gradients(one: dict[str, Any]) -> list[Any]:
        core.train_gradients(one, [], given, token_budget=1 << 20, seed=3)
        return [core.gradient(index) for index in range(len(core.params()))]

    values = dict(zip(handed_on, core.forward(batch, handed_on), strict=True))
    anew, stored = gradients(batch), gradients({**batch, "inputs": {}, "features": values})
    for first, second in zip(anew, stored, strict=True):
        assert (first is None) == (second is None)
        assert first is None or first.tobytes() == second.tobytes()


@pytest.mark.parametrize("parts", [(), ("backbone",), (*NETWORK, "encoder", "decoder.layers[0]")])
@pytest.mark.parametrize("output", ["queries", "queries.0", "pooled"])
def test_prices_are_what_runs(parts: tuple[str, ...], output: str) -> None:
    core = detr_core()
    core.set_frozen(*frozen_in(core, *parts))
    batch = grid_batch(core, images(SIZES))
    shape = core.forward(batch, [output])[0].shape
    layout = {"offsets": batch["offsets"], "widths": batch["widths"], "token_budget": 1 << 40}
    price = core.plan([output], training=True, **layout)
    _core.count_flops(True)
    try:
        ones = {output: np.ones(shape, np.float32)}
        core.train_gradients(batch, [], ones, token_budget=1 << 40)
        counted = _core.flops()
    finally:
        _core.count_flops(False)
    assert (counted.forward, counted.dx, counted.dw) == (
        price.forward_flops,
        price.dx_flops,
        price.dw_flops,
    )
    units = {info.path: plan for info, plan in zip(core.units(), price.units, strict=True)}
    assert units["decoder.layers[2]"].runs == (output == "queries")  # what nobody reads is left out


def test_what_batches_are_refused() -> None:
    core = detr_core()
    batch = grid_batch(core, images(SIZES))
    offsets = {**batch["offsets"], "queries": np.array([0, 5, 9, 15])}
    with pytest.raises(ValueError, match="sequence 1 has 4 queries; each has 5"):
        core.forward({**batch, "offsets": offsets}, ["queries"])
    hidden = core.forward(batch, ["hidden"])[0]
    bare = {"inputs": {}, "offsets": batch["offsets"], "features": {"hidden": hidden}}
    with pytest.raises(ValueError, match=r"no widths for its stages\.2"):
        core.forward(bare, ["queries"])
    space = next(one for one in core.spaces() if one.name == "queries")
    assert (space.fixed, space.max_length, space.is_grid, space.of) == (5, 5, False, None)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"d_model": 26, "encoder_attention_heads": 1}, "d_model as a multiple of 4.*found 26"),
        ({"decoder_attention_heads": 5}, "d_model 24 is not a multiple of decoder_attention_heads"),
        ({"num_queries": 0}, "num_queries"),
        ({"position_embedding_type": "learned"}, "'position_embedding_type' changes"),
        ({"dilation": True}, "'dilation' changes"),
        ({"encoder_layerdrop": 0.1}, "'encoder_layerdrop' changes"),
        ({"backbone_config": "resnet50"}, "backbone_config as an object"),
        ({"backbone_config": {"model_type": "swin"}}, "model_type 'resnet'; found 'swin'"),
        (
            {"backbone_config": {**CONFIG["backbone_config"], "out_features": ["stage2"]}},
            "out_features to end with the last stage, 'stage3'; found \\['stage2'\\]",
        ),
        (
            {"backbone_config": {**CONFIG["backbone_config"], "stem_type": "deep"}},
            "config.json: backbone_config: .*'stem_type'",
        ),
        ({"backbone_config": None, "backbone": "resnext50"}, "'resnet18'.*found 'resnext50'"),
        (
            {
                "backbone_config": {
                    "model_type": "timm_backbone",
                    "backbone": "resnet50",
                    "output_stride": 16,
                }
            },
            "output_stride 16; choose a model without dilation",
        ),
        ({"activation_function": "no such thing"}, "activation_function"),
    ],
)
def test_what_configurations_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        detr_core(**changes)


@pytest.mark.parametrize(
    ("backbone", "depths", "width"),
    [("resnet34", [3, 4, 6, 3], 512), ("resnet101.a1_in1k", [3, 4, 23, 3], 2048)],
)
def test_networks_by_the_name_of_timm(backbone: str, depths: list[int], width: int) -> None:
    old = {**CONFIG, "backbone_config": None, "backbone": backbone, "use_timm_backbone": True}
    new = {**CONFIG, "backbone_config": {"model_type": "timm_backbone", "backbone": backbone}}
    found = core_config(FAMILIES["detr"], old, "config.json")
    assert found == core_config(FAMILIES["detr"], new, "config.json")
    assert (found["depths"], found["hidden_sizes"][-1]) == (depths, width)
