# SPDX-License-Identifier: Apache-2.0
"""The law of freezing with an adapter: the base keeps its bits, the adapter is its own unit."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze import _core
from mtfreeze.features.keys import prefix_key
from support.bits import bits, changed
from support.families import NAMES, load_family, write_family
from support.texts import LABELS, SENTENCES, TAGGED

BATCH: dict[str, Any] = {
    "classifier": list(zip(SENTENCES, LABELS, strict=True)),
    "ner_head": TAGGED,
}
QUIET = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")
Add = Callable[[mtf.MultiTaskModel], Any]
WAYS: dict[str, Add] = {
    "lora": lambda m: m.add_lora(rank=3, dropout=0.2),
    "lora of the top": lambda m: m.add_lora(rank=2, layers=[2]),
    "lora everywhere": lambda m: m.add_lora(rank=2, targets="all-linear"),
    "ia3": lambda m: m.add_ia3(),
    "ia3 of one of three": lambda m: m.add_ia3(targets=["key", "intermediate.dense"]),
}


def train(model: mtf.MultiTaskModel, n: int = 3) -> None:
    for _ in range(n):
        model.step(BATCH, learning_rate=1e-2, weight_decay=0.1)


@QUIET
@pytest.mark.laws
@pytest.mark.parametrize("way", WAYS)
def test_the_base_keeps_its_bits(two_head_model: mtf.MultiTaskModel, way: str) -> None:
    model = two_head_model
    plain = model.encode(SENTENCES)
    WAYS[way](model)
    assert np.array_equal(model.encode(SENTENCES), plain), "a fresh adapter changes no bit"
    model.freeze("backbone")
    before = bits(model.parameters())
    train(model, 5)
    moved = set(changed(before, model.parameters()))
    assert not {key for key in moved if key.startswith("backbone.")}
    unit = model.adapter.kind if model.adapter else ""
    assert {key for key in model.param_keys if key.startswith(f"{unit}.")} <= moved
    assert not np.array_equal(model.encode(SENTENCES), plain)
    model.remove_adapter()
    assert np.array_equal(model.encode(SENTENCES), plain), "without it the base is as before"


@QUIET
@pytest.mark.laws
def test_an_adapter_is_not_part_of_the_backbone(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone").add_lora(rank=2)
    assert model.trainable("lora") is True
    assert model.trainable("backbone") is False
    assert model.freeze("backbone").trainable("lora") is True
    assert model.trainable("all") == "partial"
    assert model.freeze("all").trainable("lora") is False
    assert model.unfreeze("lora").trainable("lora") is True
    assert not model.trainable("backbone") and not model.trainable("heads")
    assert model.freeze_state().pinned >= {
        key for key in model.param_keys if key.startswith("backbone.")
    }


@QUIET
@pytest.mark.laws
def test_a_frozen_adapter_stays(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone").add_lora(rank=2, dropout=0.5)
    train(model)
    before = bits(model.freeze("lora").parameters())
    train(model)
    assert {key.partition(".")[0] for key in changed(before, model.parameters())} == set(
        model.heads
    )


@QUIET
@pytest.mark.laws
def test_the_prefix_ends_below_the_lowest_adapter(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone").add_lora(rank=2, layers=[1, 2])
    inside = {row.unit for row in model.summary().rows if row.in_prefix}
    assert inside == {"backbone.embeddings", "backbone.layers[0]"}
    assert model._core.prefix(["classifier", "ner_head"], True) == ["hidden_states.1"]
    assert "layers 1-2" in model.explain() and "lora" in model.explain()
    model.freeze("lora")
    inside = {row.unit for row in model.summary().rows if row.in_prefix}
    assert "lora" in inside and "backbone.layers[2]" in inside


@QUIET
@pytest.mark.laws
def test_stored_features_give_the_same_bits(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone").add_lora(rank=2, layers=[2], dropout=0.1)
    twin = model.copy()
    tasks = {"classifier": mtf.Task(train=BATCH["classifier"])}
    run = mtf.fit(model, tasks, epochs=3, batch_size=4, progress=False, cache="memory")
    mtf.fit(twin, tasks, epochs=3, batch_size=4, progress=False, cache=False)
    assert run.cache.n_texts > 0
    assert bits(model.parameters()) == bits(twin.parameters())


@QUIET
@pytest.mark.laws
def test_features_above_a_frozen_adapter_are_its_own(two_head_model: mtf.MultiTaskModel) -> None:
    base = prefix_key(two_head_model, "pooled")
    first = two_head_model.copy().add_lora(rank=2, alpha=4)
    other = two_head_model.copy().add_lora(rank=2, alpha=8)
    assert prefix_key(first, "hidden_states.0") == prefix_key(two_head_model, "hidden_states.0")
    assert len({base, prefix_key(first, "pooled"), prefix_key(other, "pooled")}) == 3


@QUIET
@pytest.mark.laws
def test_what_freezing_saves_is_priced(two_head_model: mtf.MultiTaskModel) -> None:
    full = two_head_model.copy().summary()
    lora = two_head_model.freeze("backbone").add_lora(rank=2).summary()
    assert lora.gradient_bytes < full.gradient_bytes / 10
    assert lora.saved_bytes < full.saved_bytes
    assert lora.work < 0.8


@QUIET
@pytest.mark.laws
def test_heads_and_their_moments_stay(two_head_model: mtf.MultiTaskModel) -> None:
    """Adding an adapter moves the heads' positions; their state goes with them."""
    model = two_head_model.freeze("backbone")
    train(model)
    steps = {info.key: info.n_steps for info in model._core.params() if info.n_steps}
    model.add_lora(rank=2)
    assert {info.key: info.n_steps for info in model._core.params() if info.n_steps} == steps
    train(model)
    model.remove_adapter()
    after = {info.key: info.n_steps for info in model._core.params() if info.n_steps}
    assert after == {key: n + 3 for key, n in steps.items()}
    model.remove_head("ner_head")
    assert model.add_lora(rank=2).trainable("classifier") is True


