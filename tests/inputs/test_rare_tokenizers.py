# SPDX-License-Identifier: Apache-2.0
"""Settings of tokenizers that few folders have; each also by the tokenizer.json made of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.inputs import sentencepiece_files
from mtfreeze.inputs.gguf_tokenizer import _post_processor, _pre_tokenizer
from mtfreeze.inputs.sentencepiece_files import read_sentencepiece
from mtfreeze.inputs.text import TextEncoder
from support.sentencepiece_models import CONTROL, UNKNOWN, WORDS, sentencepiece_model
from support.tiny_bert import tiny_vocabulary, write_json
from support.tiny_tokenizers import _MERGES, BYTES

DEBERTA = [(f"[{one}]", 0.0, CONTROL) for one in ("PAD", "CLS", "SEP")]
DEBERTA += [("[UNK]", 0.0, UNKNOWN), *WORDS]
XLM = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL), *WORDS]


def load(folder: Path, kind: str, **settings: Any) -> TextEncoder:
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": kind, **settings})
    return TextEncoder.from_folder(folder, max_length=32, needs_special=False)


def both(folder: Path, kind: str, **settings: Any) -> TextEncoder:
    """Load vocabulary files, and the tokenizer.json that they make, which must be the same."""
    made = load(folder, kind, **settings)
    again = folder / "again"
    again.mkdir()
    (again / "tokenizer.json").write_bytes(made.tokenizer_json())
    other = load(again, kind, **settings)
    texts = ["the cat", "The-Cat  the\tc\u00e9t 12", ""]
    for mine, theirs in zip(made.encode_texts(texts), other.encode_texts(texts), strict=True):
        assert mine.tolist() == theirs.tolist()
    return made


def pieces(encoder: TextEncoder, text: str) -> list[str]:
    return [encoder._tokenizer.id_to_token(i) for i in encoder.encode_texts([text])[0]]


def write_byte_pairs(folder: Path) -> None:
    letters = [one for one in BYTES if not one.startswith("<")]
    write_json(folder / "vocab.json", {one: i for i, one in enumerate(["<|endoftext|>", *letters])})
    merges = [" ".join(pair) for pair in _MERGES]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")


def test_qwen_composes_characters_and_cuts_digits(tmp_path: Path) -> None:
    write_byte_pairs(tmp_path)
    made = both(tmp_path, "Qwen2Tokenizer")
    assert pieces(made, "e\u0301") == pieces(made, "\u00e9")
    assert pieces(made, "42") == ["4", "2"]
    assert pieces(made, "") == []


def test_special_tokens_at_the_ends_of_qwens_texts(tmp_path: Path) -> None:
    write_byte_pairs(tmp_path)
    end = "<|endoftext|>"
    made = both(tmp_path, "Qwen2Tokenizer", add_eos_token=True)
    assert pieces(made, "42") == ["4", "2", end]
    made = load(tmp_path, "Qwen2Tokenizer", add_bos_token=True, bos_token=end)
    assert pieces(made, "42") == [end, "4", "2"]


def test_a_post_processor_of_ones_own_stays(tmp_path: Path) -> None:
    """Where nothing says which tokens stand at the ends, tokenizer.json does."""
    write_byte_pairs(tmp_path)
    made = load(tmp_path, "Qwen2Tokenizer", add_eos_token=True)
    again = tmp_path / "again"
    again.mkdir()
    (again / "tokenizer.json").write_bytes(made.tokenizer_json())
    assert pieces(load(again, "Qwen2Tokenizer"), "42") == ["4", "2", "<|endoftext|>"]


def test_case_and_punctuation_of_deberta(tmp_path: Path) -> None:
    (tmp_path / "spm.model").write_bytes(sentencepiece_model(DEBERTA, unknown=3))
    made = both(tmp_path, "DebertaV2Tokenizer", do_lower_case=True, split_by_punct=True)
    assert pieces(made, "THE") == pieces(made, "the")
    assert pieces(made, "cat-cat").count("\u2581cat") == 2
    plain = load(tmp_path, "DebertaV2Tokenizer")
    assert pieces(plain, "cat-cat").count("\u2581cat") == 1
    assert pieces(plain, "A")[1:-1] == ["\u2581", "A"] and pieces(made, "A")[1:-1] != [
        "\u2581",
        "A",
    ]


def test_camemberts_unknown_piece_is_found_by_its_name(tmp_path: Path) -> None:
    model = sentencepiece_model(XLM, unknown=0)
    (tmp_path / "sentencepiece.bpe.model").write_bytes(model)
    made = both(tmp_path, "CamembertTokenizer")
    assert pieces(made, "the \u65e5")[1:3] == ["\u2581the", "\u2581"]


def test_too_many_pieces_are_no_vocabulary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentencepiece_files, "_MOST_PIECES", 20)
    with pytest.raises(mtf.CheckpointError, match="more than 20 pieces"):
        read_sentencepiece(sentencepiece_model(XLM), tmp_path / "spm.model")


def test_further_special_tokens_stand_for_themselves(tmp_path: Path) -> None:
    """By name in tokenizer_config.json, or listed in the older special_tokens_map.json as well."""
    (tmp_path / "spm.model").write_bytes(sentencepiece_model(DEBERTA, unknown=3))
    named = load(tmp_path, "DebertaV2Tokenizer", extra_special_tokens={"turn": "[SEP]"})
    assert pieces(named, "the [SEP] cat").count("[SEP]") == 2
    write_json(tmp_path / "special_tokens_map.json", {"extra_special_tokens": ["[SEP]", "[CLS]"]})
    for settings in ({}, {"extra_special_tokens": ["[PAD]"]}):
        found = load(tmp_path, "DebertaV2Tokenizer", **settings)
        assert pieces(found, "the [CLS] cat").count("[CLS]") == 2


def test_special_tokens_that_the_folder_names_itself(tmp_path: Path) -> None:
    """As roles of its own: each is a token, whole and special, whatever stands around it."""
    (tmp_path / "vocab.txt").write_text("\n".join(tiny_vocabulary()), "utf-8")
    extra = {"extra_special_tokens": {"turn": "<turn>", "end": "<end>"}}
    found = both(tmp_path, "BertTokenizer", **extra)
    plain = load(tmp_path, "BertTokenizer")
    assert pieces(found, "the<turn>food <end>") == [
        "[CLS]",
        "the",
        "<turn>",
        "food",
        "<end>",
        "[SEP]",
    ]
    assert "<turn>" not in pieces(plain, "the<turn>food")
    added = found._tokenizer.get_added_tokens_decoder().values()
    assert {one.content for one in added if one.special} >= {"<turn>", "<end>"}


def test_the_earlier_name_of_further_special_tokens(tmp_path: Path) -> None:
    """In tokenizer_config.json, and in older folders' special_tokens_map.json, where it is none."""
    (tmp_path / "vocab.txt").write_text("\n".join([*tiny_vocabulary(), "<turn>"]), "utf-8")
    named = load(tmp_path, "BertTokenizer", additional_special_tokens=["<turn>"])
    assert "<turn>" in pieces(named, "the<turn>food")
    write_json(tmp_path / "special_tokens_map.json", {"additional_special_tokens": ["<turn>"]})
    assert "<turn>" in pieces(load(tmp_path, "BertTokenizer"), "the<turn>food")


