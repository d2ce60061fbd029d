# SPDX-License-Identifier: Apache-2.0
"""MPNet: one relative bias that every layer reads, a unit of its own below them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.bits import bits, changed
from support.families import CASES, load_family, write_family
from support.texts import LABELS, SENTENCES
from support.tiny_bert import write_json

BIAS = "backbone.relative_bias"
KEY = "backbone.encoder.relative_attention_bias.weight"
BATCH: dict[str, Any] = {"classifier": list(zip(SENTENCES, LABELS, strict=True))}
pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


@pytest.fixture
def model(tmp_path: Path) -> mtf.MultiTaskModel:
    return load_family(write_family(tmp_path / "mpnet", "mpnet"))


def test_the_bias_is_a_unit_below_the_layers(model: mtf.MultiTaskModel) -> None:
    backbone = [path for path in model.index.unit_paths if path.startswith("backbone.")]
    assert backbone[:3] == ["backbone.embeddings", BIAS, "backbone.layers[0]"]
    assert model.parameters()[KEY].shape == (32, 4)
    for spelling in ("relative_bias", BIAS, KEY):
        chosen = zip(model.param_keys, model.select(spelling), strict=True)
        assert [key for key, hit in chosen if hit] == [KEY]
    with pytest.raises(mtf.SelectorError, match=r"did you mean 'backbone\.relative_bias'"):
        model.freeze("encoder.relative_attention_bias")


@pytest.mark.parametrize("k", [0, 1, 3])
def test_it_freezes_with_what_lies_below_layer_k(model: mtf.MultiTaskModel, k: int) -> None:
    model.freeze_to(k)
    assert KEY in model.freeze_state().frozen
    assert model.unfreeze().freeze(f"backbone[:{k}]").trainable(BIAS) is False
    inside = model._core.prefix(["classifier"], True)
    assert inside == ([f"hidden_states.{k}"] if k < 3 else ["pooled"])
    before = bits(model.parameters())
    model.step(BATCH, learning_rate=1e-2)
    assert KEY not in changed(before, model.parameters())


def test_while_it_trains_no_layer_is_in_the_prefix(model: mtf.MultiTaskModel) -> None:
    model.freeze("embeddings", "layers")
    assert "Frozen above something that trains: layers 0-2" in model.explain()
    assert "Prefix: embeddings. " in model.explain()
    model.freeze("embeddings", "layers", BIAS)
    assert "Prefix: embeddings, relative_bias, layers 0-2" in model.explain()
    model.unfreeze().freeze("layers")
    assert "No prefix: embeddings at the bottom trains" in model.explain()


def test_it_trains_alone_with_the_gradient_that_it_has_among_others(
    model: mtf.MultiTaskModel,
) -> None:
    whole = model.gradients(BATCH)[KEY]
    model.freeze("backbone").unfreeze(BIAS)
    model.freeze("ner_head")
    alone = model.gradients(BATCH)
    assert set(alone) == {KEY, "classifier.weight", "classifier.bias"}
    assert alone[KEY].tobytes() == whole.tobytes()
    before = bits(model.parameters())
    model.step(BATCH, learning_rate=1e-2)
    assert set(changed(before, model.parameters())) == set(alone)


def test_a_feature_above_it_is_refused_in_its_name(model: mtf.MultiTaskModel) -> None:
    model.freeze("embeddings", "layers")
    rows = model.encoder.encode_texts(SENTENCES).pack()
    hidden = model.forward(SENTENCES, ["hidden_states.1"])["hidden_states.1"]
    batch = rows.for_core()
    batch["features"] = {"hidden_states.1": hidden}
    losses = [("classifier", np.zeros(len(SENTENCES), np.int32), 1.0)]
    with pytest.raises(ValueError, match=r"backbone\.relative_bias trains below it"):
        model._core.train_gradients(batch, losses)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"relative_attention_num_buckets": 16}, "relative_attention_num_buckets"),
        ({"relative_attention_num_buckets": "32"}, "relative_attention_num_buckets"),
        ({"type_vocab_size": 2}, "type_vocab_size"),
        ({"num_attention_heads": 6}, "relative_attention_bias"),
        ({"max_position_embeddings": 2}, "max_position_embeddings"),
    ],
)
def test_bad_configurations(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write_family(tmp_path, "mpnet")
    write_json(folder / "config.json", CASES["mpnet"].whole(**change))
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=said):
        load_family(folder)
