# SPDX-License-Identifier: Apache-2.0
"""Figures of retrieval: a reference written down differently, and that of sentence-transformers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze.heads.similarity_measures import RETRIEVED, retrieved
from mtfreeze.losses.vectors import unit
from mtfreeze.metrics.retrieval import RETRIEVAL, retrieval_figures


def reference(cosines: Any, relevant: set[int]) -> list[float]:
    """Return the figures of one query from a full ranking."""
    ranks = {int(d): r for r, d in enumerate(np.argsort(-cosines, kind="stable"), start=1)}
    own = sorted(ranks[d] for d in relevant if d in ranks)
    gain = sum(1 / np.log2(r + 1) for r in own if r <= 10)
    best = sum(1 / np.log2(r + 1) for r in range(1, min(len(own), 10) + 1))
    recalls = [sum(r <= k for r in own) / len(own) for k in (1, 5, 10)]
    return [1 / own[0] if own[0] <= 10 else 0.0, gain / best, *recalls]


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 2), (7, 40), (5, 300)])
def test_figures_are_those_of_a_full_ranking(n: int, m: int) -> None:
    rng = np.random.default_rng(n * m)
    queries, _ = unit(rng.normal(size=(n, 4)))
    documents, _ = unit(rng.integers(-1, 2, (m, 4)) + 0.0)  # few different ones: ties
    relevant = [rng.choice(m, size=min(m, 1 + i * 4), replace=False) for i in range(n)]
    found = retrieval_figures(queries, documents, relevant)
    want = [reference(queries[i] @ documents.T, set(relevant[i].tolist())) for i in range(n)]
    np.testing.assert_allclose(found, want, rtol=1e-12)


def targets(texts: Any, scores: Any = 0.0) -> Any:
    """Return targets of rows of texts given by number."""
    laid = np.zeros((*np.shape(texts), 4), np.float32)
    laid[..., 0] = np.arange(np.shape(texts)[1])
    laid[..., 1], laid[..., 2], laid[..., 3] = np.shape(texts)[1], scores, texts
    return laid


def test_a_query_of_several_rows_is_asked_once_for_all_of_its_documents() -> None:
    rng = np.random.default_rng(0)
    texts = np.array([[0, 1, 9], [2, 3, 4], [0, 3, 5], [6, 1, 7]])
    of_text = rng.normal(size=(10, 5))
    found = retrieved(of_text[texts], targets(texts))
    assert found[:, 0].tolist() == [1, 1, 0, 1]
    assert not found[2].any()
    units, _ = unit(of_text)
    documents = [1, 9, 3, 4, 5, 7]  # as they first come
    for row, query, own in ((0, 0, {1, 3}), (1, 2, {3}), (3, 6, {1})):
        cosines = units[query] @ units[documents].T
        want = reference(cosines, {documents.index(one) for one in own})
        np.testing.assert_allclose(found[row, 1:], want)
    assert RETRIEVED.figures(found)["mrr@10"] == pytest.approx(found[[0, 1, 3], 1].mean())


def test_labelled_texts_look_for_others_of_their_label_but_not_for_themselves() -> None:
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.8], [-1.0, 0.0]])
    labels = np.array([[0], [1], [1], [0], [2]])
    found = retrieved(vectors[:, None], targets(np.arange(5)[:, None], labels))
    assert found[:, 0].tolist() == [1, 1, 1, 1, 0]
    units, _ = unit(vectors)
    for i, mate in ((0, 3), (1, 2), (2, 1), (3, 0)):
        others = [j for j in range(5) if j != i]
        want = reference(units[i] @ units[others].T, {others.index(mate)})
        np.testing.assert_allclose(found[i, 1:], want)


@pytest.mark.parity
@pytest.mark.long
@pytest.mark.filterwarnings("ignore")
def test_sentence_transformers_finds_the_same() -> None:
    pytest.importorskip("sentence_transformers", reason="its evaluator is the reference")
    from sentence_transformers.sentence_transformer.evaluation import (
        InformationRetrievalEvaluator,
    )

    rng = np.random.default_rng(3)
    texts = np.stack([rng.integers(0, 9, 30), rng.integers(9, 60, 30), np.arange(60, 90)], axis=1)
    of_text = rng.normal(size=(90, 8)).astype(np.float32)
    corpus = {str(t): str(t) for t in dict.fromkeys(texts[:, 1:].ravel().tolist())}
    queries = {str(t): str(t) for t in dict.fromkeys(texts[:, 0].tolist())}
    relevant: dict[str, set[str]] = {}
    for query, document, _ in texts.tolist():
        relevant.setdefault(str(query), set()).add(str(document))

    class Model:
        """What the evaluator asks of a model."""

        similarity_fn_name = "cosine"
        model_card_data = None

        def encode_query(self, sentences: Any, **_: Any) -> Any:
            import torch

            return torch.tensor(of_text[[int(one) for one in sentences]])

        encode_document = encode = encode_query

        @staticmethod
        def similarity(a: Any, b: Any) -> Any:
            from sentence_transformers.util import cos_sim

            return cos_sim(a, b)

    evaluator = InformationRetrievalEvaluator(queries, corpus, relevant, show_progress_bar=False)
    evaluator.store_metrics_in_model_card_data = lambda *args, **kwargs: None
    theirs = evaluator(Model())
    ours = RETRIEVED.figures(retrieved(of_text[texts], targets(texts)))
    for name in RETRIEVAL:
        assert ours[name] == pytest.approx(theirs[f"cosine_{name}"], rel=1e-6), name
