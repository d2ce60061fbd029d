# SPDX-License-Identifier: Apache-2.0
"""Files that were made to cost: by suffix, functions that return their bytes."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

__all__ = ["CRAFTED"]


def _header(text: bytes) -> bytes:
    return len(text).to_bytes(8, "little") + text


def _bomb(first: str, line: str) -> bytes:
    lines = [first]
    lines += [line.format(n=n, below=", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 12)]
    return "\n".join(lines).encode()


def _tokenizer(**parts: Any) -> Callable[[], bytes]:
    content: dict[str, Any] = {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": {"[UNK]": 0, "x": 1, "##x": 2},
        },
    }
    for key, value in parts.items():
        if isinstance(content.get(key), dict) and isinstance(value, dict) and "type" not in value:
            content[key] = {**content[key], **value}
        else:
            content[key] = value
    return lambda: json.dumps(content).encode()


def _replace(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


_PADDING = {
    "strategy": {"Fixed": 2147483664},
    "direction": "Right",
    "pad_to_multiple_of": None,
    "pad_id": 0,
    "pad_type_id": 0,
    "pad_token": "[PAD]",
}
_TWICE = [{"Sequence": {"id": "A", "type_id": 0}}] * 2

CRAFTED: dict[str, list[Callable[[], bytes]]] = {
    ".json": [
        lambda: b"[" * 18_000_000,
        lambda: b"[" + b"{}," * 4_000_000 + b"{}]",
        lambda: b'{"a":' * 100_000,
        lambda: b"{" + b",".join(b'"%d":1' % (i // 2) for i in range(80_000)) + b"}",
        lambda: b'{"model_type": "' + b"x" * 1_000_000 + b'"}',
        lambda: b'{"hidden_size": ' + b"9" * 100_000 + b"}",
        lambda: b'{"a": NaN, "b": 1e999}',
        _tokenizer(padding=_PADDING),
        _tokenizer(model={"max_input_chars_per_word": 2**62}),
        _tokenizer(model={"continuing_subword_prefix": "#" * 1_000_000}),
        _tokenizer(normalizer=_replace({"Regex": "(x+x+)+y"}, "")),
        _tokenizer(
            normalizer={
                "type": "Sequence",
                "normalizers": [_replace({"String": "x"}, "x" * 1000)] * 6,
            }
        ),
        _tokenizer(normalizer={"type": "Precompiled", "precompiled_charsmap": "/////w=="}),
        _tokenizer(
            post_processor={
                "type": "Sequence",
                "processors": [
                    {
                        "type": "TemplateProcessing",
                        "single": _TWICE,
                        "pair": _TWICE,
                        "special_tokens": {},
                    }
                ]
                * 40,
            }
        ),
        _tokenizer(pre_tokenizer={"type": "FixedLength", "length": 0}),
    ],
    ".safetensors": [
        lambda: _header(b"[" * 15_000_000),
        lambda: _header(b"[" + b"[]," * 5_000_000 + b"[]]"),
        lambda: _header(b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % (b"9" * 4000)),
        lambda: (2**62).to_bytes(8, "little") + b"{}",
        lambda: b"version https://git-lfs.github.com/spec/v1\n",
    ],
    ".yaml": [
        lambda: _bomb("a0: &a0 [x, x]", "a{n}: &a{n} [{below}]"),
        lambda: _bomb("a0: &a0 {k: 1}", "a{n}: &a{n} {{<<: [{below}]}}"),
        lambda: b"[" * 200_000,
        lambda: b"- " * 200_000,
        lambda: b"training: {epochs: 1" + b":59" * 300_000 + b"}",
        lambda: b"model: {name: m}\n" + b"x" * 900_000 + b": 1\n",
    ],
    ".txt": [lambda: b"\n" * 2_000_000, lambda: b"x" * 2_000_000],
    ".tsv": [lambda: b"\n" * 2_000_000, lambda: b"x" * 2_000_000, lambda: b"\t" * 1_000_000],
    ".csv": [lambda: b"text,label\n" + b'"' * 1_000_001, lambda: b"," * 1_000_000],
    ".jsonl": [
        lambda: b"[" * 2_000_000,
        lambda: b"[" + b"[]," * 2_000_000 + b"[]]",
        lambda: b'{"text": "a", "label": ' + b"9" * 4000 + b"}",
        lambda: b'{"text": "a", "label": [' + b"9" * 4000 + b"]}",
        lambda: b"{" + b",".join(b'"k%d":1' % i for i in range(40_000)) + b"}",
    ],
    ".conll": [lambda: b"x " * 1_000_000, lambda: b"\n" * 2_000_000],
}
