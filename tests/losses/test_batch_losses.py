# SPDX-License-Identifier: Apache-2.0
"""Losses over batches: their gradients, equal texts, order of rows, and how much work they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze.losses.batch_losses import KINDS, SimilarityLoss
from mtfreeze.losses.batch_rows import BatchRows
from mtfreeze.losses.in_batch_negatives import DIRECTIONS
from support.process_state import within

N, WIDTH = 5, 6
FLAGS = np.array([0.0, 1.0, 1.0, 0.0, 1.0])
TEXTS = {"triplet": 3, "margin_mse": 4}
CUTS: dict[str, Any] = {"dims": (6, 3), "weights": (1.0, 0.3)}


def rows_of(n_texts: int, seed: int = 0, n: int = N) -> BatchRows:
    """Draw rows without equal texts; scores are flags, so that any loss takes them."""
    rng = np.random.default_rng(seed)
    scores = np.repeat(np.resize(FLAGS, n)[:, None], n_texts, axis=1)
    texts = np.arange(n * n_texts).reshape(n, n_texts)
    return BatchRows(rng.normal(size=(n, n_texts, WIDTH)) + 0.4, scores, texts)


def slopes(loss: SimilarityLoss, rows: BatchRows) -> Any:
    """Return central differences of the loss by every value of the vectors."""
    found, step = np.zeros_like(rows.vectors), 1e-6
    for at in np.ndindex(*rows.vectors.shape):
        values = []
        for sign in (1, -1):
            moved = rows.vectors.copy()
            moved[at] += sign * step
            values.append(loss.of_rows(rows._replace(vectors=moved))[0])
        found[at] = (values[0] - values[1]) / (2 * step)
    return found


@pytest.mark.parametrize("cuts", [{}, CUTS], ids=["whole", "cuts"])
@pytest.mark.parametrize("name", [*KINDS, "batch hard"])
def test_gradients_are_slopes(name: str, cuts: dict[str, Any]) -> None:
    loss = SimilarityLoss("triplet" if name == "batch hard" else name, margin=0.8, **cuts)
    rows = rows_of(1 if name == "batch hard" else TEXTS.get(name, 2))
    _, gradient = loss.of_rows(rows)
    assert np.abs(gradient).max() > 1e-3
    np.testing.assert_allclose(gradient, slopes(loss, rows), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", KINDS)
def test_a_vector_of_zeros_has_finite_gradients(name: str) -> None:
    rows = rows_of(TEXTS.get(name, 2))
    rows.vectors[1] = 0.0
    value, gradient = SimilarityLoss(name).of_rows(rows)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.parametrize("name", KINDS)
def test_it_is_called_with_outputs_of_texts_one_after_another(name: str) -> None:
    rows = rows_of(TEXTS.get(name, 2))
    n, k, width = rows.vectors.shape
    rows = rows._replace(vectors=rows.vectors.astype(np.float32).astype(np.float64))
    place = np.tile(np.arange(k), n)
    parts = [place, np.full(n * k, k), rows.scores.ravel(), rows.texts.ravel()]
    targets = np.stack(parts, axis=1).astype(np.float32)
    loss = SimilarityLoss(name)
    value, gradient = loss(rows.vectors.astype(np.float32).reshape(-1, width), targets)
    want, by_vectors = loss.of_rows(rows)
    assert value == want
    np.testing.assert_array_equal(gradient, by_vectors.reshape(-1, width))


# ---- equal texts in a batch ----------------------------------------------------------------------


def ranked(rows: BatchRows, **options: Any) -> tuple[float, Any]:
    """Return the multiple negatives ranking loss."""
    return SimilarityLoss("multiple_negatives", **options).of_rows(rows)


@pytest.mark.parametrize("directions", [DIRECTIONS[:1], DIRECTIONS])
@pytest.mark.parametrize("place", [0, 1], ids=["query", "document"])
def test_rows_with_a_text_in_common_are_no_negatives(
    directions: tuple[str, ...], place: int
) -> None:
    """Two rows alone that share a text: nothing is left to tell their documents from."""
    rows = rows_of(2, n=2)
    rows.vectors[1, place], rows.texts[1, place] = rows.vectors[0, place], rows.texts[0, place]
    value, gradient = ranked(rows, directions=directions)
    alone = [ranked(BatchRows(*(one[[i]] for one in rows)), directions=directions) for i in (0, 1)]
    assert value == pytest.approx(np.mean([one for one, _ in alone]), abs=1e-12)
    np.testing.assert_allclose(gradient, [by[0] / 2 for _, by in alone], atol=1e-12)
    apart, _ = ranked(rows._replace(texts=np.arange(4).reshape(2, 2)), directions=directions)
    assert apart > value + 0.1


def test_an_equal_text_is_left_out_and_others_stay() -> None:
    rows = rows_of(2, n=4)
    rows.texts[3, 1] = rows.texts[0, 1]
    rows.vectors[3, 1] = rows.vectors[0, 1]
    value, _ = ranked(rows)
    u = rows.vectors / np.linalg.norm(rows.vectors, axis=2, keepdims=True)
    scores = 20 * u[:, 0] @ u[:, 1].T
    scores[0, 3] = scores[3, 0] = -np.inf
    want = np.mean(np.log(np.exp(scores).sum(axis=1)) - np.diagonal(scores))
    assert value == pytest.approx(want, rel=1e-12)


def test_a_hard_negative_that_is_the_document_is_left_out() -> None:
    rows = rows_of(3, n=3)
    rows.texts[2, 2] = rows.texts[0, 1]
    moved = rows._replace(vectors=rows.vectors.copy())
    moved.vectors[2, 2] = 100 * rows.vectors[0, 0]  # as near to the first query as can be
    directions = ("query_to_doc", "doc_to_doc")  # only its own row then reaches a query
    without = [ranked(one, directions=directions) for one in (rows, moved)]
    np.testing.assert_allclose(without[0][1][0, 0], without[1][1][0, 0], rtol=1e-9)
    known = [ranked(one._replace(texts=np.arange(9).reshape(3, 3))) for one in (rows, moved)]
    assert not np.allclose(known[0][1][0, 0], known[1][1][0, 0], rtol=1e-2)


# ---- work ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cosent", "angle"])
def test_ranking_pairs_takes_the_time_of_sorting_them(name: str) -> None:
    """All pairs of 200,000 would be 4e10 numbers."""
    n = 200_000
    rng = np.random.default_rng(0)
    scores = np.repeat(rng.integers(0, 6, (n, 1)), 2, axis=1).astype(np.float64)
    rows = BatchRows(rng.normal(size=(n, 2, 2)), scores, np.zeros((n, 2), np.int64))
    with within(20):
        value, gradient = SimilarityLoss(name).of_rows(rows)
    assert np.isfinite(value) and np.isfinite(gradient).all()
