# SPDX-License-Identifier: Apache-2.0
"""Losses over batches equal those of sentence-transformers in float64, value and gradient."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

from mtfreeze.losses.batch_losses import SimilarityLoss
from mtfreeze.losses.batch_rows import BatchRows

pytestmark = [
    pytest.mark.parity,
    pytest.mark.long,  # importing the library takes seconds
    pytest.mark.filterwarnings("ignore"),  # theirs warns of labels that it was not made for
]

WIDTH = 7  # odd: halves differ
ALL = ("query_to_doc", "query_to_query", "doc_to_query", "doc_to_doc")
BOTH = ("query_to_doc", "doc_to_query")


class Case(NamedTuple):
    """One loss, ours and theirs."""

    ours: dict[str, Any]
    theirs: str
    options: dict[str, Any]
    n_texts: int
    scores: str = "none"


CASES = {
    "cosine": Case({}, "CosineSimilarityLoss", {}, 2, "reals"),
    "cosent": Case({}, "CoSENTLoss", {}, 2, "ties"),
    "cosent of one score": Case({"name": "cosent"}, "CoSENTLoss", {}, 2, "equal"),
    "cosent scale 5": Case({"name": "cosent", "scale": 5.0}, "CoSENTLoss", {"scale": 5}, 2, "ties"),
    "angle": Case({}, "AnglELoss", {}, 2, "ties"),
    "contrastive": Case({}, "ContrastiveLoss", {}, 2, "flags"),
    "contrastive shares": Case({"name": "contrastive"}, "ContrastiveLoss", {}, 2, "shares"),
    "online_contrastive": Case({}, "OnlineContrastiveLoss", {}, 2, "flags"),
    "online all alike": Case({"name": "online_contrastive"}, "OnlineContrastiveLoss", {}, 2, "1"),
    "online none alike": Case({"name": "online_contrastive"}, "OnlineContrastiveLoss", {}, 2, "0"),
    "triplet": Case({"margin": 5.0}, "TripletLoss", {}, 3),
    "triplet margin 0.5": Case(
        {"name": "triplet", "margin": 0.5}, "TripletLoss", {"triplet_margin": 0.5}, 3
    ),
    "batch hard": Case(
        {"name": "triplet", "margin": 1.0}, "BatchHardTripletLoss", {"margin": 1}, 1, "labels"
    ),
    "batch hard, nothing alike": Case(
        {"name": "triplet", "margin": 5.0}, "BatchHardTripletLoss", {}, 1, "different"
    ),
    "batch hard, all alike": Case(
        {"name": "triplet", "margin": 5.0}, "BatchHardTripletLoss", {}, 1, "equal"
    ),
    "margin_mse": Case({}, "MarginMSELoss", {}, 3, "reals"),
    "margin_mse of two": Case({"name": "margin_mse"}, "MarginMSELoss", {}, 4, "each"),
    "multiple_negatives": Case({}, "MultipleNegativesRankingLoss", {}, 2),
    "hard negatives": Case({"name": "multiple_negatives"}, "MultipleNegativesRankingLoss", {}, 4),
    "all directions": Case(
        {"name": "multiple_negatives", "directions": ALL},
        "MultipleNegativesRankingLoss",
        {"directions": ALL},
        3,
    ),
    "all directions of pairs": Case(
        {"name": "multiple_negatives", "directions": ALL, "scale": 7.0},
        "MultipleNegativesRankingLoss",
        {"directions": ALL, "scale": 7.0},
        2,
    ),
    "per direction": Case(
        {"name": "multiple_negatives", "directions": BOTH, "partition": "per_direction"},
        "MultipleNegativesRankingLoss",
        {"directions": BOTH, "partition_mode": "per_direction"},
        3,
    ),
}


def scores_of(kind: str, n: int, n_texts: int, rng: np.random.Generator) -> Any:
    """Return what stands behind the texts of rows: (n, n_texts) float32."""
    one = {
        "none": lambda: np.zeros(n),
        "reals": lambda: rng.uniform(-1, 1, n),
        "ties": lambda: rng.integers(0, 4, n) / 2,
        "flags": lambda: rng.integers(0, 2, n),
        "shares": lambda: rng.uniform(0, 1, n),
        "labels": lambda: rng.integers(0, 3, n),
        "different": lambda: np.arange(n),
        "equal": lambda: np.ones(n),
        "1": lambda: np.ones(n),
        "0": lambda: np.zeros(n),
        "each": lambda: np.zeros(n),
    }[kind]()
    scores = np.repeat(one[:, None], n_texts, axis=1)
    if kind == "each":
        scores = rng.uniform(-2, 2, (n, n_texts))
    return scores.astype(np.float32)


def rows_of(case: Case, n: int, seed: int) -> BatchRows:
    """Draw a batch of rows in which no text comes twice."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(n, case.n_texts, WIDTH)) + 0.5
    scores = scores_of(case.scores, n, case.n_texts, rng).astype(np.float64)
    return BatchRows(vectors, scores, np.arange(n * case.n_texts).reshape(n, case.n_texts))


