# SPDX-License-Identifier: Apache-2.0
"""Operations and bytes counted at run time are those that the plan promises, in every mode."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from mtfreeze import _core
from support import core_models as cm

N_LAYERS = 3
LAYERS = ["backbone.embeddings", *[f"backbone.layers[{i}]" for i in range(N_LAYERS)]]
BACKBONE = [*LAYERS, "backbone.pooler"]
HEADS = {"classifier": cm.SEQUENCE_LABELS, "tagger": cm.TOKEN_LABELS}
Mode = tuple[list[str], str, list[str]]
# Frozen units; what of the other parameters trains; outputs that may be given.
MODES: dict[str, Mode] = {
    "none": ([], "", []),
    "backbone": (BACKBONE, "", ["hidden", "pooled"]),
    "backbone, one vector a text and a layer": (BACKBONE, "", ["hidden_states.2", "pooled"]),
    "embeddings": (BACKBONE[:1], "", ["hidden_states.0"]),
    "backbone[:1]": (BACKBONE[:2], "", ["hidden_states.1"]),
    "backbone[:1] from below": (BACKBONE[:2], "", ["hidden_states.0"]),
    "backbone[:2]": (BACKBONE[:3], "", ["hidden_states.2"]),
    "layers above": (BACKBONE[2:], "", []),
    "layer in between": ([BACKBONE[0], BACKBONE[2]], "", ["hidden_states.0"]),
    "classifier": (["classifier"], "", []),
    "tagger": (["tagger"], "", []),
    "backbone and a head": ([*BACKBONE, "tagger"], "", ["hidden_states.3"]),
    "all": ([*BACKBONE, "classifier", "tagger"], "", ["hidden", "pooled"]),
    "biases only": ([], "bias", []),
    "norms only": ([], "LayerNorm", []),
    "values of one layer": (LAYERS[:2], "layer.1.attention.self.value", ["hidden_states.1"]),
    "position table": ([], "position_embeddings", []),
}
SHAPES: dict[str, dict[str, Any]] = {
    "small": {"hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
    "blas": {"hidden_size": 256, "intermediate_size": 272},  # products of OpenBLAS
    "pooler": {"pooling": "pooler", "normalize": False},
}


@pytest.fixture(autouse=True)
def stop_counting() -> Iterator[None]:
    """Leave counting off, whatever happens."""
    yield
    _core.count_flops(False)


def make(mode: Mode, shape: str) -> _core.Model:
    """Return a model in that freeze state."""
    frozen, trains, _ = mode
    model = cm.make_model(num_hidden_layers=N_LAYERS, **SHAPES[shape])
    units = np.array([unit.path in frozen for unit in model.units()])
    params = np.array([units[p.unit] or trains not in p.key for p in model.params()])
    model.set_frozen(params, units)
    return model


def batch_with(model: _core.Model, features: list[str]) -> Any:
    """Return the usual batch, or one that carries these features instead of ids."""
    if not features:
        return cm.BATCH
    values = model.forward(cm.BATCH, features)
    return cm.batch(features=dict(zip(features, values, strict=True)))


@pytest.mark.laws
@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("name", MODES)
def test_counted_operations_are_those_of_the_plan(name: str, shape: str) -> None:
    mode = MODES[name]
    model = make(mode, shape)
    for heads in (["classifier"], ["tagger"], ["classifier", "tagger"]):
        losses = [(head, HEADS[head], 1.0) for head in heads]
        for features in ([], mode[2]):
            for budget in (4096, 5):
                plan = model.plan(
                    heads,
                    training=True,
                    offsets=cm.OFFSETS,
                    features=features,
                    token_budget=budget,
                )
                batch = batch_with(model, features)
                _core.count_flops(True)
                model.train_gradients(batch, losses, token_budget=budget)
                assert _core.flops() == (plan.forward_flops, plan.dx_flops, plan.dw_flops)
                for unit, state in zip(plan.units, model.units(), strict=True):
                    assert not (state.frozen and unit.dw_flops)
                    assert not (unit.in_prefix and unit.dx_flops)
                    assert not state.is_head or unit.runs == (state.path in heads)


@pytest.mark.laws
@pytest.mark.parametrize("name", MODES)
def test_inference_is_counted_as_planned(name: str) -> None:
    mode = MODES[name]
    model = make(mode, "small")
    for features in ([], mode[2]):
        batch = batch_with(model, features)
        for outputs in (["pooled"], ["classifier", "tagger"], cm.OUTPUTS):
            plan = model.plan(outputs, training=False, offsets=cm.OFFSETS, features=features)
            _core.count_flops(True)
            model.forward(batch, outputs)
            assert _core.flops() == (plan.forward_flops, 0, 0)


@pytest.mark.laws
@pytest.mark.parametrize("name", MODES)
def test_state_takes_the_bytes_of_the_plan(name: str) -> None:
    mode = MODES[name]
    for heads in (["classifier"], ["tagger"], ["classifier", "tagger"]):
        model = make(mode, "small")
        plan = model.plan(heads, training=True, offsets=cm.OFFSETS)
        model.train_gradients(cm.BATCH, [(head, HEADS[head], 1.0) for head in heads])
        cm.apply(model)
        before = model.memory_info().bytes_now
        cm.freeze_all(model)  # which lets gradients and moments go
        freed = before - model.memory_info().bytes_now
        assert freed == plan.gradient_bytes + plan.moment_bytes + plan.row_bytes
        assert plan.moment_bytes == 2 * plan.gradient_bytes


def test_features_leave_only_what_lies_above_them() -> None:
    model = make(MODES["backbone"], "small")
    frozen = model.plan(["tagger"], training=True, offsets=cm.OFFSETS)
    given = model.plan(["tagger"], training=True, offsets=cm.OFFSETS, features=["hidden"])
    assert given.forward_flops == frozen.forward_flops - frozen.prefix_flops
    assert given.prefix_flops == 0 < frozen.prefix_flops
    assert (given.dx_flops, given.dw_flops) == (frozen.dx_flops, frozen.dw_flops)
    below = model.plan(["tagger"], training=True, offsets=cm.OFFSETS, features=["hidden_states.1"])
    assert 0 < below.prefix_flops < frozen.prefix_flops


def test_a_plan_prices_exactly_the_batch() -> None:
    model = make(MODES["none"], "small")

    def plan(offsets: list[int], **options: Any) -> _core.PlanInfo:
        return model.plan(
            ["tagger"], training=True, offsets={"tokens": np.array(offsets)}, **options
        )

    short, uneven = plan([0, 6, 12]), plan([0, 1, 12])
    assert short.forward_flops < uneven.forward_flops  # attention: 36 + 36 against 1 + 121
    assert short.saved_bytes == uneven.saved_bytes
    cut = plan([0, 6, 12], token_budget=6)
    assert cut.forward_flops == short.forward_flops
    assert cut.saved_bytes < short.saved_bytes
    assert plan([0]).forward_flops == plan([0]).saved_bytes == 0
    before = _core.get_threads()
    try:
        _core.set_threads(1)
        one = plan([0, 6, 12]).worker_bytes
        _core.set_threads(3)
        assert plan([0, 6, 12]).worker_bytes == 3 * one
    finally:
        _core.set_threads(before)


def test_asking_for_a_plan_does_not_disturb_a_step() -> None:
    results = []
    for ask in (False, True):
        model = make(MODES["none"], "small")
        model.train_begin(0, 0)
        model.train_forward(cm.BATCH, ["classifier", "tagger"])
        if ask:
            model.plan(["pooled"], training=False, offsets={"tokens": np.arange(0, 1000, 3)})
        sums = model.train_backward(cm.losses())
        cm.apply(model)
        results.append((sums, cm.bits(model)))
    assert results[0] == results[1]


def test_counts_of_many_threads_add_up() -> None:
    models = [make(MODES["none"], "small") for _ in range(4)]
    plan = models[0].plan(["classifier", "tagger"], training=True, offsets=cm.OFFSETS)

    def work(model: _core.Model) -> None:
        for step in range(20):
            model.train_gradients(cm.BATCH, cm.losses(), step=step)

    _core.count_flops(True)
    threads = [threading.Thread(target=work, args=(model,)) for model in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = _core.flops()
    assert found == tuple(80 * n for n in (plan.forward_flops, plan.dx_flops, plan.dw_flops))


def test_counting_starts_from_zero_and_stops() -> None:
    model = make(MODES["none"], "small")
    _core.count_flops(True)
    model.forward(cm.BATCH, ["pooled"])
    first = _core.flops()
    assert first.forward > 0 and isinstance(first, _core.Flops)
    _core.count_flops(False)
    model.forward(cm.BATCH, ["pooled"])
    assert _core.flops() == first
    _core.count_flops(True)
    assert _core.flops() == (0, 0, 0)
    with pytest.raises(TypeError):
        _core.count_flops()  # type: ignore[call-arg]
