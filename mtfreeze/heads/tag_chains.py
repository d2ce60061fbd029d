# SPDX-License-Identifier: Apache-2.0
"""Tags of words that depend on each other: from what a head with chains gives to tags and loss.

The chain of a sentence is its words that have a token, read at their first sub-words. A word that
is lost is in no chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..inputs.packing import LOST, Encoded
from .chains import Chains, n_columns
from .kind import Float32
from .row_spaces import Targets

__all__ = ["best_tags", "chain_loss", "lost_word", "tag_shares", "token_tags"]

Int64 = NDArray[np.int64]


def lost_word(n_labels: int) -> Float32:
    """Return what stands for a lost word among the scores of a sentence's words."""
    return np.full(n_columns(n_labels), np.nan, np.float32)


def best_tags(scores: Float32, n_labels: int, lost: int) -> Int64:
    """Return the tags of one sentence, (n_words,): the best path, `lost` at lost words.

    Parameters
    ----------
    scores : (n_words, K*K + 2K) float32 array
        As the core gives them; NaN for lost words.
    n_labels, lost : int
    """
    there = ~np.isnan(scores[:, 0])
    tags = np.full(len(scores), lost, np.int64)
    if there.any():
        tags[there] = _one(scores[there], n_labels).best()
    return tags


def tag_shares(scores: Float32, n_labels: int, lost: Float32) -> Float32:
    """Return the probability of each tag of the words of one sentence, (n_words, K)."""
    there = ~np.isnan(scores[:, 0])
    shares = np.tile(lost, (len(scores), 1))
    if there.any():
        shares[there] = _one(scores[there], n_labels).shares()
    return shares


def _one(scores: Float32, n_labels: int) -> Chains:
    return Chains.of(scores, np.array([len(scores)], np.int64), n_labels)


def token_tags(encoded: Encoded, rows: Sequence[int], outputs: Float32, n_labels: int) -> Int64:
    """Return the best tags of a packed batch at first sub-words, (T,); 0 at other tokens."""
    places, lengths = [np.zeros(0, np.int64)], []
    begin = 0
    for row in rows:
        first = encoded.first_subwords(row)
        places.append(begin + first[first != LOST].astype(np.int64))
        lengths.append(len(places[-1]))
        begin += len(encoded[row])
    tags = np.zeros(len(outputs), np.int64)
    at, known = np.concatenate(places), np.array([n for n in lengths if n], np.int64)
    if len(known):
        tags[at] = Chains.of(outputs[at], known, n_labels).best()
    return tags


def chain_loss(
    targets: Targets, encoded: Encoded, rows: Int64, outputs: Float32, n_labels: int
) -> tuple[float, int]:
    """Return the core's loss of chains summed over these rows, and how many words have tags."""
    at, tags, owner = targets.items(encoded, rows)
    if not len(at):
        return 0.0, 0
    lengths = np.bincount(owner)
    chains = Chains.of(outputs[at], lengths[lengths > 0], n_labels)
    return float(chains.losses(cast(NDArray[np.int32], tags)).sum()), len(at)
