# SPDX-License-Identifier: Apache-2.0
"""A stranger's tokenizer.json never ends the process, and takes no more time than a usual one.

Without the checks these cases abort, hang or panic in the tokenizer library; a test process that
dies is a test that fails.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.errors import CheckpointError
from mtfreeze.inputs.text import TextEncoder
from support.tiny_bert import write_tokenizer

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
O200K = (
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{M}]*[\p{Ll}\p{Lo}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}|"
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s+"
)


def load(folder: Path, path: str, value: Any) -> TextEncoder:
    """Load the tiny tokenizer with one value of its JSON replaced; `path` has dots.

    The JSON is the whole tokenizer.
    """
    write_tokenizer(folder)
    whole = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(whole))
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    *above, last = path.split(".")
    place = content
    for key in above:
        place = place[key]
    place[last] = value
    file.write_text(json.dumps(content))
    return TextEncoder.from_folder(folder, max_length=12)


def replaced(pattern: dict[str, str], content: str) -> dict[str, Any]:
    return {"type": "Replace", "pattern": pattern, "content": content}


def split(regex: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}


def padded(strategy: Any) -> dict[str, Any]:
    return {
        "strategy": strategy,
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "[PAD]",
    }


def table(index: int, rest: bytes) -> dict[str, Any]:
    raw = index.to_bytes(4, "little") + rest
    return {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(raw).decode()}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("padding", padded({"Fixed": 2147483664})),
        ("padding", padded({"Fixed": 2**62})),
        ("truncation.max_length", 0),
        ("truncation.max_length", 2**63),
        ("truncation.stride", 2**40),
        ("truncation.strategy", "OnlySecond"),
        ("pre_tokenizer", split(GPT2)),
        ("pre_tokenizer", split(LLAMA)),
        ("pre_tokenizer", split(O200K)),
        ("normalizer", replaced({"Regex": " {2,}"}, " ")),
        ("normalizer", {"type": "Sequence", "normalizers": [replaced({"String": "a"}, "aa")] * 8}),
        ("normalizer", {"type": "Prepend", "prepend": "x" * 100}),
        ("model.max_input_chars_per_word", 1000),
    ],
)
def test_what_is_harmless_loads(tmp_path: Path, path: str, value: Any) -> None:
    encoder = load(tmp_path, path, value)
    assert encoder.encode_texts(["good food", "x" * 20_000]).offsets.max() <= 24


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (
            "normalizer",
            {"type": "Sequence", "normalizers": [replaced({"String": "x"}, "x" * 1000)] * 6},
            "texts 1000000000000000000 times as long",
        ),
        ("normalizer", [[replaced({"String": ""}, "x" * 300)]], "301 times as long"),
        ("normalizer", replaced({"Regex": "x?"}, "x" * 300), "301 times as long"),
        ("normalizer", {"type": "Prepend", "prepend": "x" * 101}, "puts 101 characters before"),
        ("normalizer", table(2**32 - 4, b""), "damaged table of characters"),
        ("normalizer", table(3, b"abc"), "damaged table of characters"),
        ("normalizer", {"type": "Precompiled", "precompiled_charsmap": None}, "damaged table"),
        ("normalizer", table(4, b"0000" + b"x" * 1000), "1000 times as long"),
        ("normalizer", replaced({"Regex": "(a+)+$"}, "x"), "repeats what repeats"),
        ("pre_tokenizer", split("(a|a|aa)*$"), "repeats what repeats"),
        ("pre_tokenizer", split("(?:(?:x?)y){2,}"), "repeats what repeats"),
        ("pre_tokenizer", split("a**"), "repeats what repeats"),
        (
            "pre_tokenizer",
            {"type": "Sequence", "pretokenizers": [split("((a{1000}){1000}){1000}")]},
            "repeats what repeats",
        ),
        ("pre_tokenizer", split(r"(a)\1"), "refers back"),
        ("pre_tokenizer", split(r"(?<n>a\g<n>?)"), "refers back"),
        ("pre_tokenizer", split("a" * 1001), "regular expression of 1,001 characters"),
        ("pre_tokenizer", {"type": "FixedLength", "length": 0}, "chunk size must be non-zero"),
        (
            "normalizer",
            {"type": "Sequence", "normalizers": [{"type": "ByteLevel"}] * 9},
            "512 times as long",
        ),
        (
            "post_processor",
            {"type": "Sequence", "processors": [{"type": "ByteLevel"}] * 32},
            "a post-processor of 33 steps",
        ),
        ("model.max_input_chars_per_word", 2**31, "max_input_chars_per_word = 2147483648"),
        ("model.continuing_subword_prefix", "#" * 101, "subword_prefix of 101 characters"),
        ("post_processor.special_tokens.[CLS].ids", [2] * 10**5, "special token of 100,000 ids"),
        (
            "post_processor.single",
            [{"Sequence": {"id": "A", "type_id": 0}}] * 1000,
            "a template of 1,000 pieces",
        ),
        (
            "post_processor.single",
            [{"Sequence": {"id": "A", "type_id": 0}}] * 2,
            "the same text twice",
        ),
        (
            "post_processor.single",
            [{"Sequence": {"id": "B", "type_id": 0}}],
            "index out of bounds",
        ),
        (
            "model",
            {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": ["a b"]},
            "out of range for slice",
        ),
    ],
)
def test_what_would_end_the_process_is_refused(
    tmp_path: Path, path: str, value: Any, found: str
) -> None:
    with pytest.raises(CheckpointError) as caught:
        load(tmp_path, path, value)
    assert found in str(caught.value)
    assert len(str(caught.value)) < 600 + len(str(tmp_path))


def test_a_panic_over_a_text_is_an_error_and_the_encoder_lives(tmp_path: Path) -> None:
    # Each of the starts takes as many ways as the regex library tries at most.
    encoder = load(tmp_path, "pre_tokenizer", split(r"a*a*a*a*a*\d"))
    with pytest.raises(CheckpointError, match=r"texts 0 to 1: .*\(.*retry-limit-in-match"):
        encoder.encode_texts(["good", "a" * 400])
    with pytest.raises(CheckpointError, match="texts 0 to 0"):
        encoder.encode_words([["a" * 400]])
    assert len(encoder.encode_texts(["good food"]).offsets) == 2


def test_a_vocabulary_of_millions_of_lines(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_bytes(b"\n" * 600_000)
    with pytest.raises(CheckpointError, match="at most 500,000 tokens; found 600,000"):
        TextEncoder.from_folder(tmp_path, max_length=12)


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
)
def test_settings_are_small_files(tmp_path: Path, name: str) -> None:
    """A vocabulary may be large; what is no vocabulary is not read whole to find that out."""
    write_tokenizer(tmp_path)
    with (tmp_path / name).open("wb") as file:
        file.truncate(17_000_000)
    with pytest.raises(CheckpointError, match=rf"{name}: expected a file of at most 16 MB"):
        TextEncoder.from_folder(tmp_path, max_length=12)


def test_token_types_beyond_int32(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    post = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))["post_processor"]
    assert post["type"] == "TemplateProcessing"
    for piece in post["single"]:
        next(iter(piece.values()))["type_id"] = 1 << 31
    with pytest.raises(CheckpointError, match=r"below 2\*\*31"):
        load(tmp_path, "post_processor", post).encode_texts(["the film"])
