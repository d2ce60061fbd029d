# SPDX-License-Identifier: Apache-2.0
"""Between words and tokens of a packed batch: labels to first sub-words, values back to words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.labels import IGNORE
from ..errors import DataError
from .packing import LOST, Encoded

__all__ = ["token_labels", "word_values"]


def token_labels(
    encoded: Encoded, rows: Iterable[int], tags: Sequence[NDArray[np.int32]]
) -> NDArray[np.int32]:
    """Lay the words' labels on their first sub-words.

    Parameters
    ----------
    encoded : Encoded
        Rows of words.
    rows : iterable of int
        The rows of a packed batch, in its order.
    tags : sequence of (n_words,) int32 arrays
        Class indices of every row of `encoded` (not of the batch), from ``encode_tags``.

    Returns
    -------
    (T,) int32 array
        Labels of the batch's tokens; `IGNORE` on special tokens and on further sub-words.

    Raises
    ------
    DataError
        If a row has another number of tags than words.
    """
    parts = []
    for row in rows:
        first, codes = encoded.first_subwords(row), tags[row]
        if len(first) != len(codes):
            raise DataError(
                f"row {row}: expected one tag per word; found {len(first)} words and "
                f"{len(codes)} tags"
            )
        labels = np.full(len(encoded[row]), IGNORE, dtype=np.int32)
        kept = first != LOST
        labels[first[kept]] = codes[kept]
        parts.append(labels)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int32)


def word_values(
    encoded: Encoded, rows: Iterable[int], values: ArrayLike, lost: int
) -> list[NDArray[np.int64]]:
    """Take the tokens' predictions back to words: the value at each word's first sub-word.

    Parameters
    ----------
    encoded : Encoded
        Rows of words.
    rows : iterable of int
        The rows of the packed batch that was predicted, in its order.
    values : (T,) integer array_like
        Predicted class of every token of that batch.
    lost : int
        Value for a word without a token: the index of ``O``.

    Returns
    -------
    list of (n_words,) int64 arrays
        One per row.
    """
    flat = np.asarray(values, dtype=np.int64)
    result, begin = [], 0
    for row in rows:
        first = encoded.first_subwords(row)
        words = np.full(len(first), lost, dtype=np.int64)
        kept = first != LOST
        words[kept] = flat[begin + first[kept]]
        result.append(words)
        begin += len(encoded[row])
    if begin != len(flat):
        raise DataError(f"expected values of {begin} tokens; found {len(flat)}")
    return result
