# SPDX-License-Identifier: Apache-2.0
"""Which tokens are masked: shares, words, special tokens, and draws that depend on keys alone."""

from __future__ import annotations

import numpy as np
import pytest

from mtfreeze.inputs.masking import Masking, mask_sequence
from mtfreeze.inputs.vocabulary import Vocabulary

N = 100
MASK, FIRST, LAST = 3, 0, 1


def vocabulary() -> Vocabulary:
    """A hundred tokens, the first five special; every fourth goes on with a word."""
    special, continues = np.arange(N) < 5, np.arange(N) % 4 == 3
    return Vocabulary(N, MASK, special, continues & ~special, True, str)


def row(n: int, seed: int = 0) -> np.ndarray:
    ids = np.random.default_rng(seed).integers(5, N, n).astype(np.int32)
    ids[0], ids[-1] = FIRST, LAST
    return ids


def test_shares_are_those_of_bert() -> None:
    ids = row(40_000)
    found = mask_sequence(ids, vocabulary(), Masking(), ("a", 1), 0)
    chosen = found.positions
    assert len(chosen) / len(ids) == pytest.approx(0.15, abs=0.006)
    assert (found.labels == ids[chosen]).all()
    read = found.ids[chosen]
    assert (read == MASK).mean() == pytest.approx(0.8, abs=0.02)
    assert (read == found.labels).mean() == pytest.approx(0.1, abs=0.015)
    changed = read[(read != MASK) & (read != found.labels)]
    assert len(np.unique(changed)) > 90  # special tokens among them
    assert not np.isin([0, len(ids) - 1], chosen).any()
    untouched = np.setdiff1d(np.arange(len(ids)), chosen)
    assert (found.ids[untouched] == ids[untouched]).all()


def test_whole_words_go_together() -> None:
    words = vocabulary()
    ids = row(5_000)
    found = mask_sequence(ids, words, Masking(whole_words=True), (0, "t", 0), 7)
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[found.positions] = True
    goes_on = words.continues[ids] & ~words.special[ids]
    pairs = np.flatnonzero(goes_on[1:] & ~words.special[ids[:-1]])
    assert len(pairs) > 500
    assert (chosen[pairs] == chosen[pairs + 1]).all()
    assert chosen.mean() > 0.15
    assert not chosen[words.special[ids]].any()


def test_a_draw_depends_on_key_and_sequence_alone() -> None:
    ids, words = row(60), vocabulary()
    one = mask_sequence(ids, words, Masking(), (0, "mlm", 3), 5)
    again = mask_sequence(ids.copy(), words, Masking(), (0, "mlm", 3), 5)
    assert one.ids.tobytes() == again.ids.tobytes()
    assert one.positions.tobytes() == again.positions.tobytes()
    others = [((1, "mlm", 3), 5), ((0, "lm", 3), 5), ((0, "mlm", 4), 5), ((0, "mlm", 3), 6)]
    for key, sequence in others:
        other = mask_sequence(ids, words, Masking(), key, sequence)
        assert other.positions.tobytes() != one.positions.tobytes()


def test_draws_stay_what_they_are() -> None:
    """Runs of other versions resume to the same bits."""
    found = mask_sequence(row(30), vocabulary(), Masking(0.3), (0, "mlm", 0), 0)
    assert found.positions.tolist() == EXPECTED


EXPECTED = [1, 3, 4, 7, 8, 10, 17, 19, 23, 24, 27]


def test_what_has_no_plain_token_is_not_masked() -> None:
    for ids in (np.zeros(0, np.int32), np.array([FIRST, LAST], np.int32)):
        found = mask_sequence(ids, vocabulary(), Masking(0.9), (0,), 0)
        assert found.ids.tobytes() == ids.tobytes() and len(found.positions) == 0
