# SPDX-License-Identifier: Apache-2.0
"""The laws of freezing over vision transformers, and the words for their parts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.families.part_kinds import part_kind
from support.vision import CASES, core_of, image_batch, images, seed, write_vision

LABELS = np.array([1, 0, 1], np.int32)
SIZES = [(20, 20)] * 3
UNITS = ["backbone.embeddings", "backbone.layers[0]", "backbone.layers[1]", "backbone.final_norm"]


def load(folder: Path, name: str, **more: Any) -> mtf.MultiTaskModel:
    model = mtf.MultiTaskModel.from_pretrained(write_vision(folder / "in", name), **more)
    return model.add_head("animal", mtf.SequenceClassification(["cat", "dog"], dropout=0.0))


def gradients(model: mtf.MultiTaskModel) -> dict[str, Any]:
    batch = image_batch(model._core, images(SIZES))
    model._core.train_gradients(batch, [("animal", LABELS, 1.0)])
    return {key: model._core.gradient(i) for i, key in enumerate(model.param_keys)}


@pytest.mark.filterwarnings("ignore::mtfreeze.notices.NoPrefixWarning")
@pytest.mark.filterwarnings("ignore::mtfreeze.notices.UntrainedHeadWarning")
@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("mode", ["backbone", "backbone[:1]", "backbone.layers[1]", "animal"])
def test_what_trains_has_the_gradient_of_an_unfrozen_run(
    name: str, mode: str, tmp_path: Path
) -> None:
    model = load(tmp_path, name)
    assert [unit.path for unit in model._core.units()] == [*UNITS, "animal"]
    whole = gradients(model)
    assert all(values is not None for values in whole.values())
    model.freeze(mode)
    found = gradients(model)
    frozen = {info.key for info in model._core.params() if info.frozen}
    assert frozen and {key for key, values in found.items() if values is None} == frozen
    for key in found.keys() - frozen:
        np.testing.assert_array_equal(found[key], whole[key], err_msg=key)


@pytest.mark.parametrize("name", ["vit", "dinov2_with_registers"])
def test_training_on_features_gives_the_bits_of_training_on_images(
    name: str, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    rows = [
        (random.integers(0, 256, (26, 23, 3)).astype(np.uint8), ["cat", "dog"][i % 2])
        for i in range(6)
    ]
    weights = []
    for cache in ("memory", False):
        model = load(tmp_path / str(cache), name).freeze("backbone[:1]")
        start = {k: v.copy() for k, v in model.parameters().items()}
        run = mtf.fit(
            model, {"animal": mtf.Task(train=rows)}, epochs=2, batch_size=4, cache=cache, seed=3
        )
        run.verify_frozen()
        weights.append({k: v.copy() for k, v in model.parameters().items()})
        moved = {k for k in start if not np.array_equal(start[k], weights[-1][k])}
        assert moved == {i.key for i in model._core.params() if not i.frozen}
    for key, values in weights[0].items():
        np.testing.assert_array_equal(values, weights[1][key], err_msg=key)


@pytest.mark.parametrize(
    ("name", "said", "meant"),
    [
        ("vit", "blocks[0]", "backbone.layers[0]"),
        ("vit", "vit", "backbone"),
        ("deit", "deit", "backbone"),
        ("dinov2", "encoder.layer[1]", "backbone.layers[1]"),
        ("dinov2_with_registers", "layernorm", "final_norm"),
    ],
)
def test_spellings_of_elsewhere_are_hints(name: str, said: str, meant: str, tmp_path: Path) -> None:
    model = load(tmp_path, name)
    with pytest.raises(mtf.SelectorError) as caught:
        model.freeze(said)
    assert f"'{meant}'" in str(caught.value)


@pytest.mark.parametrize("name", CASES)
def test_every_parameter_has_a_word(name: str, tmp_path: Path) -> None:
    model = load(tmp_path, name)
    family = model.index.family
    for key in model.param_keys:
        if key.startswith("backbone.") and not key.endswith(".bias"):
            part = key.removesuffix(".weight")
            assert any(part.endswith("." + end) for end in family.part_kinds), key
            assert part_kind(family, key)


def test_a_norm_of_the_mean_trains_over_stored_means() -> None:
    """timm's ViT with ``fc_norm``: a frozen encoder is a row an image, and stands to the bit."""
    config = {key: one for key, one in CASES["vit"].items() if not key.startswith("pooler")}
    core = core_of({**config, "model_type": "vit_fc_norm"}, "pooler")
    seed(core, 2)
    core.add_head("animal", {"kind": "sequence_classification", "n_labels": 2, "dropout": 0.0}, 1)
    assert [unit.path for unit in core.units()] == [*UNITS, "animal"]
    batch = image_batch(core, images(SIZES))
    core.train_gradients(batch, [("animal", LABELS, 1.0)])
    n = len(core.params())
    whole = [np.array(core.gradient(at)) for at in range(n)]
    below = [unit.path not in ("backbone.final_norm", "animal") for unit in core.units()]
    frozen = [below[info.unit] for info in core.params()]
    core.set_frozen(np.array(frozen, np.uint8), np.array(below, np.uint8))
    assert core.prefix(["animal"], training=True) == ["patch_means"]
    (means,) = core.forward(batch, ["patch_means"])
    assert means.shape == (len(SIZES), CASES["vit"]["hidden_size"])
    before = [core.view(at).tobytes() for at in range(n)]
    given = {**batch, "inputs": {}, "features": {"patch_means": means}}
    core.train_gradients(given, [("animal", LABELS, 1.0)])
    for at in range(n):
        found = core.gradient(at)
        assert (found is None) == frozen[at]
        if found is not None:
            np.testing.assert_array_equal(found, whole[at])
    core.train_apply(np.full(n, 1e-2), np.zeros(n))
    for at, bits in enumerate(before):
        assert (core.view(at).tobytes() == bits) == frozen[at]
