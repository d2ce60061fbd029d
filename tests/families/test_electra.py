# SPDX-License-Identifier: Apache-2.0
"""ELECTRA: a projection above narrow tables, no pooler, refused configurations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from support.bits import bits, changed
from support.families import load_family, write_family
from support.small_tasks import quick_fit

PROJECTION = "backbone.embeddings_project.weight"


@pytest.mark.parametrize("width", [20, 48])
def test_the_projection_is_there_where_widths_differ(tmp_path: Path, width: int) -> None:
    model = load_family(write_family(tmp_path, "electra", embedding_size=width))
    assert (PROJECTION in model.param_keys) == (width != 48)
    words = model.parameters()["backbone.embeddings.word_embeddings.weight"]
    assert words.shape[1] == width
    if width != 48:
        index = model.index
        unit = index.unit_of[index.key_index[PROJECTION]]
        assert index.unit_paths[unit] == "backbone.embeddings"


@pytest.mark.parametrize("mode", ["embeddings", "re:embeddings_project"])
def test_the_projection_freezes_with_the_embeddings_or_alone(tmp_path: Path, mode: str) -> None:
    model = load_family(write_family(tmp_path, "electra")).freeze(mode)
    before = bits(model.parameters())
    frozen = {key for key in before if model.trainable(key) is False}
    assert PROJECTION in frozen
    assert quick_fit(model, epochs=1).verify_frozen()
    assert set(changed(before, model.parameters())) == set(before) - frozen


def test_there_is_no_pooler(tmp_path: Path) -> None:
    folder = write_family(tmp_path, "electra")
    with pytest.raises(mtf.ConfigError, match="have no pooler"):
        mtf.MultiTaskModel.from_pretrained(folder, pooling="pooler")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"embedding_size": 21}, "embedding_size"),
        ({"embedding_size": 0}, "embedding_size"),
        ({"embedding_size": None}, "embedding"),
        ({"embedding_size": 48}, "embedding_size"),
        ({"hidden_size": 50}, "hidden_size"),
        ({"num_hidden_layers": 2}, "num_hidden_layers"),
        ({"num_hidden_layers": None}, "'num_hidden_layers'"),
        ({"num_attention_heads": 5}, "num_attention_heads"),
        ({"intermediate_size": 95}, "intermediate_size"),
        ({"type_vocab_size": 3}, "type_vocab_size"),
        ({"hidden_act": "softplus"}, "softplus"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"is_decoder": True}, "is_decoder"),
        ({"layer_norm_eps": -1.0}, "layer_norm_eps"),
        ({"max_position_embeddings": 65}, "max_position_embeddings"),
    ],
)
def test_bad_configurations(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    from safetensors.numpy import load_file

    write_family(tmp_path / "good", "electra")
    tensors = load_file(tmp_path / "good" / "model.safetensors")
    folder = write_family(tmp_path / "bad", "electra", tensors=tensors, **changes)
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=said):
        mtf.MultiTaskModel.from_pretrained(folder)
