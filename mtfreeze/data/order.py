# SPDX-License-Identifier: Apache-2.0
"""Random orders that depend on a key only, never on what was drawn before or NumPy's version.

The key (seed, task, epoch ...) is hashed with blake2b into the 128-bit key of a Philox counter
generator (Salmon et al. 2011). Only its raw 64-bit stream is used, which NumPy keeps stable, unlike
the methods of ``Generator``; a stable sort of that stream gives the permutation.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

__all__ = ["permutation", "words"]


def permutation(n: int, *key: int | str) -> NDArray[np.int64]:
    """Return a random order of ``range(n)``, (n,) int64, the same for the same key for ever.

    Parameters
    ----------
    n : int
        How many; 0 gives an empty array.
    *key : int or str
        What the order depends on. ``1`` and ``"1"`` are different keys.

    Examples
    --------
    >>> bool((permutation(5, 0, "task", 1) == permutation(5, 0, "task", 1)).all())
    True
    """
    return np.argsort(words(n, *key), kind="stable").astype(np.int64)


def words(n: int, *key: int | str) -> NDArray[np.uint64]:
    """Return n random words, (n,) uint64; see `permutation` for the key."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in key)
    digest = hashlib.blake2b(text.encode(), digest_size=16, person=b"mtfreeze order").digest()
    return np.asarray(np.random.Philox(key=int.from_bytes(digest, "little")).random_raw(n))
