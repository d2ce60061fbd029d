# SPDX-License-Identifier: Apache-2.0
"""However a folder says what its tokenizer is: the ids of AutoTokenizer, or a clear refusal."""

from __future__ import annotations

import contextlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.errors import CheckpointError
from mtfreeze.inputs.text import TextEncoder
from support.tiny_bert import tiny_config, tiny_tensors, write_json, write_tiny_bert
from support.tokenizer_layouts import TEXTS, Layout, random_layout, write_layout, write_unigram

pytestmark = pytest.mark.parity

MAX_LENGTH = 24
WORDS = [text.split() for text in TEXTS]
PAIRS = list(zip(TEXTS, TEXTS[3:] + TEXTS[:3], strict=True))


@pytest.fixture(autouse=True)
def quiet(transformers: Any) -> Iterator[None]:
    """Keep to the folder, and say nothing of texts that are longer than a model."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()
    yield
    transformers.logging.set_verbosity(level)


def reference(folder: Path, texts: list[Any], max_length: int = MAX_LENGTH) -> list[list[int]]:
    import transformers

    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    words = bool(texts) and isinstance(texts[0], list)
    found: list[list[int]] = tokenizer(
        texts, truncation=True, max_length=max_length, is_split_into_words=words
    )["input_ids"]
    return found


def same_or_refused(folder: Path, seed: int) -> bool:
    """Write the layout of a seed; return whether it loads, then with the reference's ids."""
    layout = random_layout(random.Random(seed))
    size = write_layout(folder, layout)
    try:
        encoder = TextEncoder.from_folder(
            folder, max_length=MAX_LENGTH, n_embeddings=size, model_class=layout.model_class
        )
    except CheckpointError as error:
        assert str(folder) in str(error) and "; found " in str(error)
        return False
    ids = [row.tolist() for row in encoder.encode_texts(TEXTS)]
    assert ids == reference(folder, TEXTS), f"seed {seed}: {layout}"
    ids = [row.tolist() for row in encoder.encode_words(WORDS)]
    assert ids == reference(folder, WORDS), f"seed {seed}, words: {layout}"
    ids = [row.tolist() for row in encoder.encode_pairs(PAIRS)]
    assert ids == reference(folder, PAIRS), f"seed {seed}, pairs: {layout}"
    return True


@pytest.mark.parametrize("begin", [0, pytest.param(1000, marks=pytest.mark.long)])
def test_every_layout_is_the_same_or_refused(tmp_path: Path, begin: int) -> None:
    seeds = range(begin, begin + (30 if begin == 0 else 500))
    loaded = [same_or_refused(tmp_path / str(seed), seed) for seed in seeds]
    assert 0.5 < sum(loaded) / len(loaded) < 0.9


@pytest.mark.parametrize(
    ("steps", "config"),
    [
        ([], {"tokenizer_class": "XLMRobertaTokenizer"}),
        ([], {"tokenizer_class": "XLMRobertaTokenizerFast", "additional_special_tokens": ["<x>"]}),
        ([{"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": " "}], {}),
        ([], {"tokenizer_class": "PreTrainedTokenizerFast", "extra_special_tokens": ["<x>"]}),
        ([], {"add_prefix_space": False}),
    ],
)
def test_unigram_vocabularies(
    tmp_path: Path, steps: list[dict[str, Any]], config: dict[str, Any]
) -> None:
    size = write_unigram(tmp_path, steps, config)
    try:
        encoder = TextEncoder.from_folder(
            tmp_path,
            max_length=MAX_LENGTH,
            n_embeddings=size,
            model_class="XLMRobertaTokenizer",
        )
    except CheckpointError:
        assert "add_prefix_space" in config  # tokenizer.json says otherwise
        return
    assert [row.tolist() for row in encoder.encode_texts(TEXTS)] == reference(tmp_path, TEXTS)
    assert [row.tolist() for row in encoder.encode_words(WORDS)] == reference(tmp_path, WORDS)


@pytest.mark.parametrize(
    "length", [{"model_max_length": 20}, {"model_max_length": 1e30}, {"max_len": 10}, {}]
)
def test_the_maximum_length(transformers: Any, tmp_path: Path, length: dict[str, float]) -> None:
    folder = write_tiny_bert(tmp_path / "model")
    os.remove(folder / "sentence_bert_config.json")
    config = {"do_lower_case": True, "tokenizer_class": "BertTokenizer", **length}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
    expected = min(tokenizer.model_max_length, 64)
    model = mtf.MultiTaskModel.from_pretrained(folder)
    assert model.max_length == expected
    assert len(model.encoder.encode_texts(["the " * 100])[0]) == expected


@pytest.mark.parametrize("seed", range(5))
def test_a_saved_folder_has_the_same_ids(tmp_path: Path, seed: int) -> None:
    """What is written of a model is read by us and by transformers as what it was."""
    rng = random.Random(seed)
    model = None
    while model is None:
        folder = tmp_path / str(len(os.listdir(tmp_path)))
        write_model(folder, random_layout(rng))
        with contextlib.suppress(CheckpointError):
            model = mtf.MultiTaskModel.from_pretrained(folder, max_length=MAX_LENGTH)
    model.save_pretrained(tmp_path / "saved")
    again = mtf.MultiTaskModel.from_pretrained(tmp_path / "saved")
    ids = [row.tolist() for row in model.encoder.encode_texts(TEXTS)]
    assert [row.tolist() for row in again.encoder.encode_texts(TEXTS)] == ids
    assert reference(tmp_path / "saved", TEXTS) == ids
    assert reference(folder, TEXTS) == ids


def write_model(folder: Path, layout: Layout) -> None:
    """Write a whole model with the tokenizer of a layout, and no other file."""
    from safetensors.numpy import save_file

    size = write_layout(folder, layout)
    config = tiny_config(vocab_size=size, tokenizer_class=layout.model_class)
    save_file(tiny_tensors(config), str(folder / "model.safetensors"))
    write_json(folder / "config.json", {k: v for k, v in config.items() if v is not None})
