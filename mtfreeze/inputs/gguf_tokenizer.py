# SPDX-License-Identifier: Apache-2.0
"""The tokenizer inside a GGUF file, as the files that a model folder has for it.

The file holds pieces and merges of a byte-level BPE, and names the rule that cuts texts before it;
the rules themselves are those that llama.cpp has for these names. What else there is (sentencepiece
pieces, unknown rules) is refused: its tokenizer.json beside the weights is read instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import CheckpointError
from ..quoting import quoted

__all__ = ["gguf_tokenizer_files"]

_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_LETTERS = r"[^\r\n\p{L}\p{N}]?\p{L}+"

_RULES: Mapping[str, str] = {
    "gpt-2": "",  # the rule of the byte-level pre-tokenizer itself
    "smollm": "digits",
    "llama-bpe": rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}{{1,3}}|{_REST}",
    "qwen2": rf"{_CONTRACTIONS}|{_LETTERS}|\p{{N}}|{_REST}",
}
"""How texts are cut, by ``tokenizer.ggml.pre``."""

_NFC = ("qwen2",)
_CONTROL, _USER_DEFINED = 3, 4
_CURE = "put the tokenizer.json of the original model beside the file"


def gguf_tokenizer_files(
    notes: Mapping[str, Any], path: Path, max_length: object
) -> dict[str, bytes]:
    """Return tokenizer.json and tokenizer_config.json for the tokenizer of a GGUF file.

    Parameters
    ----------
    notes : mapping
        Of the file.
    path : Path
        The file, for messages.
    max_length : object
        Of the model, as the file has it.

    Raises
    ------
    CheckpointError
        If it has no tokenizer of a kind that is read, or one that does not hold together.
    """
    kind, rule = notes.get("tokenizer.ggml.model"), notes.get("tokenizer.ggml.pre", "gpt-2")
    if kind != "gpt2" or rule not in _RULES:
        found = quoted(kind) if kind != "gpt2" else f"the rule {quoted(rule)}"
        raise CheckpointError(
            f"{path}: expected a byte-level BPE tokenizer with one of the rules "
            f"{', '.join(_RULES)}; found {found}; {_CURE}"
        )
    tokens, merges = notes.get("tokenizer.ggml.tokens"), notes.get("tokenizer.ggml.merges")
    kinds = notes.get("tokenizer.ggml.token_type")
    if not isinstance(tokens, list) or not isinstance(merges, list):
        raise CheckpointError(
            f"{path}: expected the pieces and the merges of a tokenizer; found none; {_CURE}"
        )
    if not isinstance(kinds, np.ndarray) or kinds.shape != (len(tokens),):
        kinds = np.ones(len(tokens), np.int32)
    names = _special_names(notes, tokens, path)
    special = [index for index in range(len(tokens)) if kinds[index] in (_CONTROL, _USER_DEFINED)]
    whole = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": tokens[index],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": bool(kinds[index] == _CONTROL),
            }
            for index in special
        ],
        "normalizer": {"type": "NFC"} if rule in _NFC else None,
        "pre_tokenizer": _pre_tokenizer(_RULES[rule]),
        "post_processor": _post_processor(notes, names, tokens),
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": rule == "llama-bpe",
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": [pair.split(" ", 1) for pair in merges],
        },
    }
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        **{f"{role}_token": token for role, token in names.items()},
    }
    return {
        "tokenizer.json": json.dumps(whole, ensure_ascii=False).encode("utf-8"),
        "tokenizer_config.json": json.dumps(settings, ensure_ascii=False).encode("utf-8"),
    }


def _special_names(notes: Mapping[str, Any], tokens: list[str], path: Path) -> dict[str, str]:
    """Return the special tokens by role."""
    names = {}
    for role, key in (("bos", "bos"), ("eos", "eos"), ("unk", "unknown"), ("pad", "padding")):
        index = notes.get(f"tokenizer.ggml.{key}_token_id")
        if index is None:
            continue
        if type(index) is not int or not 0 <= index < len(tokens):
            raise CheckpointError(
                f"{path}: expected {key}_token_id to be one of {len(tokens)} pieces; found "
                f"{quoted(index)}; fetch it again"
            )
        names[role] = tokens[index]
    return names


def _byte_level(use_regex: bool) -> dict[str, Any]:
    return {
        "type": "ByteLevel",
        "add_prefix_space": False,
        "trim_offsets": True,
        "use_regex": use_regex,
    }


def _pre_tokenizer(rule: str) -> dict[str, Any]:
    if rule == "":
        return _byte_level(True)
    if rule == "digits":
        first: dict[str, Any] = {"type": "Digits", "individual_digits": True}
        return {"type": "Sequence", "pretokenizers": [first, _byte_level(True)]}
    first = {
        "type": "Split",
        "pattern": {"Regex": rule},
        "behavior": "Isolated",
        "invert": False,
    }
    return {"type": "Sequence", "pretokenizers": [first, _byte_level(False)]}


def _post_processor(
    notes: Mapping[str, Any], names: Mapping[str, str], tokens: list[str]
) -> dict[str, Any] | None:
    """Return what puts special tokens around a text, where the file says that some belong there."""
    before = [names["bos"]] if notes.get("tokenizer.ggml.add_bos_token") and "bos" in names else []
    after = [names["eos"]] if notes.get("tokenizer.ggml.add_eos_token") and "eos" in names else []
    if not before and not after:
        return None

    def special(token: str, segment: int) -> dict[str, Any]:
        return {"SpecialToken": {"id": token, "type_id": segment}}

    def part(name: str, segment: int) -> list[dict[str, Any]]:
        return [
            *(special(token, segment) for token in before),
            {"Sequence": {"id": name, "type_id": segment}},
            *(special(token, segment) for token in after),
        ]

    return {
        "type": "TemplateProcessing",
        "single": part("A", 0),
        "pair": [*part("A", 0), *part("B", 1)],
        "special_tokens": {
            token: {"id": token, "ids": [tokens.index(token)], "tokens": [token]}
            for token in {*before, *after}
        },
    }
