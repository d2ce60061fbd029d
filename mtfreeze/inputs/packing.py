# SPDX-License-Identifier: Apache-2.0
"""Token ids of many sequences, and packed batches cut from them.

A packed batch holds the tokens of its sequences one after another, without padding: ids (T,), token
types (T,) and offsets (B+1,), where sequence b is ``ids[offsets[b]:offsets[b+1]]``. `Encoded` is
the same for a whole data set, made once; batches are cut from it by row numbers. For rows of words
it also knows at which token each word begins, which is where its label sits.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..data.labels import IGNORE
from ..errors import DataError

__all__ = ["Encoded", "PackedBatch", "pack", "token_labels", "word_values"]

LOST = -1
"""First sub-word of a word that has none: it gave no token, or truncation cut it off."""


@dataclass(frozen=True)
class PackedBatch:
    """A batch as the core takes it.

    Attributes
    ----------
    ids : (T,) int32 array
        Token ids, special tokens included.
    token_types : (T,) int32 array
        Segment of each token.
    offsets : (B+1,) int64 array
        Where each sequence begins; the last entry is T.
    features : mapping of str to (N, width) float32 array
        Outputs of the frozen prefix for these sequences, by name, one row a token or a sequence;
        what lies below them is not computed again. Empty: everything is computed from `ids`.
    """

    ids: NDArray[np.int32]
    token_types: NDArray[np.int32]
    offsets: NDArray[np.int64]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    @property
    def n_sequences(self) -> int:
        """B, the number of sequences."""
        return len(self.offsets) - 1

    @property
    def n_tokens(self) -> int:
        """T, the number of tokens."""
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, (B,) int64."""
        return np.diff(self.offsets)

    def with_features(self, features: Mapping[str, NDArray[np.float32]]) -> PackedBatch:
        """Return the same sequences with outputs of the frozen prefix beside them."""
        return replace(self, features=features)

    @staticmethod
    def join(batches: Sequence[PackedBatch]) -> PackedBatch:
        """Return one batch with the sequences of all, in order, and the features that all have."""
        if len(batches) == 1:
            return batches[0]
        shared = set.intersection(*(set(batch.features) for batch in batches)) if batches else set()
        return PackedBatch(
            _joined([batch.ids for batch in batches]),
            _joined([batch.token_types for batch in batches]),
            _offsets([length for batch in batches for length in batch.lengths]),
            {
                name: np.concatenate([batch.features[name] for batch in batches])
                for name in sorted(shared)
            },
        )


def pack(
    sequences: Sequence[NDArray[np.int32]],
    token_types: Sequence[NDArray[np.int32]] | None = None,
) -> PackedBatch:
    """Put sequences of token ids one after another.

    Parameters
    ----------
    sequences : sequence of (length,) int32 arrays
        Token ids; may be empty.
    token_types : sequence of (length,) int32 arrays, optional
        Segments; by default all 0.

    Raises
    ------
    DataError
        If token types and ids differ in length.

    Examples
    --------
    >>> batch = pack([np.array([101, 102], np.int32), np.array([101, 7, 102], np.int32)])
    >>> batch.ids.tolist(), batch.offsets.tolist()
    ([101, 102, 101, 7, 102], [0, 2, 5])
    """
    lengths = [len(sequence) for sequence in sequences]
    ids = _joined(sequences)
    if token_types is None:
        return PackedBatch(ids, np.zeros(len(ids), dtype=np.int32), _offsets(lengths))
    if [len(types) for types in token_types] != lengths:
        raise DataError("expected as many token types as ids in every sequence; found other counts")
    return PackedBatch(ids, _joined(token_types), _offsets(lengths))


class Encoded(Sequence[NDArray[np.int32]]):
    """Token ids of a list of texts or of word lists; item i is the (length,) int32 ids of row i.

    Parameters
    ----------
    ids, token_types : (T,) int32 array
        Of all rows, one after another.
    offsets : (n+1,) int64 array
        Where each row begins.
    truncated : (n,) bool array
        Rows that were longer than the model's maximum.
    first : (W,) int32 array, optional
        For word rows: token, counted within its row, at which each word begins; -1 for a word
        without a token.
    word_offsets : (n+1,) int64 array, optional
        Where each row's words begin in `first`.
    """

    def __init__(
        self,
        ids: NDArray[np.int32],
        token_types: NDArray[np.int32],
        offsets: NDArray[np.int64],
        truncated: NDArray[np.bool_],
        first: NDArray[np.int32] | None = None,
        word_offsets: NDArray[np.int64] | None = None,
    ) -> None:
        self.ids, self.token_types, self.offsets = ids, token_types, offsets
        self.truncated, self._first, self._word_offsets = truncated, first, word_offsets
        for array in (ids, token_types, offsets, truncated, first, word_offsets):
            if array is not None:
                array.flags.writeable = False

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:  # type: ignore[override]
        position = range(len(self))[row]
        return self.ids[self.offsets[position] : self.offsets[position + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, (n,) int64."""
        return np.diff(self.offsets)

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.ids, self.token_types, self.offsets, self.truncated)
        own = (self._first, self._word_offsets)
        return sum(array.nbytes for array in (*arrays, *own) if array is not None)

    @property
    def n_truncated(self) -> int:
        """How many rows were cut."""
        return int(self.truncated.sum())

    @property
    def has_words(self) -> bool:
        """Whether the rows are words."""
        return self._first is not None

    @property
    def n_lost_words(self) -> int:
        """How many words have no token; they count as predicted ``O``."""
        return 0 if self._first is None else int((self._first == LOST).sum())

    def first_subwords(self, row: int) -> NDArray[np.int32]:
        """Return, (n_words,) int32, at which token of the row each word begins; -1 if lost.

        Raises
        ------
        DataError
            If the rows are texts.
        """
        if self._first is None or self._word_offsets is None:
            raise DataError("expected rows of words; found texts; encode them with encode_words")
        position = range(len(self))[row]
        return self._first[self._word_offsets[position] : self._word_offsets[position + 1]]

    def pack(self, rows: ArrayLike | None = None) -> PackedBatch:
        """Return these rows (by default all) as a packed batch, in the order given."""
        if rows is None:
            return PackedBatch(self.ids, self.token_types, self.offsets)
        index, offsets = self.tokens_of(rows)
        return PackedBatch(self.ids[index], self.token_types[index], offsets)

    def tokens_of(self, rows: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the tokens of rows lie.

        Parameters
        ----------
        rows : (B,) integer array_like
            Row numbers, in the order of a batch.

        Returns
        -------
        index : (T,) int64 array
            Positions in `ids`, or in any array with one entry a token of the data set.
        offsets : (B+1,) int64 array
            Where each row begins in `index`.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        begins = self.offsets[chosen]
        lengths = self.offsets[chosen + 1] - begins
        offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        index = np.arange(offsets[-1], dtype=np.int64)
        index += np.repeat(begins - offsets[:-1], lengths)
        return index, offsets


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
    return _joined(parts)


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


def _joined(arrays: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    if not arrays:
        return np.zeros(0, dtype=np.int32)
    return np.concatenate(arrays).astype(np.int32, copy=False)


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