def labels_for(torch: Any, case: Case, rows: BatchRows) -> Any:
    """Return the labels as theirs takes them."""
    scores = rows.scores[:, 2:] if case.scores == "each" else rows.scores[:, 0]
    return torch.tensor(scores, dtype=torch.float64)


@pytest.fixture(scope="module")
def losses(torch: Any) -> Any:
    """Their losses."""
    library = pytest.importorskip("sentence_transformers", reason="parity needs the library")
    return library.sentence_transformer.losses


@pytest.mark.parametrize("n", [1, 2, 9])
@pytest.mark.parametrize("name", CASES)
def test_value_and_gradient_are_theirs(torch: Any, losses: Any, name: str, n: int) -> None:
    case = CASES[name]
    rows = rows_of(case, n, len(name) + n)
    value, gradient = SimilarityLoss(**{"name": name, **case.ours}).of_rows(rows)
    theirs = getattr(losses, case.theirs)(model=None, **case.options)
    leaves = [torch.tensor(one, requires_grad=True) for one in rows.vectors.swapaxes(0, 1)]
    want = theirs.compute_loss_from_embeddings(leaves, labels_for(torch, case, rows))
    want.backward()
    assert gradient.dtype == np.float64
    np.testing.assert_allclose(value, want.item(), rtol=1e-11, atol=1e-12, err_msg=name)
    for place, leaf in enumerate(leaves):
        np.testing.assert_allclose(
            gradient[:, place], leaf.grad.numpy(), rtol=1e-9, atol=1e-12, err_msg=f"text {place}"
        )


@pytest.mark.parametrize("name", ["cosine", "cosent", "multiple_negatives", "margin_mse"])
def test_matryoshka_is_theirs_around_any_loss(torch: Any, losses: Any, name: str) -> None:
    case = CASES[name]
    rows = rows_of(case, 6, 3)
    dims, weights = (WIDTH, 4, 2), (1.0, 0.5, 0.25)
    ours = SimilarityLoss(name, dims=dims, weights=weights, **case.ours)
    value, gradient = ours.of_rows(rows)
    leaves = [torch.tensor(one, requires_grad=True) for one in rows.vectors.swapaxes(0, 1)]

    class Model(torch.nn.Module):  # type: ignore[misc,name-defined]
        """Gives the leaves for vectors; what the loss asks of a model is this."""

        def forward(self, features: Any) -> Any:
            return {"sentence_embedding": leaves[features["place"]]}

        def get_embedding_dimension(self) -> int:
            return WIDTH

    model = Model()
    theirs = losses.MatryoshkaLoss(
        model, getattr(losses, case.theirs)(model, **case.options), list(dims), list(weights)
    )
    features = [{"place": place} for place in range(case.n_texts)]
    want = theirs(features, labels_for(torch, case, rows))
    want.backward()
    np.testing.assert_allclose(value, want.item(), rtol=1e-11)
    for place, leaf in enumerate(leaves):
        np.testing.assert_allclose(gradient[:, place], leaf.grad.numpy(), rtol=1e-9, atol=1e-12)
