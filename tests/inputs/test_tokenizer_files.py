# SPDX-License-Identifier: Apache-2.0
"""What each file of a tokenizer says counts as it does in transformers, or the folder is refused.

`tests/parity/test_tokenizer_layouts.py` compares with transformers itself; the ids here are its.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtfreeze.errors import CheckpointError
from mtfreeze.inputs.text import TextEncoder
from support.tokenizer_layouts import Layout, pieces_of, write_layout

NAMES = {role: f"[{role.upper()}]" for role in ("unk", "sep", "pad", "cls", "mask")}
OWN = {"lowercase": True, "strip_accents": None, "handle_chinese_chars": True}
BOTH = ("vocab.txt", "tokenizer.json")


def ids_of(*pieces: str, names: dict[str, str] = NAMES) -> list[int]:
    known = pieces_of(names)
    return [known.index(piece) for piece in pieces]


def load(folder: Path, layout: Layout, n_embeddings: int | None = None) -> TextEncoder:
    size = write_layout(folder, layout)
    return TextEncoder.from_folder(
        folder,
        max_length=12,
        n_embeddings=n_embeddings or size,
        model_class=layout.model_class,
    )


def layout(vocabulary: tuple[str, ...] = BOTH, **files: Any) -> Layout:
    return Layout(dict(NAMES), vocabulary, dict(OWN), **files)


@pytest.mark.parametrize(
    ("config", "pieces"),
    [
        ({"do_lower_case": True}, ["paris", "cafe", "漢", "字"]),
        ({"do_lower_case": False}, ["Paris", "Café", "漢", "字"]),
        (
            {"do_lower_case": False, "strip_accents": True},
            ["Paris", "C", "##a", "##f", "##e", "漢", "字"],
        ),
        ({"strip_accents": False}, ["paris", "café", "漢", "字"]),
        ({"tokenize_chinese_chars": False}, ["paris", "cafe", "漢字"]),
    ],
)
@pytest.mark.parametrize("vocabulary", [("vocab.txt",), ("tokenizer.json",), BOTH])
def test_settings_of_tokenizer_config_count(
    tmp_path: Path, vocabulary: tuple[str, ...], config: dict[str, Any], pieces: list[str]
) -> None:
    encoder = load(tmp_path, layout(vocabulary, config=config))
    found = encoder.encode_texts(["Paris Café 漢字"])[0].tolist()
    assert found == ids_of("[CLS]", *pieces, "[SEP]")


@pytest.mark.parametrize(
    ("own", "key"),
    [
        ({"lowercase": False}, "do_lower_case"),
        ({"strip_accents": False}, "strip_accents"),
        ({"handle_chinese_chars": False}, "tokenize_chinese_chars"),
    ],
)
@pytest.mark.parametrize("config", [None, {}, {"tokenizer_class": "BertTokenizer"}])
def test_a_default_does_not_override_what_tokenizer_json_says(
    tmp_path: Path, config: dict[str, Any] | None, own: dict[str, Any], key: str
) -> None:
    one = layout(config=config)
    one.own |= own
    message = f"'{key}'; found False in tokenizer.json and nothing in tokenizer_config.json"
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path, one)
    one.config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    load(tmp_path, one)


PLACES = {
    "added_tokens.json": lambda tokens: {"added": {t["content"]: t["id"] for t in tokens}},
    "added_tokens_decoder": lambda tokens: {
        "config": {
            "added_tokens_decoder": {
                str(t["id"]): {key: value for key, value in t.items() if key != "id"}
                for t in tokens
            }
        }
    },
    "tokenizer.json": lambda tokens: {"own_added": tokens},
}
texts = st.text("abXÉ漢<>[]_7", min_size=1, max_size=6).filter(
    lambda text: text not in pieces_of(NAMES)
)


@settings(max_examples=40, deadline=None)
@given(st.lists(texts, min_size=1, max_size=4, unique=True), st.sampled_from(sorted(PLACES)))
def test_added_tokens_are_read_wherever_they_are_written(
    tmp_path_factory: pytest.TempPathFactory, contents: list[str], place: str
) -> None:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    begin = len(pieces_of(NAMES))
    tokens = [{"id": begin + i, "content": text, **flags} for i, text in enumerate(contents)]
    if place == "added_tokens.json":  # which tells no flags: they are found in lower-cased text
        if len({text.lower().replace("é", "e") for text in contents}) < len(contents):
            return
        tokens = [{**token, "normalized": True} for token in tokens]
    vocabulary = ("tokenizer.json",) if place == "tokenizer.json" else ("vocab.txt",)
    encoder = load(tmp_path_factory.mktemp("layout"), layout(vocabulary, **PLACES[place](tokens)))
    longest = max(contents, key=len)
    assert encoder.encode_texts([longest])[0].tolist() == [
        *ids_of("[CLS]"),
        begin + contents.index(longest),
        *ids_of("[SEP]"),
    ]
    assert encoder.vocab_size == begin + len(contents)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"added": {"new1": 200}},
            r"one id; found 200 for 'new1' in one of them and \d+ in the others",
        ),
        ({"config": {"added_tokens_decoder": {"x": {"content": "a"}}}}, "numbers as ids; found"),
        ({"config": {"added_tokens_decoder": {"3": {}}}}, "added tokens with their text"),
        ({"config": {"added_tokens_decoder": []}}, r"to map ids to tokens; found \[\]"),
        ({"config": {"do_lower_case": "false"}}, "'do_lower_case' to be true or false"),
        ({"config": {"do_lower_case": None}}, "'do_lower_case' to be true or false"),
        ({"config": {"cls_token": None}}, "'cls_token' to name a token; found None"),
        ({"config": {"pad_token": 3}}, "'pad_token' to name a token; found 3"),
        ({"config": {"extra_special_tokens": "<x>"}}, "'extra_special_tokens' to be a list"),
        ({"config": {"truncation_side": "top"}}, "'truncation_side' to be 'left' or"),
        ({"config": {"auto_map": {"AutoTokenizer": ["a.B", None]}}}, "code that comes with the"),
        ({"config": {"fast_tokenizer_files": ["tokenizer.4.0.json"]}}, "other versions"),
        ({"config": {"tokenizer_class": "BertJapaneseTokenizer"}}, "'BertJapaneseTokenizer', wh"),
        ({"model_class": "BertJapaneseTokenizer"}, "found 'BertJapaneseTokenizer', which"),
        ({"special": {"sep_token": "[CLS]"}}, "special tokens around a text"),
    ],
)
def test_refused(tmp_path: Path, files: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(tmp_path, layout(**files))


def test_a_class_of_a_whole_tokenizer_needs_tokenizer_json(tmp_path: Path) -> None:
    config = {"tokenizer_class": "PreTrainedTokenizerFast"}
    with pytest.raises(CheckpointError, match=r"expected tokenizer\.json beside the tokenizer_cla"):
        load(tmp_path, layout(("vocab.txt",), config=config))


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("pre_tokenizer",), {"type": "Whitespace"}, "pre-tokenizer: 'Whitespace' instead"),
        (("normalizer",), {"type": "Lowercase"}, "normalizer: 'Lowercase' instead"),
        (("normalizer",), None, "normalizer: None instead"),
        (("normalizer", "clean_text"), False, "clean_text: False instead"),
        (("model", "continuing_subword_prefix"), "@@", "inner pieces: '@@' instead"),
        (("model", "max_input_chars_per_word"), 200, "longest word: 200 instead"),
        (("model", "unk_token"), "a", "unknown token: 'a' instead"),
        (("post_processor",), None, "special tokens around a text"),
    ],
)
def test_a_tokenizer_json_that_its_class_would_not_build(
    tmp_path: Path, path: tuple[str, ...], value: Any, message: str
) -> None:
    write_layout(tmp_path, layout(("tokenizer.json",)))
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text("utf-8"))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    file.write_text(json.dumps(content), "utf-8")
    with pytest.raises(CheckpointError, match=f"{message}.*PreTrainedTokenizerFast"):
        TextEncoder.from_folder(tmp_path, max_length=12)


def test_special_tokens_map_renames(tmp_path: Path) -> None:
    names = {**NAMES, "cls": "<s>", "sep": "</s>"}
    renamed = Layout(names, ("vocab.txt",), dict(OWN))
    renamed.special = {"cls_token": "<s>", "sep_token": {"content": "</s>"}}
    renamed.config = {"cls_token": "[CLS]"}
    found = load(tmp_path, renamed).encode_texts(["paris </s>"])[0].tolist()
    assert found == ids_of("<s>", "paris", "</s>", "</s>", names=names)


def test_texts_are_cut_at_the_side_that_is_named(tmp_path: Path) -> None:
    encoder = load(tmp_path, layout(config={"truncation_side": "left"}))
    encoded = encoder.encode_words([["paris"] * 5 + ["the"] * 10])
    assert encoded[0].tolist() == ids_of("[CLS]", *["the"] * 10, "[SEP]")
    assert encoded.first_subwords(0).tolist() == [-1] * 5 + list(range(1, 11))
    assert encoded.n_truncated == 1


def test_special_tokens_in_texts_may_be_plain_text(tmp_path: Path) -> None:
    encoder = load(tmp_path, layout(config={"split_special_tokens": True}))
    found = encoder.encode_texts(["[MASK]"])[0].tolist()
    assert found == ids_of("[CLS]", "[", "m", "##a", "##s", "##k", "]", "[SEP]")


def test_special_tokens_that_the_model_has_no_row_for(tmp_path: Path) -> None:
    write_layout(tmp_path, layout(("vocab.txt",)))
    path = tmp_path / "vocab.txt"
    pieces = [piece for piece in path.read_text("utf-8").split("\n") if piece not in ("[MASK]", "")]
    path.write_text("\n".join(pieces), "utf-8")
    message = r"'\[MASK\]'.*if the model has no such token, write null for it"
    with pytest.raises(CheckpointError, match=message):
        TextEncoder.from_folder(tmp_path, max_length=12, n_embeddings=len(pieces))
    (tmp_path / "tokenizer_config.json").write_text('{"mask_token": null}')
    encoder = TextEncoder.from_folder(tmp_path, max_length=12, n_embeddings=len(pieces))
    assert encoder.vocab_size == len(pieces)


def test_lines_of_vocab_txt_are_read_as_the_library_reads_them(tmp_path: Path) -> None:
    write_layout(tmp_path, layout(("vocab.txt",)))
    path = tmp_path / "vocab.txt"
    raw = path.read_bytes()
    expected = TextEncoder.from_folder(tmp_path, max_length=12).encode_texts(["paris"])[0].tolist()
    path.write_bytes(raw.replace(b"\n", " \u3000\r\n".encode()))
    found = TextEncoder.from_folder(tmp_path, max_length=12).encode_texts(["paris"])[0].tolist()
    assert found == expected
    path.write_bytes(b"\xef\xbb\xbf" + raw)
    with pytest.raises(CheckpointError, match=r"byte order mark.*without one"):
        TextEncoder.from_folder(tmp_path, max_length=12)