@pytest.mark.laws
@pytest.mark.parametrize("family", NAMES)
def test_every_family(tmp_path: Path, family: str) -> None:
    """At every linear layer of every family: no bit at first, the base's bits at the end."""
    model = load_family(write_family(tmp_path / "model", family))
    plain = model.encode(SENTENCES)
    for add in (lambda: model.add_lora(2, targets="all-linear"), lambda: model.add_ia3(".*")):
        add()
        assert np.array_equal(model.encode(SENTENCES), plain)
        model.freeze("backbone")
        before = bits(model.parameters())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", mtf.FreezeWarning)
            model.step(BATCH, learning_rate=1e-2)
        moved = set(changed(before, model.parameters()))
        assert not {key for key in moved if key.startswith("backbone.")}
        assert any(not key.startswith(tuple(model.heads)) for key in moved)
        model.remove_adapter()
        assert np.array_equal(model.encode(SENTENCES), plain)


@QUIET
@pytest.mark.laws
@pytest.mark.parametrize("way", WAYS)
def test_prices_are_what_runs(two_head_model: mtf.MultiTaskModel, way: str) -> None:
    model = two_head_model.freeze("backbone")
    WAYS[way](model)
    encoded = model.encoder.encode_texts(SENTENCES)
    plan = model._core.plan(["classifier"], training=True, offsets={"tokens": encoded.offsets})
    _core.count_flops(True)
    try:
        model.step({"classifier": BATCH["classifier"]}, learning_rate=1e-3)
        counted = _core.flops()
    finally:
        _core.count_flops(False)
    assert (counted.forward, counted.dx, counted.dw) == (
        plan.forward_flops, plan.dx_flops, plan.dw_flops,
    )  # fmt: skip


@QUIET
@pytest.mark.laws
def test_bits_are_those_of_any_number_of_threads(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone").add_lora(rank=3, targets="all-linear", dropout=0.2)
    twin, threads = model.copy(), mtf.get_threads()
    try:
        mtf.set_threads(1)
        train(model)
        mtf.set_threads(3)
        train(twin)
    finally:
        mtf.set_threads(threads)
    assert bits(model.parameters()) == bits(twin.parameters())


@QUIET
@pytest.mark.laws
def test_a_step_allocates_nothing(two_head_model: mtf.MultiTaskModel) -> None:
    model = two_head_model.freeze("backbone").add_lora(rank=3, dropout=0.2)
    train(model)
    before = _core.memory_info().n_allocations
    train(model)
    assert _core.memory_info().n_allocations == before
