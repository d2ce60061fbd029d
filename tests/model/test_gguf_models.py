# SPDX-License-Identifier: Apache-2.0
"""GGUF files as models: the bits of safetensors, saved as ordinary folders, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.families import load_family
from support.gguf_writer import tiny_gguf
from support.texts import SENTENCES


def write_gguf(folder: Path, name: str, kind: str = "F32", **changes: Any) -> tuple[Path, Path]:
    """Write a family's model as an ordinary folder and as one of a GGUF file."""
    hub = folder / "hub"
    (folder / "gguf").mkdir()
    path = folder / "gguf" / "model-f32.gguf"
    path.write_bytes(tiny_gguf(hub, kind, name, **changes))
    return hub, path


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3"])
def test_a_file_gives_the_bits_of_its_folder(name: str, tmp_path: Path) -> None:
    hub, path = write_gguf(tmp_path, name)
    wanted = load_family(hub, heads=False, pooling="lasttoken", normalize=False)
    for place in (path, path.parent):
        model = mtf.MultiTaskModel.from_pretrained(place)
        assert model.pooling == "lasttoken" and model.max_length == 64
        for key, values in wanted.parameters().items():
            assert np.array_equal(values, model.parameters()[key]), key
        assert np.array_equal(model.encode(SENTENCES), wanted.encode(SENTENCES))


def test_rounded_weights_are_said_and_saved_in_full(tmp_path: Path) -> None:
    hub, path = write_gguf(tmp_path, "llama", "Q4_1")
    with pytest.warns(mtf.RoundedWeightsWarning, match="model-f32.gguf holds weights as 'Q4_1'"):
        model = mtf.MultiTaskModel.from_pretrained(path)
    exact = load_family(hub, heads=False, pooling="lasttoken", normalize=False)
    for key, values in exact.parameters().items():
        spread = np.ptp(values.reshape(values.shape[0], -1), axis=-1).max()
        assert np.abs(values - model.parameters()[key]).max() <= spread / 20, key
    saved = model.save_pretrained(tmp_path / "saved")
    assert {item.suffix for item in saved.iterdir()} >= {".safetensors", ".json"}
    again = mtf.MultiTaskModel.from_pretrained(saved)
    assert np.array_equal(again.encode(SENTENCES), model.encode(SENTENCES))


def test_files_beside_it_count_before_its_notes(tmp_path: Path) -> None:
    hub, path = write_gguf(tmp_path, "llama")
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "modules.json"):
        shutil.copy(hub / name, path.parent / name)
    shutil.copytree(hub / "1_Pooling", path.parent / "1_Pooling")
    model = mtf.MultiTaskModel.from_pretrained(path.parent)
    assert model.pooling == "mean" and model.config["num_key_value_heads"] == 2


def without(name: str) -> dict[str, Any]:
    """Return the change that leaves a note out."""
    return {name: None}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"general.architecture": "mamba"}, "found 'mamba'"),
    (without("general.architecture"), "found None"),
    ({"llama.rope.scaling.type": "yarn"}, "llama.rope.scaling.type"),
    ({"llama.expert_count": 8}, "llama.expert_count"),
    ({"llama.attention.head_count_kv": [2, 2, 2]}, "for all layers"),
    ({"llama.attention.head_count": 5}, "heads"),
    ({"llama.block_count": 4}, "num_hidden_layers = 4"),
    ({"llama.feed_forward_length": 95}, "intermediate_size"),
    (without("llama.embedding_length"), "hidden_size"),
    ({"llama.attention.key_length": 7}, "head_dim 7 is not even"),
    ({"llama.rope.freq_base": 0.5}, "rope_theta"),
    ({"tokenizer.ggml.model": "llama"}, "byte-level BPE"),
    ({"tokenizer.ggml.pre": "tekken"}, "the rule 'tekken'"),
    (without("tokenizer.ggml.merges"), "pieces and the merges"),
    ({"tokenizer.ggml.eos_token_id": 100000}, "eos_token_id"),
    ({"tokenizer.ggml.merges": ["nospace"]}, "tokenizer"),
    ({"tokenizer.ggml.tokens": ["a", "b"]}, "tokenizer"),
]


@pytest.mark.parametrize(("changes", "words"), REFUSED)
def test_files_of_another_kind_are_refused(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    _, path = write_gguf(tmp_path, "llama", **changes)
    with pytest.raises((mtf.ConfigError, mtf.CheckpointError), match=words):
        mtf.MultiTaskModel.from_pretrained(path)


def test_two_files_in_a_folder_are_refused(tmp_path: Path) -> None:
    _, path = write_gguf(tmp_path, "llama")
    shutil.copy(path, path.with_name("other.gguf"))
    with pytest.raises(mtf.CheckpointError, match="expected one GGUF file"):
        mtf.MultiTaskModel.from_pretrained(path.parent)
    assert mtf.MultiTaskModel.from_pretrained(path).width == 64


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (b"token_embd.weight", b"token_imbd.weight", r"expected the tensor 'token_embd.weight'"),
        (b"output_norm.weight", b"output_morn.weight", "'output_morn.weight', which changes what"),
        (b"blk.0.attn_q.weight", b"blk.0.attn_q.wright", "'blk.0.attn_q.wright', which changes"),
    ],
)
def test_tensors_that_are_missing_or_unknown_are_named(
    tmp_path: Path, before: bytes, after: bytes, said: str
) -> None:
    _, path = write_gguf(tmp_path, "llama")
    data = path.read_bytes()
    assert data.count(before) == 1
    path.write_bytes(data.replace(before, after))
    with pytest.raises(mtf.Error, match=said):
        mtf.MultiTaskModel.from_pretrained(path)
