# SPDX-License-Identifier: Apache-2.0
"""`TextEncoder`: ids equal to the tokenizer's, word positions, truncation, misfits."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtfreeze.data import Examples, read_conll, read_tsv
from mtfreeze.errors import CheckpointError, ConfigError, DataError
from mtfreeze.inputs.row_encoding import PLAIN
from mtfreeze.inputs.text import TextEncoder
from mtfreeze.inputs.tokenizer_files import load_tokenizer, read_tokenizer_files
from support.places import EXAMPLES, ROOT
from support.texts import TAGGED
from support.tiny_bert import tiny_vocabulary, write_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tokenizer")
    write_tokenizer(path)
    return path


@pytest.fixture
def encoder(folder: Path) -> TextEncoder:
    return TextEncoder.from_folder(folder, max_length=12, n_embeddings=len(tiny_vocabulary()))


@pytest.fixture(scope="module")
def minilm(minilm_folder: Path) -> TextEncoder:
    return TextEncoder.from_folder(minilm_folder, max_length=256, n_embeddings=30522)


def ids_of(*pieces: str) -> list[int]:
    vocabulary = tiny_vocabulary()
    return [vocabulary.index(piece) for piece in pieces]


def test_texts(encoder: TextEncoder) -> None:
    encoded = encoder.encode_texts(["The film", "", "Zoe"])
    assert encoded[0].tolist() == ids_of("[CLS]", "the", "film", "[SEP]")
    assert encoded[1].tolist() == ids_of("[CLS]", "[SEP]")
    assert encoded[2].tolist() == ids_of("[CLS]", "z", "##o", "##e", "[SEP]")
    assert encoded.inputs["ids"].dtype == np.int32
    assert not encoded.inputs["token_types"].any()
    assert encoded.n_truncated == 0
    assert encoder.encode_texts([]).pack().n_sequences == 0


def test_the_files_own_padding_and_truncation_are_ignored(folder: Path) -> None:
    own = json.loads((folder / "tokenizer.json").read_text())
    assert own["padding"]["strategy"] == {"Fixed": 16}
    assert own["truncation"]["max_length"] == 16
    encoder = TextEncoder.from_folder(folder, max_length=40)
    assert encoder.encode_texts(["film", "film " * 30]).lengths.tolist() == [3, 32]


def test_truncation_keeps_the_special_tokens_and_is_counted(encoder: TextEncoder) -> None:
    encoded = encoder.encode_texts(["film " * 10, "film " * 11, "film " * 500])
    assert encoded.lengths.tolist() == [12, 12, 12]
    assert encoded.truncated.tolist() == [False, True, True]
    assert encoded[2].tolist() == ids_of("[CLS]", *["film"] * 10, "[SEP]")


def test_words(encoder: TextEncoder) -> None:
    encoded = encoder.encode_words([["Anna's", "", "film"], [], ["\u200b", "good"]])
    assert encoded[0].tolist() == ids_of("[CLS]", "anna", "'", "s", "film", "[SEP]")
    assert encoded.first_subwords(0).tolist() == [1, -1, 4]
    assert encoded[1].tolist() == ids_of("[CLS]", "[SEP]")
    assert encoded.first_subwords(2).tolist() == [-1, 1]
    assert encoded.n_lost_words == 2


def test_words_lost_to_truncation(encoder: TextEncoder) -> None:
    encoded = encoder.encode_words([["film"] * 9 + ["zoe", "good", "bad"]])
    assert encoded.truncated.tolist() == [True]
    assert encoded.first_subwords(0).tolist() == [*range(1, 11), -1, -1]
    assert encoder.encode_words([]).n_lost_words == 0


def test_two_words_are_not_a_pair_of_texts(encoder: TextEncoder) -> None:
    encoded = encoder.encode_words([["film", "good"], ["the film", "good bad"]])
    assert encoded[0].tolist() == ids_of("[CLS]", "film", "good", "[SEP]")
    assert encoded.first_subwords(1).tolist() == [1, 3]


def test_many_rows_go_through_in_chunks(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [["film"] * (i % 5) for i in range(50)]
    whole = encoder.encode_words(rows)
    monkeypatch.setattr("mtfreeze.inputs.token_lists._CHUNK", 7)
    chunked = encoder.encode_words(rows)
    assert (chunked.inputs["ids"] == whole.inputs["ids"]).all()
    assert (chunked.offsets == whole.offsets).all()
    assert all((chunked.first_subwords(i) == whole.first_subwords(i)).all() for i in range(50))


def test_lower_casing_of_the_model(folder: Path, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text())
    content["normalizer"]["lowercase"] = False
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}))
    cased = TextEncoder.from_folder(tmp_path, max_length=12)
    lowered = TextEncoder.from_folder(tmp_path, max_length=12, do_lower_case=True)
    assert cased.encode_texts(["The"])[0].tolist() == ids_of("[CLS]", "[UNK]", "[SEP]")
    assert lowered.encode_texts(["The"])[0].tolist() == ids_of("[CLS]", "the", "[SEP]")
    assert lowered.encode_words([["The"]])[0].tolist() == ids_of("[CLS]", "the", "[SEP]")


def test_data_sets_are_encoded_once(encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = encoder._encode
    monkeypatch.setattr(encoder, "_encode", lambda *a, **k: (calls.append(1), original(*a, **k))[1])
    words = Examples.from_rows(TAGGED)
    texts = Examples.from_rows([("the film", 1), ("", 0)])
    assert encoder.encode_examples(words, PLAIN) is encoder.encode_examples(words, PLAIN)
    assert encoder.encode_examples(words, PLAIN).has_words
    assert encoder.encode_examples(texts, PLAIN)[1].tolist() == ids_of("[CLS]", "[SEP]")
    assert len(calls) == 2
    assert len(encoder._cache) == 2
    del words
    gc.collect()
    assert len(encoder._cache) == 1


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["a", None], r"text 1: expected a text \(str\); found None"),
        (["a", "b", b"c"], r"text 2: expected a text \(str\); found bytes b'c'; decode it"),
        ([3], r"text 0: expected a text \(str\); found int 3"),
        ([float("nan")], r"text 0: expected a text \(str\); found float nan"),
        ([["a"]], r"text 0: expected a text \(str\); found list"),
        ("one text", r"expected a list of texts; found one str; put it into a list"),
        (b"bytes", r"expected a list of texts; found one bytes"),
        (None, r"expected a list of texts; found NoneType"),
        (7, r"expected a list of texts; found int"),
        ({"a": 1}, r"expected a list of texts; found dict"),
    ],
)
def test_texts_of_the_wrong_type(encoder: TextEncoder, texts: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        encoder.encode_texts(texts)


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([["a"], ["b", None]], r"sentence 1: expected words \(str\); word 1 is None"),
        ([["a"], "b c"], r"sentence 1: expected a list of words \(str\); found str 'b c'; split"),
        ([[b"a"]], r"sentence 0: expected words \(str\); word 0 is bytes"),
        ([None], r"sentence 0: expected a list of words"),
        ("abc", r"expected a list of sentences; found one str"),
    ],
)
def test_words_of_the_wrong_type(encoder: TextEncoder, sentences: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        encoder.encode_words(sentences)


def test_lone_surrogates(encoder: TextEncoder) -> None:
    message = r"text 1: .*lone surrogate U\+D800 at character 2"
    with pytest.raises(DataError, match=message):
        encoder.encode_texts(["fine", "ab\ud800"])
    with pytest.raises(DataError, match=message):
        encoder.encode_words([["fine"], ["ab\ud800"]])


def test_an_interrupt_is_no_damaged_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tokenizers.Tokenizer", type("T", (), {"from_str": interrupted}))
    with pytest.raises(KeyboardInterrupt):
        TextEncoder.from_folder(folder, max_length=12)


def test_unusual_texts_pass(encoder: TextEncoder) -> None:
    texts = ["\x00", "\ufeff", "🦄" * 50, "a" * 100_000, "\n\t ", "[SEP] [PAD]", "e\u0301", "مرحبا"]
    encoded = encoder.encode_texts(texts)
    assert len(encoded) == len(texts)
    assert (encoded.lengths <= 12).all()
    assert encoded.inputs["ids"].max() < len(tiny_vocabulary())


@pytest.mark.parametrize("max_length", [-1, 0, 1, 2])
def test_max_length_must_leave_room(folder: Path, max_length: int) -> None:
    with pytest.raises(ConfigError, match=f"more than the 2 special tokens.*found {max_length}"):
        TextEncoder.from_folder(folder, max_length=max_length)


# Files that do not hold or do not fit


def test_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected tokenizer.json, vocab.txt, vocab"):
        TextEncoder.from_folder(tmp_path, max_length=12)


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": "1.0"}', '{"model": 3}', "\x00" * 10, "[" * 5000]
)
def test_damaged_tokenizer_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(CheckpointError, match=r"tokenizer.json: .*damaged or unknown"):
        TextEncoder.from_folder(tmp_path, max_length=12)


def test_truncated_tokenizer_json_and_wrong_encoding(folder: Path, tmp_path: Path) -> None:
    raw = (folder / "tokenizer.json").read_bytes()
    for share in (0.1, 0.5, 0.9):
        (tmp_path / "tokenizer.json").write_bytes(raw[: int(len(raw) * share)])
        with pytest.raises(CheckpointError, match="damaged or unknown"):
            TextEncoder.from_folder(tmp_path, max_length=12)
    (tmp_path / "tokenizer.json").write_bytes(b"\xff" + raw)
    with pytest.raises(CheckpointError, match="expected UTF-8; found byte 0xff at 0"):
        TextEncoder.from_folder(tmp_path, max_length=12)


def changed_tokenizer(folder: Path, target: Path, change: Any) -> Path:
    """Write a changed tokenizer.json that is the whole tokenizer."""
    write_whole(target)
    content = json.loads((folder / "tokenizer.json").read_text())
    change(content)
    (target / "tokenizer.json").write_text(json.dumps(content))
    return target


def write_whole(folder: Path) -> None:
    whole = {"tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(whole))


def test_vocabulary_larger_than_the_model(folder: Path) -> None:
    size = len(tiny_vocabulary())
    assert TextEncoder.from_folder(folder, max_length=12, n_embeddings=size).vocab_size == size
    with pytest.raises(CheckpointError, match=f"token ids below {size - 1}.*found id {size - 1}"):
        TextEncoder.from_folder(folder, max_length=12, n_embeddings=size - 1)


def test_a_sparse_vocabulary_is_judged_by_its_largest_id(folder: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["model"]["vocab"]["film"] = 5000

    path = changed_tokenizer(folder, tmp_path, change)
    with pytest.raises(CheckpointError, match=r"found id 5000 \('film'\)"):
        TextEncoder.from_folder(path, max_length=12, n_embeddings=1000)


def test_the_ids_of_a_vocabulary_come_from_its_file(folder: Path, tmp_path: Path) -> None:
    """Asking the tokenizer for all of them takes longer than all the other checks."""
    files = read_tokenizer_files(folder)
    tokenizer, numbers = load_tokenizer(files, folder)
    assert numbers is not None
    assert sorted(numbers) == sorted(tokenizer.get_vocab(with_added_tokens=False).values())
    lines = {"vocab.txt": b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"}
    assert load_tokenizer(lines, tmp_path)[1] is None


def test_special_tokens_missing(folder: Path, tmp_path: Path) -> None:
    path = changed_tokenizer(folder, tmp_path, lambda c: c.update(post_processor=None))
    with pytest.raises(CheckpointError, match=r"such as \[CLS\] and \[SEP\] around a text"):
        TextEncoder.from_folder(path, max_length=12)
    plain = TextEncoder.from_folder(path, max_length=12, needs_special=False)
    assert plain.encode_texts(["film"])[0].tolist() == ids_of("film")
    assert plain.encode_texts([""])[0].tolist() == []


def test_special_tokens_with_two_ids(folder: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["post_processor"]["special_tokens"]["[CLS]"]["ids"] = [7]

    path = changed_tokenizer(folder, tmp_path, change)
    with pytest.raises(CheckpointError, match=r"'\[CLS\]' to have one id; found 7 in"):
        TextEncoder.from_folder(path, max_length=12)


def test_an_empty_vocabulary(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    write_whole(tmp_path)
    Tokenizer(models.WordLevel({}, unk_token="[UNK]")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="with a vocabulary; found an empty one"):
        TextEncoder.from_folder(tmp_path, max_length=12)


def test_a_vocabulary_without_its_unknown_token(folder: Path, tmp_path: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["model"]["unk_token"] = "[NOPE]"

    path = changed_tokenizer(folder, tmp_path, change)
    with pytest.raises(CheckpointError, match=r"damaged or unknown one .*UNK"):
        TextEncoder.from_folder(path, max_length=12)


# vocab.txt alone


def test_vocab_txt_gives_the_same_ids(folder: Path, tmp_path: Path) -> None:
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(folder / name, tmp_path)
    texts = ["The film's poor battery — Ünïcode [SEP] 漢字", "", "zoe"]
    expected = TextEncoder.from_folder(folder, max_length=40).encode_texts(texts)
    found = TextEncoder.from_folder(tmp_path, max_length=40).encode_texts(texts)
    assert [row.tolist() for row in found] == [row.tolist() for row in expected]


@pytest.mark.parametrize(("lower", "piece"), [(True, "the"), (False, "[UNK]")])
def test_vocab_txt_honours_do_lower_case(
    folder: Path, tmp_path: Path, lower: bool, piece: str
) -> None:
    text = (folder / "vocab.txt").read_text().replace("\n", "\r\n")
    (tmp_path / "vocab.txt").write_bytes(text.encode())
    config = {"do_lower_case": lower, "cls_token": {"content": "[CLS]"}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    encoded = TextEncoder.from_folder(tmp_path, max_length=12).encode_texts(["THE"])
    assert encoded[0].tolist() == ids_of("[CLS]", piece, "[SEP]")


def test_vocab_txt_errors(folder: Path, tmp_path: Path) -> None:
    pieces = [piece for piece in tiny_vocabulary() if piece != "[SEP]"]
    (tmp_path / "vocab.txt").write_text("\n".join(pieces))
    with pytest.raises(CheckpointError, match=r"special token '\[SEP\]' among its lines"):
        TextEncoder.from_folder(tmp_path, max_length=12)
    shutil.copy(folder / "vocab.txt", tmp_path)
    for content, message in (
        (b"{", "found a damaged file"),
        (b"[]", "found list"),
        (b"\xfe{}", "expected UTF-8; found byte 0xfe"),
    ):
        (tmp_path / "tokenizer_config.json").write_bytes(content)
        with pytest.raises(CheckpointError, match=f"tokenizer_config.json: .*{message}"):
            TextEncoder.from_folder(tmp_path, max_length=12)


def test_files_are_kept_for_saving(encoder: TextEncoder, folder: Path) -> None:
    assert set(encoder.files) == {p.name for p in folder.iterdir()}
    assert all(content == (folder / name).read_bytes() for name, content in encoder.files.items())


# The real tokenizer


@pytest.mark.real
def test_minilm_ids_equal_the_tokenizer_one_text_at_a_time(
    minilm: TextEncoder, minilm_folder: Path
) -> None:
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    reference.no_padding()
    reference.enable_truncation(256)
    texts = [row.text or "" for row in read_tsv(EXAMPLES / "reviews_eval.tsv")]
    encoded = minilm.encode_texts(texts)
    assert [row.tolist() for row in encoded] == [reference.encode(text).ids for text in texts]
    assert encoded.n_truncated == 0
    assert len(set(encoded.lengths.tolist())) > 20


@pytest.mark.real
def test_minilm_words(minilm: TextEncoder, minilm_folder: Path) -> None:
    from tokenizers import Tokenizer

    reference = Tokenizer.from_file(str(minilm_folder / "tokenizer.json"))
    data = read_conll(EXAMPLES / "wnut_eval.conll")
    encoded = minilm.encode_examples(data, PLAIN)
    for row, example in enumerate(data):
        words = example.words or ()
        for word, first in zip(words, encoded.first_subwords(row), strict=True):
            reference.no_padding()
            pieces = reference.encode(word, add_special_tokens=False).ids
            assert (first == -1) == (not pieces)
            if pieces:
                assert encoded[row][first : first + len(pieces)].tolist() == pieces


@pytest.mark.real
def test_minilm_without_tokenizer_json(
    minilm: TextEncoder, minilm_folder: Path, tmp_path: Path
) -> None:
    for name in ("vocab.txt", "tokenizer_config.json"):
        shutil.copy(minilm_folder / name, tmp_path)
    texts = [row.text or "" for row in read_tsv(EXAMPLES / "reviews_eval.tsv")]
    built = TextEncoder.from_folder(tmp_path, max_length=256, n_embeddings=30522)
    assert (
        built.encode_texts(texts).inputs["ids"] == minilm.encode_texts(texts).inputs["ids"]
    ).all()


@pytest.mark.real
def test_minilm_equals_transformers(minilm: TextEncoder, minilm_folder: Path) -> None:
    transformers = pytest.importorskip("transformers")
    reference = transformers.AutoTokenizer.from_pretrained(minilm_folder)
    texts = [row.text or "" for row in read_tsv(EXAMPLES / "reviews_eval.tsv")[:100]]
    texts += ["", "word " * 600]
    expected = reference(texts, truncation=True, max_length=256)["input_ids"]
    assert [row.tolist() for row in minilm.encode_texts(texts)] == expected


def test_nothing_heavy_is_imported_and_no_variable_is_changed() -> None:
    code = (
        "import os, sys; before = dict(os.environ); import mtfreeze.inputs.text, mtfreeze.data; "
        "assert dict(os.environ) == before; "
        "heavy = {'tokenizers', 'safetensors', 'huggingface_hub', 'yaml', 'click', 'tqdm'}; "
        "found = heavy & set(sys.modules); assert not found, found"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_what_the_tokenizer_says_of_rows_that_hold_is_passed_on(
    encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def encode_batch(self, rows: Any, is_pretokenized: bool) -> Any:
            raise TypeError("not today")

    monkeypatch.setattr(encoder, "_tokenizer", Broken())
    with pytest.raises(CheckpointError, match=r"texts 0 to 0.*not today"):
        encoder.encode_texts(["good food"])
