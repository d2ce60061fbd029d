# SPDX-License-Identifier: Apache-2.0
"""Heads that read a named layer, or a learned mix of all layers: values, gradients, freezing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import mtfreeze as mtf
from mtfreeze import _core
from support.families import load_family, write_family
from support.small_tasks import ROWS, quick_fit
from support.texts import SENTENCES, TAGGED, TAGS

TWO = ("negative", "positive")
LABELS = np.array([TWO.index(label) for _, label in ROWS])
N_LAYERS = {"few": 3, "more than a node takes": 9}


@pytest.fixture(scope="module", params=N_LAYERS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("layers") / "model"
    return write_family(place, "bert", num_hidden_layers=N_LAYERS[request.param])


def with_head(folder: Path, spec: Any) -> mtf.MultiTaskModel:
    """Return a model with this head, whose mix is not an even one."""
    model = load_family(folder, heads=False)
    model.add_head("head", spec)
    params = model.parameters()
    if "head.mix.weight" in params:
        n = len(params["head.mix.weight"])
        model.set_parameter("head.mix.weight", np.sin(np.arange(n)))
        model.set_parameter("head.mix.gamma", [1.7])
    return model


def states(model: mtf.MultiTaskModel) -> list[NDArray[np.float32]]:
    found = model.forward(SENTENCES, ["hidden"], hidden_states=True)
    n = sum(name.startswith("hidden_states.") for name in found)
    return [found[f"hidden_states.{k}"] for k in range(n)]


def pooled(rows: NDArray[np.float32], offsets: NDArray[np.int64], how: str) -> Any:
    cut = np.split(rows.astype(np.float64), offsets[1:-1])
    ways = {"mean": lambda x: x.mean(0), "cls": lambda x: x[0], "max": lambda x: x.max(0)}
    return np.stack([np.concatenate([ways[one](x) for one in how.split("+")]) for x in cut])


def shares(model: mtf.MultiTaskModel) -> NDArray[np.float64]:
    """Return gamma * softmax(w)."""
    params = model.parameters()
    powers = np.exp(params["head.mix.weight"].astype(np.float64))
    return params["head.mix.gamma"][0] * powers / powers.sum()


def logits(model: mtf.MultiTaskModel, x: NDArray[np.float64]) -> NDArray[np.float64]:
    params = model.parameters()
    return x @ params["head.weight"].astype(np.float64).T + params["head.bias"]


@pytest.mark.parametrize("pooling", [None, "cls", "max", "cls+mean"])
def test_a_mix_of_pooled_layers(folder: Path, pooling: str | None) -> None:
    model = with_head(folder, mtf.SequenceClassification(TWO, features="mix", pooling=pooling))
    offsets = model.forward(SENTENCES, ["hidden"])["offsets"]
    layers = [pooled(one, offsets, pooling or "mean") for one in states(model)]
    mix = np.einsum("k,kbc->bc", shares(model), np.stack(layers))
    found = model.forward(SENTENCES, ["head"])["head"]
    np.testing.assert_allclose(found, logits(model, mix), atol=2e-6)


def test_a_mix_of_tokens_and_one_layer(folder: Path) -> None:
    model = with_head(folder, mtf.TokenClassification(TAGS, features="mix"))
    mix = np.einsum("k,ktc->tc", shares(model), np.stack(states(model)))
    found = model.forward(SENTENCES, ["head"])["head"]
    np.testing.assert_allclose(found, logits(model, mix), atol=2e-6)
    for k in (0, 2):
        model = with_head(folder, mtf.TokenClassification(TAGS, features=f"hidden_states.{k}"))
        found = model.forward(SENTENCES, ["head"])["head"]
        np.testing.assert_allclose(found, logits(model, states(model)[k]), atol=2e-6)
        spec = mtf.Regression(features=f"hidden_states.{k}", pooling="max")
        model = with_head(folder, spec)
        offsets = model.forward(SENTENCES, ["hidden"])["offsets"]
        wanted = logits(model, pooled(states(model)[k], offsets, "max"))
        np.testing.assert_allclose(model.forward(SENTENCES, ["head"])["head"], wanted, atol=2e-6)


def test_gradients_of_a_mix(folder: Path) -> None:
    """Against the formula, in float64; and the layers get theirs."""
    model = with_head(folder, mtf.SequenceClassification(TWO, features="mix", dropout=0.0))
    offsets = model.forward(SENTENCES, ["hidden"])["offsets"]
    layers = np.stack([pooled(one, offsets, "mean") for one in states(model)])
    mix = np.einsum("k,kbc->bc", shares(model), layers)
    powers = np.exp(logits(model, mix))
    d_logits = powers / powers.sum(1, keepdims=True)
    d_logits[np.arange(10), LABELS] -= 1
    d_mix = d_logits / 10 @ model.parameters()["head.weight"].astype(np.float64)
    dots = np.einsum("bc,kbc->k", d_mix, layers)
    gamma = float(model.parameters()["head.mix.gamma"][0])
    p = shares(model) / gamma
    found = model.gradients({"head": ROWS}, dropout=False)
    whole = float(p @ dots)
    np.testing.assert_allclose(found["head.mix.gamma"], [whole], rtol=1e-4, atol=1e-7)
    wanted = gamma * p * (dots - whole)
    np.testing.assert_allclose(found["head.mix.weight"], wanted, rtol=1e-3, atol=1e-7)
    assert np.abs(found["backbone.embeddings.word_embeddings.weight"]).max() > 0


def batch_of(model: mtf.MultiTaskModel, features: Any = ()) -> Any:
    encoded = model.encoder.encode_texts(SENTENCES)
    batch = encoded.pack().for_core()
    return {**batch, "features": dict(features)} if features else batch


@pytest.mark.parametrize("head", ["texts", "words"])
def test_a_frozen_backbone_hands_all_layers_on(folder: Path, head: str) -> None:
    """A step from stored layers computes the head alone; of texts there is a row a layer."""
    kinds = {
        "texts": mtf.SequenceClassification(TWO, features="mix"),
        "words": mtf.TokenClassification(TAGS, features="mix"),
    }
    model = with_head(folder, kinds[head]).freeze("backbone")
    core, n = model._core, len(states(model))
    names = core.prefix(["head"], training=True)
    spaces = {info.name: info.space for info in core.outputs()}
    assert len(names) == n
    assert {spaces[name] for name in names} == {"sequences" if head == "texts" else "tokens"}
    batch = batch_of(model)
    offsets = batch["offsets"]
    plan = core.plan(["head"], training=True, offsets=offsets, features=names)
    n_values = sum(info.size for info in core.params() if info.key.startswith("head."))
    rows = len(SENTENCES) if head == "texts" else int(offsets["tokens"][-1])
    assert plan.forward_flops < rows * (3 * n_values + 3 * n * 48)
    values = core.forward(batch, names)
    given = batch_of(model, dict(zip(names, values, strict=True)))
    assert np.array_equal(core.forward(given, ["head"])[0], core.forward(batch, ["head"])[0])


@pytest.mark.parametrize("frozen", ["backbone", "backbone[:2]", "none", "head"])
def test_work_and_bits_are_those_that_plans_promise(folder: Path, frozen: str) -> None:
    model = with_head(folder, mtf.SequenceClassification(TWO, features="mix"))
    model.mark_trained(["head"])
    core = model.freeze(frozen)._core
    batch = batch_of(model)
    losses = [("head", LABELS.astype(np.int32), 1.0)]
    plan = core.plan(["head"], training=True, offsets=batch["offsets"])
    _core.count_flops(True)
    try:
        core.train_gradients(batch, losses)
        done = _core.flops()
    finally:
        _core.count_flops(False)
    assert (done.forward, done.dx, done.dw) == (plan.forward_flops, plan.dx_flops, plan.dw_flops)


@pytest.mark.parametrize("freeze", ["backbone", "backbone[:2]"])
def test_stored_layers_train_to_the_same_bits(folder: Path, freeze: str) -> None:
    found = []
    for cache in (False, "memory"):
        model = with_head(folder, mtf.SequenceClassification(TWO, features="mix"))
        model.add_head("words", mtf.TokenClassification(TAGS, features="hidden_states.1"))
        before = model.parameters()["head.mix.weight"].copy()
        tasks = {"head": mtf.Task(train=ROWS, eval=ROWS), "words": mtf.Task(train=TAGGED)}
        run = quick_fit(model.freeze(freeze), tasks, cache=cache)
        assert run.verify_frozen()
        assert (run.cache.n_texts > 0) == bool(cache)
        assert np.abs(model.parameters()["head.mix.weight"] - before).max() > 0
        found.append(model.parameters())
    for key, values in found[0].items():
        assert np.array_equal(values, found[1][key]), key


def test_two_heads_share_a_pooled_layer(folder: Path) -> None:
    model = with_head(folder, mtf.SequenceClassification(TWO, features="hidden_states.1"))
    model.add_head("other", mtf.Regression(features="hidden_states.1"))
    model.add_head("mixed", mtf.Regression(features="mix", pooling="cls"))
    before = model.forward(SENTENCES)
    names = [info.name for info in model._core.outputs()]
    assert names.count("mean(hidden_states.1)") == 1
    model.remove_head("head")
    after = model.forward(SENTENCES)
    assert all(np.array_equal(before[name], after[name]) for name in ("other", "mixed"))
    model.remove_head("other")
    model.remove_head("mixed")
    assert not any("(" in info.name for info in model._core.outputs())


def test_saving_and_loading(folder: Path, tmp_path: Path) -> None:
    model = with_head(folder, mtf.SequenceClassification(TWO, features="mix", pooling="max"))
    model.add_head("words", mtf.TokenClassification(TAGS, features="hidden_states.2"))
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert [one.spec for one in again.heads.values()] == [one.spec for one in model.heads.values()]
    for name, values in model.forward(SENTENCES).items():
        assert np.array_equal(values, again.forward(SENTENCES)[name])
    for name in ("head", "words"):
        with pytest.raises(mtf.ConfigError, match="layers"):
            model.save_pretrained(tmp_path / "task", head=name)
    other = load_family(folder, heads=False)
    other.add_head("head", from_pretrained=tmp_path / "saved", head="head")
    key = "head.mix.weight"
    assert np.array_equal(other.parameters()[key], model.parameters()[key])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mtf.SequenceClassification(TWO, features="mixed"), "did you mean 'mix'"),
        (lambda: mtf.SequenceClassification(TWO, features="hidden_states"), "hidden_states.0"),
        (lambda: mtf.SequenceClassification(TWO, features="hidden_states.-1"), "hidden_states.0"),
        (lambda: mtf.TokenClassification(TAGS, features="pooled"), "expected one of 'hidden'"),
        (lambda: mtf.Regression(features=3), "features"),
    ],
)
def test_features_that_there_are_not(make: Any, message: str) -> None:
    with pytest.raises((TypeError, mtf.ConfigError), match=re.escape(message)):
        make()


def test_a_layer_that_the_backbone_has_not(tiny_model: mtf.MultiTaskModel) -> None:
    for spec in (
        mtf.TokenClassification(TAGS, features="hidden_states.4"),
        mtf.SequenceClassification(TWO, features="hidden_states.4"),
    ):
        with pytest.raises(mtf.ConfigError, match=r"reads \"hidden_states\.4\", which this"):
            tiny_model.add_head("head", spec)
    assert not tiny_model.heads