# ---- gguf ----------------------------------------------------------------------------------------


def test_rules_of_gguf_files_that_cut_digits_or_by_a_pattern() -> None:
    digits, cut = _pre_tokenizer("digits")["pretokenizers"], _pre_tokenizer(r"\s+")["pretokenizers"]
    assert [one["type"] for one in digits] == ["Digits", "ByteLevel"] and digits[1]["use_regex"]
    assert cut[0]["pattern"] == {"Regex": r"\s+"} and not cut[1]["use_regex"]


def test_special_tokens_of_gguf_files_stand_at_the_ends() -> None:
    notes = {"tokenizer.ggml.add_bos_token": True, "tokenizer.ggml.add_eos_token": True}
    made = _post_processor(notes, {"bos": "<s>", "eos": "</s>"}, ["a", "<s>", "</s>"])
    assert made is not None
    names = [next(iter(one.values()))["id"] for one in made["pair"]]
    assert names == ["<s>", "A", "</s>", "<s>", "B", "</s>"]
    assert made["special_tokens"]["</s>"]["ids"] == [2]
    assert _post_processor({}, {"bos": "<s>"}, ["<s>"]) is None


# ---- lower case ----------------------------------------------------------------------------------


def test_rows_of_every_kind_are_lowered(tiny_model: mtf.MultiTaskModel) -> None:
    from mtfreeze.inputs.blocks import Blocks
    from mtfreeze.inputs.windows import Windows

    encoder = tiny_model.encoder
    upper = [("THE FILM", "WAS Good")]
    lower = [(a.lower(), b.lower()) for a, b in upper]
    encoder.do_lower_case = True
    first, second = (mtf.Examples.from_rows([row]) for row in (upper[0], lower[0]))
    assert np.array_equal(*(encoder.encode_pairs(rows)[0] for rows in (upper, lower)))
    windows = Windows()
    mine, theirs = (windows.encode(encoder, one) for one in (first, second))
    assert np.array_equal(mine.inputs["ids"], theirs.inputs["ids"])
    texts = [mtf.Examples.from_rows([(rows[0][0], "x")]) for rows in (upper, lower)]
    mine, theirs = (Blocks().encode(encoder, one) for one in texts)
    assert np.array_equal(mine.inputs["ids"], theirs.inputs["ids"])
