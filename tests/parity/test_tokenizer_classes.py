# SPDX-License-Identifier: Apache-2.0
"""Every class of tokenizer from every file that it is built from: the ids of transformers."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.inputs.packing import TOKEN_TYPES
from mtfreeze.inputs.text import TextEncoder
from support.texts import WORDS, words
from support.tiny_bert import tiny_vocabulary, write_json

pytestmark = [pytest.mark.parity, pytest.mark.long]

MAX_LENGTH = 64
STRANGE = words(
    "caf\u00e9 na\u00efve \u65e5\u672c\u8a9e \ufb01ne \u2460 \uff21\uff22 \u2163 \u00bd \U0001f600 "
    "e\u0301 don't ``quoted'' 3,000 a\u00adb \u041f\u0440\u0438\u0432\u0435\u0442 [MASK] <mask> "
    "<s> </s> <unk> [CLS] <pad> \u2581 _ # https://x.y/z?q=1 \u200b \ufeff \u0130stanbul \u00df "
    "<|endoftext|> newword 100,5"
)
STRANGE.append("a\u00a0b")


def draw(rng: random.Random) -> str:
    """Return a text of words that are known and of what tokenizers differ about."""
    blank = rng.choice([" ", " ", " ", "  ", "\t", "\n", " \u3000"])
    words = (
        rng.choice(WORDS if rng.random() < 0.7 else STRANGE) for _ in range(rng.randint(0, 14))
    )
    text = blank.join(words)
    text = text.upper() if rng.random() < 0.2 else text
    return f" {text} " if rng.random() < 0.1 else text


TEXTS = [draw(random.Random(seed)) for seed in range(2000)]
LISTS = [text.split() for text in TEXTS]
CORPUS = [draw(random.Random(-seed - 1)).replace("\n", " ") for seed in range(3000)]


@pytest.fixture
def transformers() -> Iterator[Any]:
    """Return the library, quiet; it is loaded where a test runs."""
    transformers = pytest.importorskip(
        "transformers", minversion="5", reason="parity needs transformers"
    )
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield transformers
    transformers.logging.set_verbosity(level)


def check(transformers: Any, folder: Path, kind: str, lists: bool, n: int) -> Any:
    """Compare the ids of `n` texts with those of transformers; return its tokenizer."""
    theirs = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert type(theirs).__name__ == kind
    ours = TextEncoder.from_folder(folder, max_length=MAX_LENGTH, needs_special=False)
    expected = theirs(TEXTS[:n], truncation=True, max_length=MAX_LENGTH)["input_ids"]
    assert [row.tolist() for row in ours.encode_texts(TEXTS[:n])] == expected
    pairs = list(zip(TEXTS[: n - 1], TEXTS[1:n], strict=True))
    expected = theirs(pairs, truncation=True, max_length=MAX_LENGTH)["input_ids"]
    assert [row.tolist() for row in ours.encode_pairs(pairs)] == expected
    typed = theirs(pairs, truncation=True, max_length=MAX_LENGTH, return_token_type_ids=True)
    types = [one for row in typed["token_type_ids"] for one in row]
    assert ours.encode_pairs(pairs).inputs[TOKEN_TYPES].tolist() == types
    if lists:
        spaced = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, add_prefix_space=True
        )
        expected = spaced(
            LISTS[:n], is_split_into_words=True, truncation=True, max_length=MAX_LENGTH
        )["input_ids"]
        assert [row.tolist() for row in ours.encode_words(LISTS[:n])] == expected
    return theirs


def both_ways(
    transformers: Any, folder: Path, kind: str, model_type: str, *, n: int, lists: bool = True
) -> None:
    """Compare a folder of vocabulary files, and what transformers saves of it: tokenizer.json."""
    write_json(folder / "config.json", {"model_type": model_type})
    theirs = check(transformers, folder, kind, lists, n)
    saved = folder.with_name("saved")
    theirs.save_pretrained(saved)
    write_json(saved / "config.json", {"model_type": model_type})
    assert (saved / "tokenizer.json").is_file()
    check(transformers, saved, kind, lists, n)


FAIRSEQ: dict[str, Any] = {}
ALBERT = {
    "pad_id": 0,
    "unk_id": 1,
    "bos_id": -1,
    "eos_id": -1,
    "control_symbols": "[CLS],[SEP],[MASK]",
    "pad_piece": "<pad>",
    "user_defined_symbols": "newword",
}
DEBERTA = {
    "pad_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "unk_id": 3,
    "pad_piece": "[PAD]",
    "bos_piece": "[CLS]",
    "eos_piece": "[SEP]",
    "unk_piece": "[UNK]",
}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"do_lower_case": True},
        {"do_lower_case": False, "keep_accents": True, "split_by_punct": True},
    ],
)
@pytest.mark.parametrize(
    ("kind", "model_type", "file", "trained"),
    [
        ("XLMRobertaTokenizer", "xlm-roberta", "sentencepiece.bpe.model", FAIRSEQ),
        ("CamembertTokenizer", "camembert", "sentencepiece.bpe.model", FAIRSEQ),
        ("AlbertTokenizer", "albert", "spiece.model", ALBERT),
        ("DebertaV2Tokenizer", "deberta-v2", "spm.model", DEBERTA),
    ],
)
def test_sentencepiece(
    transformers: Any,
    tmp_path: Path,
    kind: str,
    model_type: str,
    file: str,
    trained: dict[str, Any],
    settings: dict[str, Any],
) -> None:
    library = pytest.importorskip("sentencepiece", reason="models are trained with the library")
    pytest.importorskip("google.protobuf", reason="transformers reads models with it")
    model = io.BytesIO()
    library.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS),
        model_writer=model,
        vocab_size=300,
        hard_vocab_limit=False,
        minloglevel=2,
        **trained,
    )
    folder = tmp_path / "model"
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": kind, **settings})
    (folder / file).write_bytes(model.getvalue())
    both_ways(transformers, folder, kind, model_type, n=200 if settings else 2000)


@pytest.mark.parametrize(
    "settings",
    [{}, {"add_prefix_space": True}, {"add_bos_token": True}, {"add_eos_token": True}],
)
@pytest.mark.parametrize(
    ("kind", "model_type", "special"),
    [
        ("RobertaTokenizer", "roberta", ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]),
        ("GPT2Tokenizer", "gpt2", ["<|endoftext|>"]),
        ("Qwen2Tokenizer", "qwen3", ["<|endoftext|>"]),
    ],
)
def test_byte_level(
    transformers: Any,
    tmp_path: Path,
    kind: str,
    model_type: str,
    special: list[str],
    settings: dict[str, Any],
) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer: Any = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer: Any = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    folder = tmp_path / "model"
    write_json(folder / "vocab.json", model["vocab"])
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), "utf-8")
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": kind, **settings})
    # Qwen's class puts its prefix before every cut of a word, which no text has.
    n = 200 if settings else 2000
    both_ways(transformers, folder, kind, model_type, n=n, lists=kind != "Qwen2Tokenizer")


@pytest.mark.parametrize("settings", [{}, {"do_lower_case": False}, {"mask_token": "<mask>"}])
def test_mpnet(transformers: Any, tmp_path: Path, settings: dict[str, Any]) -> None:
    pieces = [one for one in tiny_vocabulary() if one not in ("[PAD]", "[CLS]", "[SEP]", "[MASK]")]
    folder = tmp_path / "model"
    write_json(folder / "tokenizer_config.json", {"tokenizer_class": "MPNetTokenizer", **settings})
    lines = ["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", "utf-8")
    both_ways(transformers, folder, "MPNetTokenizer", "mpnet", n=200 if settings else 2000)
