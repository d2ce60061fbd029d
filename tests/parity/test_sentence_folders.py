# SPDX-License-Identifier: Apache-2.0
"""Every pooling, Dense module and prompt: what sentence-transformers gives, within 1e-5."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from support.sentence_folders import MODES, WIDTH, dense, write_sentence_folder

pytestmark = [pytest.mark.parity, pytest.mark.long]

TEXTS = ["the cat", "", "a", "the dog sat on the mat and the cat ran", "the " * 60, "find a cat"]
PROMPTS = {"query": "find the ", "none": "", "long": "the cat sat on the mat " * 10}

load = mtf.MultiTaskModel.from_pretrained


@pytest.fixture(autouse=True)
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def check_equal(folder: Path, saved: Path, **options: Any) -> None:
    """Compare a folder, and what is saved of it, with the library's embeddings of both."""
    library = pytest.importorskip("sentence_transformers", reason="interop needs the library")
    theirs = library.SentenceTransformer(str(folder), device="cpu").encode(TEXTS, **options)
    model = load(folder)
    np.testing.assert_allclose(model.encode(TEXTS, **options), theirs, rtol=0, atol=1e-5)
    model.save_pretrained(saved)
    again = library.SentenceTransformer(str(saved), device="cpu").encode(TEXTS, **options)
    np.testing.assert_allclose(again, theirs, rtol=0, atol=1e-6)
    assert (
        load(saved).encode(TEXTS, **options).tobytes() == model.encode(TEXTS, **options).tobytes()
    )


@pytest.mark.parametrize("include_prompt", [True, False])
@pytest.mark.parametrize("pooling", [*MODES, "+".join(MODES), "mean+cls", "lasttoken+max+cls"])
def test_poolings(tmp_path: Path, pooling: str, include_prompt: bool) -> None:
    folder = write_sentence_folder(
        tmp_path / "model", pooling=pooling, include_prompt=include_prompt, prompts=PROMPTS
    )
    check_equal(folder, tmp_path / "plain")
    check_equal(folder, tmp_path / "saved", prompt_name="query")
    check_equal(folder, tmp_path / "other", prompt="the dog and ")


@pytest.mark.parametrize("include_prompt", [True, False])
def test_default_prompts(tmp_path: Path, include_prompt: bool) -> None:
    folder = write_sentence_folder(
        tmp_path / "model",
        include_prompt=include_prompt,
        normalize=True,
        prompts=PROMPTS,
        default_prompt="query",
    )
    check_equal(folder, tmp_path / "default")
    check_equal(folder, tmp_path / "another", prompt_name="none")
    check_equal(folder, tmp_path / "text", prompt="the mat ")
    plain = load(folder, default_prompt_name="").encode(TEXTS)
    with_name = load(folder).encode(TEXTS, prompt="")
    assert plain.tobytes() == with_name.tobytes() != load(folder).encode(TEXTS).tobytes()


def test_a_prompt_that_fills_a_text(tmp_path: Path) -> None:
    """A text is cut at its end; what is left is pooled, the last token always."""
    for pooling in MODES:
        folder = write_sentence_folder(
            tmp_path / pooling, pooling=pooling, include_prompt=False, prompts=PROMPTS
        )
        check_equal(folder, tmp_path / f"{pooling} saved", prompt_name="long")


@pytest.mark.parametrize("activation", ["none", "tanh", "gelu", "relu", "silu"])
def test_dense(tmp_path: Path, activation: str) -> None:
    modules = [
        dense(WIDTH, 20, activation, bias=activation != "relu", use_residual=activation != "silu"),
        dense(20, 20, activation, use_residual=True),
        dense(20, 33, activation),
    ]
    folder = write_sentence_folder(tmp_path / "model", modules=modules, normalize=True)
    check_equal(folder, tmp_path / "saved")
    one = write_sentence_folder(
        tmp_path / "one", pooling="cls+mean", modules=[dense(2 * WIDTH, 7, activation)]
    )
    check_equal(one, tmp_path / "one saved")


def test_every_order_of_poolings(tmp_path: Path) -> None:
    for number, modes in enumerate(permutations(MODES, 3)):
        if number % 12 == 0:
            folder = write_sentence_folder(tmp_path / str(number), pooling="+".join(modes))
            check_equal(folder, tmp_path / f"{number} saved")
