# SPDX-License-Identifier: Apache-2.0
"""GGUF files written value by value, as the format says, for the tests of their reader."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "block", "decoder_gguf", "encode", "gguf_bytes", "tiny_gguf"]

KINDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "BF16": 30}


def block(kind: str, scale: float, least: float, numbers: Sequence[int]) -> bytes:
    """Return one block of 32 whole numbers: 0 to 15, or -128 to 127 for Q8_0."""
    assert len(numbers) == 32
    head = struct.pack("<e", scale) + (struct.pack("<e", least) if kind == "Q4_1" else b"")
    if kind == "Q8_0":
        return head + struct.pack("<32b", *numbers)
    return head + bytes(numbers[i] | numbers[i + 16] << 4 for i in range(16))


def encode(values: NDArray[np.float32], kind: str) -> bytes:
    """Return the bytes of a tensor, rounded to what its type can hold."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    if kind == "F32":
        return flat.astype("<f4").tobytes()
    if kind == "F16":
        return flat.astype("<f2").tobytes()
    if kind == "BF16":
        return (flat.view("<u4") >> 16).astype("<u2").tobytes()
    parts = []
    for row in flat.reshape(-1, 32):
        least, most = float(row.min()), float(row.max())
        if kind == "Q4_1":
            scale = (most - least) / 15 or 1.0
            numbers = np.clip(np.rint((row - least) / scale), 0, 15)
        elif kind == "Q4_0":
            scale = max(abs(least), abs(most)) / 7 or 1.0
            numbers = np.clip(np.rint(row / scale) + 8, 0, 15)
        else:
            scale = max(abs(least), abs(most)) / 127 or 1.0
            numbers = np.clip(np.rint(row / scale), -127, 127)
        parts.append(block(kind, scale, least, [int(n) for n in numbers]))
    return b"".join(parts)


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    items = list(value)
    head = struct.pack("<I", 9)
    if items and isinstance(items[0], str):
        return head + struct.pack("<IQ", 8, len(items)) + b"".join(map(_text, items))
    return head + struct.pack("<IQ", 5, len(items)) + struct.pack(f"<{len(items)}i", *items)


def gguf_bytes(
    notes: Mapping[str, Any],
    tensors: Mapping[str, tuple[NDArray[np.float32], str]],
    *,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """Return a whole file: notes, and tensors with the type in which each is written."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(notes))
    head += b"".join(_text(name) + _value(value) for name, value in notes.items())
    data = b""
    for name, (values, kind) in tensors.items():
        sizes = values.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        head += struct.pack("<IQ", KINDS[kind], len(data))
        data += encode(values, kind)
        data += bytes(-len(data) % alignment)
    return head + bytes(-len(head) % alignment) + data


_NAMES = {
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "embed_tokens": "token_embd",
    "norm": "output_norm",
}


def _in_pairs(values: NDArray[np.float32], n_heads: int) -> NDArray[np.float32]:
    """Return rows of heads with their halves in turn, as converters of Llama write them."""
    halves = values.reshape(n_heads, 2, -1, *values.shape[1:])
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)


def decoder_gguf(
    config: Mapping[str, Any],
    tensors: Mapping[str, NDArray[np.float32]],
    tokenizer: Mapping[str, Any],
    kind: str = "F32",
    **changes: Any,
) -> bytes:
    """Return a decoder as a GGUF file: `config` and `tensors` as on the hub.

    Matrices are written as `kind` where their rows are whole blocks; ``tokenizer`` is a parsed
    tokenizer.json; notes of `changes` are added, or left out where None.
    """
    arch = str(config["model_type"])
    notes: dict[str, Any] = {
        "general.architecture": arch,
        f"{arch}.embedding_length": config["hidden_size"],
        f"{arch}.block_count": config["num_hidden_layers"],
        f"{arch}.context_length": config["max_position_embeddings"],
        f"{arch}.feed_forward_length": config["intermediate_size"],
        f"{arch}.attention.head_count": config["num_attention_heads"],
        f"{arch}.attention.head_count_kv": config["num_key_value_heads"],
        f"{arch}.attention.layer_norm_rms_epsilon": float(config["rms_norm_eps"]),
        f"{arch}.rope.freq_base": 10000.0,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
    }
    if "head_dim" in config:
        notes[f"{arch}.attention.key_length"] = config["head_dim"]
    vocabulary = tokenizer["model"]["vocab"]
    special = {token["id"] for token in tokenizer["added_tokens"]}
    notes["tokenizer.ggml.tokens"] = sorted(vocabulary, key=vocabulary.get)
    notes["tokenizer.ggml.token_type"] = [3 if i in special else 1 for i in range(len(vocabulary))]
    notes["tokenizer.ggml.merges"] = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in tokenizer["model"]["merges"]
    ]
    notes["tokenizer.ggml.eos_token_id"] = notes["tokenizer.ggml.padding_token_id"] = 0
    for name, value in changes.items():
        notes[name.replace("__", ".")] = value
    written = {}
    for name, values in tensors.items():
        stem, _, end = name.rpartition(".")
        if arch == "llama" and ("q_proj" in stem or "k_proj" in stem):
            key = "num_attention_heads" if "q_proj" in stem else "num_key_value_heads"
            values = _in_pairs(values, config[key])
        if stem.startswith("layers."):
            _, number, part = stem.split(".", 2)
            stem = f"blk.{number}.{_NAMES[part]}"
        else:
            stem = _NAMES[stem]
        blocks = values.ndim == 2 and values.shape[1] % 32 == 0
        written[f"{stem}.{end}"] = (values, kind if blocks else "F32")
    return gguf_bytes({k: v for k, v in notes.items() if v is not None}, written)


def tiny_gguf(folder: Path, kind: str = "F32", name: str = "llama", **changes: Any) -> bytes:
    """Return a tiny model of a family as a GGUF file; its ordinary folder is written beside."""
    from support.families import CASES, family_tensors, write_family

    sizes = {"hidden_size": 64, "intermediate_size": 96}
    config = CASES[name].whole(**sizes)
    tensors = family_tensors(config)
    write_family(folder, name, tensors=tensors, **sizes)
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    return decoder_gguf(config, tensors, tokenizer, kind, **changes)
