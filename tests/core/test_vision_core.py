# SPDX-License-Identifier: Apache-2.0
"""Grids through the binding: what batches of images are taken, and what holds of their rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from mtfreeze.errors import ConfigError
from mtfreeze.runtime import threads
from support.vision import CASES, core_of, image_batch, images, seed

SIZES = [(20, 20), (32, 12), (8, 8), (4, 48), (27, 41)]
HEAD = {"kind": "sequence_classification", "n_labels": 3, "dropout": 0.0}
LABELS = np.array([1, 0, 2, 2, 1], np.int32)


def model_of(name: str, **config: Any) -> _core.Model:
    """Return a seeded model with a head, which takes images of any size."""
    whole = {**CASES[name], **config}
    if whole["model_type"] in ("vit", "deit"):
        whole["interpolate_positions"] = True
    core = core_of(whole, "cls+mean")
    core.add_head("classifier", HEAD, 1)
    seed(core)
    return core


@pytest.mark.parametrize("name", CASES)
def test_an_image_has_the_same_bits_in_every_batch(name: str) -> None:
    core, pictures = model_of(name), images(SIZES)
    names = ["hidden", "pooled", "classifier"]
    whole = core.forward(image_batch(core, pictures), names)
    starts = image_batch(core, pictures)["offsets"]["tokens"]
    for number, picture in enumerate(pictures):
        alone = core.forward(image_batch(core, [picture]), names)
        np.testing.assert_array_equal(alone[0], whole[0][starts[number] : starts[number + 1]])
        np.testing.assert_array_equal(alone[1][0], whole[1][number])
        np.testing.assert_array_equal(alone[2][0], whole[2][number])


@pytest.mark.parametrize("name", ["vit", "dinov2_with_registers"])
def test_gradients_depend_neither_on_threads_nor_much_on_the_cut(name: str) -> None:
    core, pictures = model_of(name), images(SIZES)
    batch = image_batch(core, pictures)

    def gradients(budget: int) -> list[Any]:
        core.train_gradients(batch, [("classifier", LABELS, 1.0)], token_budget=budget)
        return [core.gradient(i) for i in range(len(core.params()))]

    before = threads.get_threads()
    whole = gradients(4096)
    try:
        threads.set_threads(3)
        for one, other in zip(gradients(4096), whole, strict=True):
            np.testing.assert_array_equal(one, other)
    finally:
        threads.set_threads(before)
    for one, other in zip(gradients(40), whole, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=2e-6)


@pytest.mark.parametrize("name", CASES)
def test_plans_price_what_runs(name: str) -> None:
    core, batch = model_of(name), None
    batch = image_batch(core, images(SIZES))
    plan = core.plan(["classifier"], training=True, offsets=batch["offsets"])
    again = core.plan(
        ["classifier"], training=True, offsets=batch["offsets"], widths=batch["widths"]
    )
    assert plan == again
    _core.count_flops(True)
    try:
        core.train_gradients(batch, [("classifier", LABELS, 1.0)])
        done = _core.flops()
    finally:
        _core.count_flops(False)
    assert (done.forward, done.dx, done.dw) == (plan.forward_flops, plan.dx_flops, plan.dw_flops)


def test_stored_states_need_no_grid() -> None:
    core = model_of("dinov2")
    batch = image_batch(core, images(SIZES))
    states, logits = core.forward(batch, ["hidden_states.1", "classifier"])
    given = {"offsets": batch["offsets"], "features": {"hidden_states.1": states}}
    np.testing.assert_array_equal(core.forward(given, ["classifier"])[0], logits)


def test_the_mean_is_of_patches_alone() -> None:
    core = core_of(CASES["dinov2_with_registers"], "mean")
    seed(core)
    batch = image_batch(core, images(SIZES[:2]))
    hidden, pooled = core.forward(batch, ["hidden", "pooled"])
    starts = batch["offsets"]["tokens"]
    for number in range(2):
        rows = hidden[starts[number] + 1 + 3 : starts[number + 1]]
        np.testing.assert_allclose(pooled[number], rows.mean(0), rtol=0, atol=1e-6)


def test_one_grid_only_unless_positions_are_interpolated() -> None:
    core = core_of(CASES["vit"])
    (patches,) = (one for one in core.spaces() if one.is_grid)
    assert (patches.height, patches.width, patches.max_length) == (5, 5, 25)
    core.forward(image_batch(core, images([(20, 20)])), ["pooled"])
    with pytest.raises(ValueError, match=r"sequence 1 has a grid of 4 x 5 patches.*takes 5 x 5"):
        core.forward(image_batch(core, images([(20, 20), (16, 20)])), ["pooled"])


def _spoiled(batch: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**batch, **changes}


WRONG_WIDTHS = {
    "none": (None, "no widths for its patches"),
    "of another space": ({"tokens": np.array([5, 5])}, "row spaces that are grids.*'tokens'"),
    "unknown": ({"pixel": np.array([5, 5])}, "'pixel'"),
    "too few": ({"patches": np.array([5])}, "2 elements, one for each sequence, found 1"),
    "not whole": ({"patches": np.array([5, 4])}, "sequence 1 has 25 patches and a width of 4"),
    "zero": ({"patches": np.array([0, 5])}, "a width of 0"),
    "below zero": ({"patches": np.array([-5, 5])}, "a width of -5"),
    "floats": ({"patches": np.array([5.0, 5.0])}, "integer"),
    "a list": ({"patches": [5, 5]}, "numpy"),
    "two dimensions": ({"patches": np.array([[5, 5]])}, "dimension"),
}


@pytest.mark.parametrize("name", WRONG_WIDTHS)
def test_wrong_widths_are_refused(name: str) -> None:
    widths, words = WRONG_WIDTHS[name]
    core = core_of(CASES["dinov2"])
    batch = _spoiled(image_batch(core, images([(20, 20)] * 2)), widths=widths)
    with pytest.raises((ValueError, TypeError, LookupError), match=words):
        core.forward(batch, ["pooled"])
    core.forward(image_batch(core, images([(20, 20)] * 2)), ["pooled"])


def test_rows_that_do_not_follow_are_refused() -> None:
    core = core_of(CASES["dinov2"])
    batch = image_batch(core, images([(20, 20)]))
    offsets = {**batch["offsets"], "tokens": np.array([0, 25])}
    with pytest.raises(ValueError, match="has 25 tokens; of 25 patches there are 26"):
        core.forward(_spoiled(batch, offsets=offsets), ["pooled"])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"image_size": 2}, "image_size 2 x 2 must have 1 .. 65536 patches"),
        ({"image_size": 4096}, "must have 1 .. 65536 patches"),
        ({"image_size": [20]}, "image_size as a whole number"),
        ({"image_size": [20, 20, 3]}, "image_size as a whole number"),
        ({"image_size": 0}, "at least 1"),
        ({"image_size": "224"}, "whole number of pixels"),
        ({"patch_size": [4, 5]}, "square patches"),
        ({"num_channels": 1}, "'num_channels' changes what the model computes"),
        ({"num_attention_heads": 5}, "hidden_size 24 is not a multiple of num_attention_heads 5"),
        ({"hidden_act": "mish"}, "mish"),
        ({"layer_norm_eps": 0.0}, "layer_norm_eps"),
        ({"drop_path_rate": 0.1}, "'drop_path_rate' changes"),
    ],
)
def test_wrong_configurations_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        core_of({**CASES["dinov2"], **changes})
