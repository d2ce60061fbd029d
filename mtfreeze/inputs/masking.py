# SPDX-License-Identifier: Apache-2.0
"""Which tokens a masked language model has to guess, and what stands in their place.

Each token that is not special is chosen with one probability; of those chosen 80 % become the mask,
10 % any token of the vocabulary, 10 % stay (Devlin et al. 2019, as transformers draws them). With
whole words a chosen token takes the tokens of its word with it, so more are chosen than the
probability says.

A draw is a pure function of its key and the number of the sequence, never of what was drawn before:
the same seed, task and epoch mask a sequence alike in every batch, so a run that is taken up again
goes on with the same bits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .vocabulary import Vocabulary

__all__ = ["Masked", "Masking", "mask_sequence"]

Int32 = NDArray[np.int32]

_MASKED, _CHANGED = 0.8, 0.9
"""Below the first a chosen token becomes the mask, below the second another token."""


@dataclass(frozen=True)
class Masking:
    """How tokens are chosen.

    Attributes
    ----------
    probability : float
        Of each token that is not special.
    whole_words : bool
        Whether a chosen token takes its word with it.
    """

    probability: float = 0.15
    whole_words: bool = False


@dataclass(frozen=True)
class Masked:
    """One sequence as the model reads it, and what it has to guess.

    Attributes
    ----------
    ids : (length,) int32 array
    positions : (n,) int32 array
        Chosen tokens, in order.
    labels : (n,) int32 array
        What stood there.
    """

    ids: Int32
    positions: Int32
    labels: Int32


def _uniform(n: int, key: tuple[int | str, ...], sequence: int) -> NDArray[np.float64]:
    """Return (3, n) numbers from 0 to below 1, the same for the same key for ever."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in (*key, sequence))
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"mtfreeze masking").digest()
    raw = np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(3 * n)
    found: NDArray[np.float64] = (raw >> np.uint64(11)).astype(np.float64).reshape(3, n)
    found *= 2.0**-53
    return found


def mask_sequence(
    ids: Int32,
    vocabulary: Vocabulary,
    masking: Masking,
    key: tuple[int | str, ...],
    sequence: int,
) -> Masked:
    """Mask one sequence.

    Parameters
    ----------
    ids : (length,) int32 array
        Its tokens.
    vocabulary : Vocabulary
        Knows the mask, special tokens, and where words begin.
    masking : Masking
    key : tuple of int or str
        What the draw depends on: (seed, task, epoch).
    sequence : int
        Number of the sequence in its data set.
    """
    choice, fate, other = _uniform(len(ids), key, sequence)
    plain = ~vocabulary.special[ids]
    chosen = plain & (choice < masking.probability)
    if masking.whole_words:
        word = np.cumsum(~(vocabulary.continues[ids] & plain))
        chosen = plain & np.isin(word, word[chosen])
    positions = np.flatnonzero(chosen).astype(np.int32)
    read = ids.copy()
    read[chosen & (fate < _MASKED)] = vocabulary.mask
    changed = chosen & (fate >= _MASKED) & (fate < _CHANGED)
    read[changed] = (other[changed] * vocabulary.n_tokens).astype(np.int32)
    return Masked(read, positions, ids[positions])
