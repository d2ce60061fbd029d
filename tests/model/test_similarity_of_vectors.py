# SPDX-License-Identifier: Apache-2.0
"""`encode(truncate_dim=)` and `similarity`: by their formulas, and as sentence-transformers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError
from support.sentence_folders import WIDTH, write_sentence_folder
from support.texts import SENTENCES

FORMULAS: dict[str, Callable[[Any, Any], float]] = {
    "cosine": lambda a, b: a @ b / np.sqrt((a @ a) * (b @ b)),
    "dot": lambda a, b: a @ b,
    "euclidean": lambda a, b: -np.sqrt(((a - b) ** 2).sum()),
    "manhattan": lambda a, b: -np.abs(a - b).sum(),
}


def folder_of(folder: Path, measure: object, *, normalize: bool = False) -> Path:
    """Write a folder whose file names a measure."""
    write_sentence_folder(folder, normalize=normalize, prompts={"query": "find "})
    path = folder / "config_sentence_transformers.json"
    more = {"similarity_fn_name": measure, "__version__": {"sentence_transformers": "5.0.0"}}
    path.write_text(json.dumps({**json.loads(path.read_text()), **more}))
    return folder


def loaded(folder: Path, measure: object, **how: Any) -> mtf.MultiTaskModel:
    return mtf.MultiTaskModel.from_pretrained(folder_of(folder, measure, **how))


@pytest.mark.parametrize("normalize", [True, False])
def test_vectors_are_cut_and_then_normalised(tmp_path: Path, normalize: bool) -> None:
    model = loaded(tmp_path, None, normalize=normalize)
    whole = model.encode(SENTENCES)
    assert model.encode(SENTENCES, truncate_dim=WIDTH).tobytes() == whole.tobytes()
    found = model.encode(SENTENCES, truncate_dim=7)
    assert found.shape == (len(SENTENCES), 7) and found.dtype == np.float32
    lengths = np.linalg.norm(whole[:, :7], axis=1, keepdims=True)
    expected = whole[:, :7] / lengths if normalize else whole[:, :7]
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    assert np.array_equal(model.encode(SENTENCES[0], truncate_dim=7), found[0])
    unit = model.encode(SENTENCES, truncate_dim=7, normalize_embeddings=True)
    np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1.0, rtol=1e-6)


@pytest.mark.parametrize("n", [0, WIDTH + 1])
def test_a_width_that_is_none_is_refused(tmp_path: Path, n: int) -> None:
    model = loaded(tmp_path, None)
    with pytest.raises(ConfigError, match=rf"truncate_dim must be .* {n}; .* have {WIDTH} values"):
        model.encode(SENTENCES, truncate_dim=n)


@pytest.mark.parametrize("measure", [*FORMULAS, None])
def test_similarities_are_their_formulas(tmp_path: Path, measure: str | None) -> None:
    model = loaded(tmp_path, measure)
    vectors = model.encode(SENTENCES)
    found = model.similarity(vectors[:2], vectors)
    formula = FORMULAS[measure or "cosine"]
    expected = [[formula(a, b) for b in vectors.astype("f8")] for a in vectors[:2].astype("f8")]
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model.similarity(vectors[0], vectors), found[:1], rtol=1e-5)
    assert model.similarity(model.encode([]), vectors).shape == (0, len(SENTENCES))
    again = mtf.MultiTaskModel.from_pretrained(model.save_pretrained(tmp_path / "saved"))
    assert np.array_equal(again.similarity(vectors[:2], vectors), found)


def test_vectors_of_zeros_are_like_nothing(tmp_path: Path) -> None:
    model = loaded(tmp_path, "cosine")
    assert model.similarity(np.zeros(4), np.ones((2, 4))).tolist() == [[0.0, 0.0]]


def test_what_cannot_be_compared_is_refused(tmp_path: Path) -> None:
    model = loaded(tmp_path / "a", None)
    vectors = model.encode(SENTENCES)
    with pytest.raises(ConfigError, match=f"one width; found 7 and {WIDTH}"):
        model.similarity(model.encode(SENTENCES, truncate_dim=7), vectors)
    with pytest.raises(TypeError, match="embeddings1 must be what encode returns"):
        model.similarity(SENTENCES, vectors)
    with pytest.raises(ConfigError, match=r"found the shape \(1, 2, 3\)"):
        model.similarity(vectors, np.ones((1, 2, 3)))
    other = loaded(tmp_path / "b", "cosinus")
    with pytest.raises(ConfigError, match=r"similarity_fn_name in .*did you mean 'cosine'"):
        other.similarity(vectors, vectors)


@pytest.mark.long
@pytest.mark.parity
@pytest.mark.parametrize("measure", [*FORMULAS, None])
def test_sentence_transformers_says_the_same(tmp_path: Path, measure: str | None) -> None:
    theirs = pytest.importorskip("sentence_transformers")
    folder = folder_of(tmp_path, measure, normalize=measure == "cosine")
    model = mtf.MultiTaskModel.from_pretrained(folder)
    other = theirs.SentenceTransformer(str(folder), device="cpu")
    for n in (7, WIDTH):
        how = {"truncate_dim": n, "normalize_embeddings": True}
        vectors, expected = model.encode(SENTENCES, **how), other.encode(SENTENCES, **how)
        np.testing.assert_allclose(vectors, expected, rtol=1e-4, atol=1e-5)
        found = model.similarity(expected[:2], expected)
        np.testing.assert_allclose(
            found, other.similarity(expected[:2], expected).numpy(), rtol=1e-4, atol=1e-5
        )
