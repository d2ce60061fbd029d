# SPDX-License-Identifier: Apache-2.0
"""GPT-2: the last token speaks for a text, nobody sees what comes later, old checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import mtfreeze as mtf
from support.bits import bits, changed
from support.families import CASES, load_family, write_family
from support.texts import SENTENCES
from support.tiny_bert import write_json


def write_plain(folder: Path, **changes: Any) -> Path:
    """Write a folder that was not made for sentences."""
    write_family(folder, "gpt2", **changes)
    (folder / "modules.json").unlink()
    return folder


def test_the_last_token_is_the_vector_of_a_text(tmp_path: Path) -> None:
    model = mtf.MultiTaskModel.from_pretrained(write_plain(tmp_path))
    found = model.forward(SENTENCES, ["hidden", "pooled"])
    last = found["offsets"][1:] - 1
    assert found["pooled"].tobytes() == found["hidden"][last].tobytes()
    assert mtf.MultiTaskModel.from_pretrained(tmp_path, pooling="mean").pooling == "mean"


def test_a_token_sees_nothing_later(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path, "gpt2"))
    states = ["hidden_states.1", "hidden"]
    short, long = (model.forward([text], states) for text in (SENTENCES[0], SENTENCES[0] + " more"))
    for name in states:
        assert long[name][: len(short[name])].tobytes() == short[name].tobytes()


def test_the_highest_states_are_the_normalised_ones(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path, "gpt2"))
    assert model.index.unit_paths[4] == "backbone.final_norm"
    found = model.forward(SENTENCES, ["hidden_states.3", "hidden"])
    assert found["hidden_states.3"].tobytes() == found["hidden"].tobytes()


def test_a_text_without_tokens_is_refused_by_its_place(tmp_path: Path) -> None:
    model = load_family(write_family(tmp_path, "gpt2"))
    with pytest.raises(mtf.DataError, match="found none in row 2"):
        model.encode(["a", "b", ""])
    with pytest.raises(mtf.DataError, match="found none in row 1"):
        model.predict("ner_head", [["a"], []], words=True)
    before = bits(model.parameters())
    rows = [("a", "negative"), ("b", "positive"), ("", "negative")]
    with pytest.raises(mtf.DataError, match="found none in row 2"):
        mtf.fit(model, {"classifier": mtf.Task(train=rows)}, batch_size=1, progress=False)
    assert not changed(before, model.parameters())


def test_buffers_and_the_tied_matrix_of_old_checkpoints(tmp_path: Path) -> None:
    tensors = load_file(write_family(tmp_path / "new", "gpt2") / "model.safetensors")
    old = {f"transformer.{name}": values for name, values in tensors.items()}
    for layer in range(3):
        old[f"transformer.h.{layer}.attn.bias"] = np.tril(np.ones((1, 1, 64, 64), np.float32))
        old[f"transformer.h.{layer}.attn.masked_bias"] = np.array(-1e4, np.float32)
    old["lm_head.weight"] = tensors["wte.weight"]
    write_family(tmp_path / "old", "gpt2", tensors=tensors)
    save_file(old, str(tmp_path / "old" / "model.safetensors"))
    given, expected = load_family(tmp_path / "old"), load_family(tmp_path / "new")
    assert given.encode(SENTENCES).tobytes() == expected.encode(SENTENCES).tobytes()
    saved = load_file(given.save_pretrained(tmp_path / "again") / "model.safetensors")
    assert saved["wte.weight"].tobytes() == tensors["wte.weight"].tobytes()


def test_an_unknown_tensor_of_a_layer_is_refused(tmp_path: Path) -> None:
    folder = write_family(tmp_path, "gpt2")
    tensors = load_file(folder / "model.safetensors")
    tensors["h.0.crossattention.c_attn.bias"] = np.zeros(3, np.float32)
    save_file(tensors, str(folder / "model.safetensors"))
    with pytest.raises(mtf.CheckpointError, match="crossattention"):
        load_family(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"n_inner": 95}, "mlp.c_fc"),
        ({"n_inner": None}, "mlp.c_fc"),
        ({"n_head": 5}, "n_head"),
        ({"scale_attn_weights": "yes"}, "scale_attn_weights"),
        ({"scale_attn_by_inverse_layer_idx": 2}, "scale_attn_by_inverse_layer_idx"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"n_positions": 63}, "n_positions"),
        ({"hidden_size": 48}, "hidden_size"),
    ],
)
def test_bad_configurations(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    folder = write_family(tmp_path, "gpt2")
    config = {k: v for k, v in CASES["gpt2"].whole(**change).items() if v is not None}
    write_json(folder / "config.json", config)
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=said):
        load_family(folder)
