# SPDX-License-Identifier: Apache-2.0
"""ResNet on the core: bits alone and in a batch, statistics that stand still, stored stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mtfreeze import _core
from mtfreeze.families import FAMILIES, core_config
from mtfreeze.runtime import threads
from mtfreeze.runtime.precision import is_reduced
from support.vision import grid_batch, images, seed

SIZES = [(33, 20), (16, 16), (5, 47)]
HEAD = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
LABELS = np.array([1, 0, 2], np.int32)
STATISTICS = ("running_mean", "running_var")


def made(layer_type: str = "basic", **more: Any) -> _core.Model:
    """Return a seeded model of three stages with a head."""
    threads.initialize()
    config = {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 12, 16],
        "depths": [1, 2, 1],
        "layer_type": layer_type,
        **more,
    }
    core = _core.Model(core_config(FAMILIES["resnet"], config, "config.json"))
    core.add_head("classifier", HEAD, 1)
    seed(core)
    for index, info in enumerate(core.params()):
        if info.key.endswith("running_var"):
            core.set_param(index, np.abs(core.view(index)) + 0.5)
    return core


def values_of(core: _core.Model) -> dict[str, NDArray[np.float32]]:
    return {info.key: core.view(index).copy() for index, info in enumerate(core.params())}


def step(core: _core.Model, batch: dict[str, Any]) -> None:
    """Train everything that is not frozen, once."""
    n = len(core.params())
    core.train_gradients(batch, [("classifier", LABELS, 1.0)], token_budget=4096)
    core.train_apply(np.full(n, 1e-2), np.full(n, 1e-2))


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_an_image_has_the_same_bits_in_every_batch(layer_type: str) -> None:
    core, pictures = made(layer_type), images(SIZES)
    names = ["hidden_states.1", "pooled", "classifier"]
    whole, batch = core.forward(grid_batch(core, pictures), names), grid_batch(core, pictures)
    space = next(info.space for info in core.outputs() if info.name == names[0])
    for number, picture in enumerate(pictures):
        alone = core.forward(grid_batch(core, [picture]), names)
        rows = slice(*batch["offsets"][space][number : number + 2])
        np.testing.assert_array_equal(alone[0], whole[0][rows])
        np.testing.assert_array_equal(alone[1][0], whole[1][number])
        np.testing.assert_array_equal(alone[2][0], whole[2][number])


def test_statistics_never_move_and_all_else_does() -> None:
    core, batch = made(), {}
    batch = grid_batch(core, images(SIZES))
    before = values_of(core)
    for _ in range(2):
        step(core, batch)
    after = values_of(core)
    moved = {key for key in before if not np.array_equal(before[key], after[key])}
    assert moved == {key for key in before if not key.endswith(STATISTICS)}


def test_what_is_frozen_stands_still() -> None:
    core = made("bottleneck")
    batch = grid_batch(core, images(SIZES))
    infos = core.params()
    frozen = np.array([one.key.startswith("backbone.encoder.stages.1.") for one in infos], np.uint8)
    core.set_frozen(frozen, np.zeros(len(core.units()), np.uint8))
    before = values_of(core)
    step(core, batch)
    after = values_of(core)
    for info, stands in zip(infos, frozen, strict=True):
        still = bool(stands) or info.key.endswith(STATISTICS)
        assert np.array_equal(before[info.key], after[info.key]) == still, info.key


def test_a_stored_stage_stands_for_what_lies_below() -> None:
    core = made()
    batch = grid_batch(core, images(SIZES))
    states, logits = core.forward(batch, ["hidden_states.2", "classifier"])
    given = {**batch, "inputs": {}, "features": {"hidden_states.2": states}}
    np.testing.assert_array_equal(core.forward(given, ["classifier"])[0], logits)


def test_half_a_stage_is_computed_from_the_name_below() -> None:
    """What a block hands on has no name; the frozen prefix is stored where there is one."""
    core = made()
    batch = grid_batch(core, images(SIZES))
    frozen = ("backbone.stem", "backbone.stages[0]", "backbone.stages[1].blocks[0]")
    units = [unit.path.startswith(frozen) for unit in core.units()]
    params = np.array([units[info.unit] or info.is_buffer for info in core.params()], np.uint8)
    core.set_frozen(params, np.array(units, np.uint8))
    assert core.prefix(["classifier"], training=True) == ["hidden_states.1"]
    given = {"hidden_states.1": core.forward(batch, ["hidden_states.1"])[0]}

    def gradients(one: dict[str, Any]) -> list[bytes]:
        core.train_gradients(one, [("classifier", LABELS, 1.0)], token_budget=4096)
        found = [core.gradient(index) for index in range(len(core.params()))]
        return [values.tobytes() for values in found if values is not None]

    assert gradients(batch) == gradients({**batch, "inputs": {}, "features": given})


def test_gradients_depend_on_threads_not_at_all() -> None:
    core = made()
    batch = grid_batch(core, images(SIZES))

    def gradients(budget: int) -> list[Any]:
        core.train_gradients(batch, [("classifier", LABELS, 1.0)], token_budget=budget)
        return [core.gradient(index) for index in range(len(core.params()))]

    before, whole = threads.get_threads(), gradients(4096)
    try:
        threads.set_threads(3)
        pairs = list(zip(gradients(4096), whole, strict=True))
    finally:
        threads.set_threads(before)
    assert all(np.array_equal(one, other) for one, other in pairs if other is not None)
    for one, other in zip(gradients(4), whole, strict=True):
        if other is not None:
            np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


def test_so_many_pixels_count_as_a_token() -> None:
    """Four images of 16 x 16 pixels are 16 tokens: a budget of 8 keeps two of them at a time."""
    core = made()
    each = {one.name: one.rows_per_token for one in core.spaces()}
    assert each["pixels"] == 64
    offsets = grid_batch(core, images([(16, 16)] * 4))["offsets"]

    def kept(budget: int) -> int:
        plan = core.plan(["classifier"], training=True, offsets=offsets, token_budget=budget)
        return plan.saved_bytes

    one, two, all_four = kept(4), kept(8), kept(16)
    assert kept(1) == kept(7) == one
    assert kept(11) == two == pytest.approx(2 * one, rel=0.02)
    assert kept(4096) == all_four == pytest.approx(4 * one, rel=0.02)


@pytest.mark.parametrize("precision", [0, 1])
def test_long_images_run_a_few_at_a_time(precision: int) -> None:
    """Of eight large images on one worker the large grids are made one at a time, the small ones of
    all together; each has the bits that it has alone.
    """
    core = made("basic", embedding_size=32, hidden_sizes=[64, 97, 128])  # an odd width, too
    pictures = images([(230, 228), (131, 400), (310, 200), (193, 190)] * 2)
    before, names = threads.get_threads(), ["hidden_states.1", "pooled"]
    try:
        threads.set_threads(1)
        whole = core.forward(grid_batch(core, pictures), names, precision=precision)
        offsets = [grid_batch(core, some)["offsets"] for some in (pictures[:4], pictures)]
        four, eight = (
            core.plan(["pooled"], training=False, offsets=one, precision=precision).worker_bytes
            for one in offsets
        )
        alone = [
            core.forward(grid_batch(core, [one]), names, precision=precision) for one in pictures
        ]
    finally:
        threads.set_threads(before)
    assert four < eight < 1.5 * four
    np.testing.assert_array_equal(np.concatenate([states for states, _ in alone]), whole[0])
    np.testing.assert_array_equal(np.concatenate([pooled for _, pooled in alone]), whole[1])


def test_small_convolutions_are_computed_in_bf16_and_not_in_int8() -> None:
    """Those whose sides are 32 and more; Python names the same ones as the core packs."""
    core = made(embedding_size=32, hidden_sizes=[32, 48, 40])
    batch = grid_batch(core, images(SIZES))
    exact, halves, eighths = (
        core.forward(batch, ["pooled"], precision=code)[0] for code in range(3)
    )
    np.testing.assert_array_equal(exact, eighths)
    apart = np.abs(halves - exact).max() / np.abs(exact).max()
    assert 1e-5 < apart < 0.05
    sizes = [
        core.plan(["pooled"], training=False, offsets=batch["offsets"], precision=code).form_bytes
        for code in range(2)
    ]
    saved = 0
    for info in core.params():
        if info.convolves:
            outputs, terms = info.shape[0], info.size // info.shape[0]
            panels = -(-outputs // 32) * 32
            if is_reduced(info.shape, convolves=True):
                saved += panels * (4 * terms - 2 * (terms + terms % 2))
    assert saved > 0
    assert sizes[0] - sizes[1] == pytest.approx(saved, abs=64 * len(core.params()))


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_what_lies_in_bf16_has_the_bits_of_what_lies_in_floats(layer_type: str) -> None:
    """States that are asked for are kept as floats, others between convolutions in bf16."""
    core = made(layer_type, embedding_size=32, hidden_sizes=[128, 128, 160])
    batch = grid_batch(core, images([*SIZES, (66, 70)]))
    states = [info.name for info in core.outputs() if info.name.startswith("hidden_states")]
    pooled = core.forward(batch, ["pooled"], precision=1)[0]
    kept = core.forward(batch, ["pooled", *states], precision=1)
    np.testing.assert_array_equal(pooled, kept[0])
    for name, state in zip(states, kept[1:], strict=True):
        assert not (state.view(np.uint32) & 0xFFFF).any(), name  # rounded wherever it lies
        given = {**batch, "inputs": {}, "features": {name: state}}
        np.testing.assert_array_equal(core.forward(given, ["pooled"], precision=1)[0], pooled)
    narrow, wide = (
        core.plan(outputs, training=False, offsets=batch["offsets"], precision=1).worker_bytes
        for outputs in (["pooled"], ["pooled", *states])
    )
    assert narrow > 0 and wide > 0
    exact = core.plan(["pooled"], training=False, offsets=batch["offsets"], precision=0)
    assert narrow < exact.worker_bytes


def test_a_frozen_stage_in_bf16_hands_on_what_is_stored() -> None:
    """Gradients of the last stage are the same, whether the lower ones are computed or given."""
    core = made("bottleneck", embedding_size=32, hidden_sizes=[128, 128, 160])
    units = [
        unit.path.startswith(("backbone.stem", "backbone.stages[0]", "backbone.stages[1]"))
        for unit in core.units()
    ]
    params = np.array([units[info.unit] or info.is_buffer for info in core.params()], np.uint8)
    core.set_frozen(params, np.array(units, np.uint8))
    batch = grid_batch(core, images(SIZES))
    name = "hidden_states.2"
    given = {**batch, "inputs": {}, "features": {name: core.forward(batch, [name], precision=1)[0]}}

    def gradients(one: dict[str, Any]) -> list[bytes]:
        core.train_gradients(one, [("classifier", LABELS, 1.0)], token_budget=4096, precision=1)
        found = [core.gradient(index) for index in range(len(core.params()))]
        return [values.tobytes() for values in found if values is not None]

    assert gradients(batch) == gradients(given)
