# SPDX-License-Identifier: Apache-2.0
"""Chains of labels against all ways to label a sentence, and as pytorch-crf has them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from mtfreeze.heads.chains import Chains, n_columns

K = 3
LENGTHS = np.array([4, 1, 2, 5])


def drawn(seed: int, k: int = K) -> tuple[Any, Any]:
    """Return scores of the words of four sentences, and labels."""
    rng = np.random.default_rng(seed)
    n = int(LENGTHS.sum())
    return rng.normal(0, 2, (n, n_columns(k))), rng.integers(0, k, n)


def score(rows: Any, labels: Any) -> float:
    """Return the score of the labels of one sentence, written down independently."""
    found = rows[0, K * K + labels[0]] + rows[-1, K * K + K + labels[-1]]
    steps = zip(rows[1:], labels[:-1], labels[1:], strict=True)
    return float(found + sum(row[i * K + j] for row, i, j in steps))


def sentences(values: Any) -> list[Any]:
    return np.split(values, np.cumsum(LENGTHS)[:-1])


@pytest.mark.parametrize("seed", range(4))
def test_all_ways_by_hand(seed: int) -> None:
    scores, labels = drawn(seed)
    chains = Chains.of(scores, LENGTHS, K)
    losses, best = chains.losses(labels), sentences(chains.best())
    shares = sentences(chains.shares())
    for i, (rows, right) in enumerate(zip(sentences(scores), sentences(labels), strict=True)):
        ways = list(itertools.product(range(K), repeat=len(rows)))
        of_way = np.array([score(rows, way) for way in ways])
        weight = np.exp(of_way - of_way.max())
        weight /= weight.sum()
        total = np.log(np.exp(of_way - of_way.max()).sum()) + of_way.max()
        assert losses[i] == pytest.approx(total - score(rows, right), abs=1e-9)
        assert tuple(best[i]) == ways[int(of_way.argmax())]
        wanted = [[weight[[w[t] == j for w in ways]].sum() for j in range(K)] for t in
                  range(len(rows))]  # fmt: skip
        np.testing.assert_allclose(shares[i], wanted, atol=1e-12)


def test_a_sentence_is_the_same_in_any_batch() -> None:
    scores, labels = drawn(7)
    together = Chains.of(scores, LENGTHS, K)
    for i, (rows, right) in enumerate(zip(sentences(scores), sentences(labels), strict=True)):
        alone = Chains.of(rows, LENGTHS[i : i + 1], K)
        assert alone.losses(right)[0] == together.losses(labels)[i]
        assert alone.best().tolist() == sentences(together.best())[i].tolist()


@pytest.mark.parametrize("k", [2, 9])
def test_as_pytorch_crf_has_them(k: int) -> None:
    """Loss, its gradient and the best path of emissions and three tables."""
    torch, torchcrf = pytest.importorskip("torch"), pytest.importorskip("torchcrf")
    torch.manual_seed(k)
    crf = torchcrf.CRF(k, batch_first=True).double()
    emissions = torch.randn(len(LENGTHS), int(LENGTHS.max()), k, dtype=torch.float64)
    mask = torch.arange(int(LENGTHS.max()))[None] < torch.tensor(LENGTHS)[:, None]
    tags = torch.randint(0, k, mask.shape)
    with torch.no_grad():
        pair = crf.transitions[None] + emissions[mask][:, None, :]
        start, end = crf.start_transitions + emissions[mask], crf.end_transitions
        flat = [pair.reshape(len(pair), -1), start, end.expand(len(pair), k)]
        chains = Chains.of(torch.cat(flat, dim=1).numpy(), LENGTHS, k)
        expected = -crf(emissions, tags, mask=mask, reduction="none").numpy()
    np.testing.assert_allclose(chains.losses(tags[mask].numpy()), expected, atol=1e-9)
    best = [tag for path in crf.decode(emissions, mask=mask) for tag in path]
    assert chains.best().tolist() == best
