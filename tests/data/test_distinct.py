# SPDX-License-Identifier: Apache-2.0
"""Batches without repeats: the same rows and sizes, and texts apart where that can be had."""

from __future__ import annotations

from itertools import chain
from typing import Any

import numpy as np
import pytest

from mtfreeze.data.batches import epoch_batches
from mtfreeze.data.distinct import without_repeats


def repeats(batches: Any, texts: Any) -> int:
    """Count the rows that share a text with an earlier row of their batch."""
    found = 0
    for batch in batches:
        seen: set[str] = set()
        for row in batch.tolist():
            found += not seen.isdisjoint(texts[row])
            seen |= set(texts[row])
    return found


def drawn(n: int, size: int, seed: int) -> list[Any]:
    """Return batches of rows in a random order."""
    order = np.random.default_rng(seed).permutation(n)
    return [order[i : i + size] for i in range(0, n, size)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_queries", [300, 60, 20])
def test_texts_are_apart(n_queries: int, seed: int) -> None:
    """Up to as many rows a query as there are batches, nearly."""
    n, size = 331, 16
    rng = np.random.default_rng(seed)
    queries = rng.permutation(np.resize(np.arange(n_queries), n))
    texts = [(f"q{query}", f"d{i}") for i, query in enumerate(queries.tolist())]
    before = drawn(n, size, seed)
    after = without_repeats(before, texts)
    assert repeats(before, texts) > 0
    assert repeats(after, texts) == 0
    assert [len(one) for one in after] == [len(one) for one in before]
    assert sorted(chain.from_iterable(after)) == list(range(n))
    again = without_repeats(before, texts)
    assert all(np.array_equal(*pair) for pair in zip(after, again, strict=True))


def test_documents_count_as_well_as_queries() -> None:
    texts = [("a", "b"), ("c", "a"), ("d", "e"), ("f", "g"), ("h", "i"), ("b", "j")]
    batches = without_repeats([np.array([0, 1, 2]), np.array([3, 4, 5])], texts)
    assert repeats(batches, texts) == 0


def test_a_pair_of_equal_texts_repeats_nothing() -> None:
    texts = [("a", "a"), ("b", "c")]
    assert without_repeats([np.array([0, 1])], texts)[0].tolist() == [0, 1]


def test_what_cannot_be_parted_stays() -> None:
    texts = [("a", f"d{i}") for i in range(10)]
    batches = without_repeats([np.arange(4), np.arange(4, 8), np.arange(8, 10)], texts)
    assert sorted(chain.from_iterable(batches)) == list(range(10))
    assert [len(one) for one in batches] == [4, 4, 2]


def test_epochs_are_drawn_so() -> None:
    texts = [(f"q{i % 25}", f"d{i}") for i in range(100)]
    for lengths in (None, np.full(100, 7, dtype=np.int64)):
        plain = epoch_batches(100, 8, 0, "t", 0, lengths=lengths)
        apart = epoch_batches(100, 8, 0, "t", 0, lengths=lengths, texts=texts)
        assert repeats(plain, texts) > 0 and repeats(apart, texts) == 0
        assert [len(one) for one in apart] == [len(one) for one in plain]
