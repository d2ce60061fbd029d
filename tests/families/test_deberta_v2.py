# SPDX-License-Identifier: Apache-2.0
"""DeBERTa-v2: the table of distances as a unit, projections from two sides, refused models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.families import FAMILIES, core_config
from support.bits import bits, changed
from support.families import CASES, load_family, write_family
from support.small_tasks import quick_fit
from support.texts import SENTENCES

TABLE, NORM = "backbone.encoder.rel_embeddings.weight", "backbone.encoder.LayerNorm.weight"
KEY = "backbone.encoder.layer.0.attention.self.key_proj.weight"
pytestmark = pytest.mark.filterwarnings("ignore::mtfreeze.FreezeWarning")


@pytest.fixture
def model(tmp_path: Path) -> mtf.MultiTaskModel:
    return load_family(write_family(tmp_path, "deberta-v2"))


def test_the_table_and_its_norm_are_a_unit(model: mtf.MultiTaskModel) -> None:
    assert model.index.unit_paths[:3] == (
        "backbone.embeddings",
        "backbone.relative_bias",
        "backbone.layers[0]",
    )
    model.freeze("backbone.relative_bias")
    assert {model.trainable(TABLE), model.trainable(NORM)} == {False}
    assert model.trainable(KEY) is True
    assert {model.unfreeze().freeze("backbone[:1]").trainable(key) for key in (TABLE, KEY)} == {
        False
    }


def test_there_is_no_prefix_while_the_table_trains(model: mtf.MultiTaskModel) -> None:
    model.freeze("backbone").unfreeze("backbone.relative_bias")
    assert "No prefix: relative_bias" in model.explain() or "Prefix: embeddings." in model.explain()
    model.freeze("backbone")
    assert "Prefix: embeddings, relative_bias, layers 0-2" in model.explain()


@pytest.mark.parametrize("mode", ["none", "backbone[:2]", "backbone.relative_bias", "re:key_proj"])
def test_frozen_bits_stay_and_the_rest_moves(model: mtf.MultiTaskModel, mode: str) -> None:
    model.freeze(mode)
    before = bits(model.parameters())
    frozen = {key for key in before if model.trainable(key) is False}
    assert quick_fit(model, weight_decay=0.3).verify_frozen()
    assert set(changed(before, model.parameters())) == set(before) - frozen


@pytest.mark.parametrize(
    ("changes", "present"),
    [
        ({"share_att_key": True}, ()),
        ({"share_att_key": False}, ("pos_key_proj", "pos_query_proj")),
        ({"share_att_key": False, "pos_att_type": "c2p"}, ("pos_key_proj",)),
        ({"share_att_key": False, "pos_att_type": ["p2c"]}, ("pos_query_proj",)),
    ],
)
def test_projections_of_distances(
    tmp_path: Path, changes: dict[str, Any], present: tuple[str, ...]
) -> None:
    model = load_family(write_family(tmp_path, "deberta-v2", **changes))
    own = {key.split(".")[-2] for key in model.param_keys if ".pos_" in key}
    assert own == set(present)


@pytest.mark.parametrize("said", ["c2p|p2c", " P2C | c2p", ["c2p", "p2c"]])
def test_spellings_of_the_kinds_of_scores(said: Any) -> None:
    config = CASES["deberta-v2"].whole(pos_att_type=said)
    read = core_config(FAMILIES["deberta-v2"], config, "config.json")
    assert (read["c2p"], read["p2c"], read["norm_distances"]) == (True, True, True)


def test_long_texts_reach_the_last_bucket(tmp_path: Path) -> None:
    folder = write_family(tmp_path, "deberta-v2", position_buckets=4, max_relative_positions=6)
    model = load_family(folder)
    text = " ".join(SENTENCES)
    assert model.encode([text, SENTENCES[0]])[1].tobytes() == model.encode(SENTENCES[:1]).tobytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"relative_attention": False}, "relative_attention"),
        ({"relative_attention": None}, "relative_attention"),
        ({"pos_att_type": []}, "pos_att_type"),
        ({"pos_att_type": None}, "pos_att_type"),
        ({"pos_att_type": ["p2p"]}, "'p2p'"),
        ({"pos_att_type": 3}, "pos_att_type"),
        ({"norm_rel_ebd": "batch_norm"}, "'batch_norm'"),
        ({"conv_kernel_size": 3}, "conv_kernel_size"),
        ({"embedding_size": 24}, "embedding_size"),
        ({"attention_head_size": 8}, "attention_head_size"),
        ({"pooler_hidden_size": 24}, "pooler_hidden_size"),
        ({"position_buckets": 3}, "position_buckets"),
        ({"position_buckets": 200}, "position_buckets"),
        ({"position_buckets": 16}, "rel_embeddings"),
        ({"max_relative_positions": 4}, "position_buckets"),
        ({"hidden_size": 50}, "hidden_size"),
        ({"num_hidden_layers": 2}, "num_hidden_layers"),
        ({"share_att_key": False}, "pos_key_proj"),
        ({"position_biased_input": True}, "position_embeddings"),
        ({"type_vocab_size": 2}, "token_type_embeddings"),
        ({"hidden_act": "softplus"}, "softplus"),
    ],
)
def test_bad_configurations(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    from safetensors.numpy import load_file

    write_family(tmp_path / "good", "deberta-v2")
    tensors = load_file(tmp_path / "good" / "model.safetensors")
    folder = write_family(tmp_path / "bad", "deberta-v2", tensors=tensors, **changes)
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=said):
        mtf.MultiTaskModel.from_pretrained(folder)


def test_the_tiny_model_is_that_of_the_list(model: mtf.MultiTaskModel) -> None:
    assert model.parameters()[TABLE].shape == (16, 48)
