# SPDX-License-Identifier: Apache-2.0
"""What a model reads of many texts, and packed batches cut from them.

A packed batch holds the rows of its sequences one after another, without padding: one array for
every input of the model, and offsets (B+1,) for every row space, in which sequence b has the rows
``offsets[b]`` to ``offsets[b + 1] - 1``. Texts are one case of it: the inputs `IDS` and
`TOKEN_TYPES` in the row space `TOKENS`. `Encoded` is the same for a whole data set of texts, made
once; batches are cut from it by row numbers. For rows of words it also knows at which token each
word begins, which is where its label sits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from .head_spaces import HEAD_SPACES, PAIRS, is_of_heads
from .row_layout import starts

if TYPE_CHECKING:
    from .._core import Batch

__all__ = [
    "IDS",
    "SEQUENCES",
    "SKIP",
    "TOKENS",
    "TOKEN_TYPES",
    "Encoded",
    "PackedBatch",
    "pack",
    "pack_rows",
]

IDS, TOKEN_TYPES = "ids", "token_types"
"""Inputs of families that read texts: token ids, and the segment of each token."""

TOKENS = "tokens"
"""Their row space."""

SEQUENCES = "sequences"
"""The row space of one row a sequence."""

SKIP = "skip"
"""Input of one number a sequence: how many of its first tokens are a prompt's, and not pooled."""

LOST = -1
"""First sub-word of a word that has none: it gave no token, or truncation cut it off."""


@dataclass(frozen=True)
class PackedBatch:
    """A batch of sequences.

    Attributes
    ----------
    inputs : mapping of str to array
        By the model's names: int32 ids (N,) or float32 rows (N, width), N being the rows of the
        input's row space. What nothing reads may be left out.
    offsets : mapping of str to (B+1,) int64 array
        By row space: where each sequence's rows begin; the last entry is N.
    features : mapping of str to (N, width) float32 array
        Outputs of the frozen prefix for these sequences, by name, one row a token or a sequence;
        what lies below them is not computed again. Empty: everything is computed from `inputs`.
    widths : mapping of str to (B,) int64 array
        By row space that is a grid: the columns of each sequence's.
    """

    inputs: Mapping[str, NDArray[Any]]
    offsets: Mapping[str, NDArray[np.int64]]
    features: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    widths: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def n_sequences(self) -> int:
        """B, the number of sequences."""
        return len(next(iter(self.offsets.values()))) - 1

    @property
    def n_tokens(self) -> int:
        """Rows of the family's main row space: T, the number of tokens."""
        return int(self._main_offsets[-1])

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Rows of each sequence in the family's main row space, (B,) int64: its tokens."""
        return np.diff(self._main_offsets)

    @property
    def rows_of_heads(self) -> dict[str, int]:
        """Rows in each row space that heads declare, by its name."""
        return {name: int(one[-1]) for name, one in self.offsets.items() if name in HEAD_SPACES}

    @property
    def _main_offsets(self) -> NDArray[np.int64]:
        """Offsets of the space that lengths are counted in; see `RowLayout`."""
        own = [space for space in self.offsets if space not in HEAD_SPACES]
        return self.offsets[TOKENS if TOKENS in own else own[0]]

    def for_core(self) -> Batch:
        """Return the batch in the form that the core takes."""
        return {
            "inputs": self.inputs,
            "offsets": self.offsets,
            "features": self.features,
            **({"widths": self.widths} if self.widths else {}),
        }

    def with_features(self, features: Mapping[str, NDArray[np.float32]]) -> PackedBatch:
        """Return the same sequences with outputs of the frozen prefix beside them."""
        return replace(self, features=features)

    @staticmethod
    def join(batches: Sequence[PackedBatch]) -> PackedBatch:
        """Return one batch with the sequences of all, in order, and what all have.

        A batch without a row space of heads has no rows there; its sequences then have none.

        Parameters
        ----------
        batches : sequence of PackedBatch
            At least one; all of one model.
        """
        if len(batches) == 1:
            return batches[0]
        spaces = dict.fromkeys(space for batch in batches for space in batch.offsets)
        offsets = {
            space: starts(np.concatenate([_lengths_in(batch, space) for batch in batches]))
            for space in spaces
        }
        own = {name for batch in batches for name in batch.inputs if is_of_heads(name)}
        of_heads = {
            name: np.concatenate([b.inputs[name] for b in batches if name in b.inputs])
            for name in sorted(own)
        }
        return PackedBatch(
            _joined_by_name([batch.inputs for batch in batches]) | of_heads,
            offsets,
            _joined_by_name([batch.features for batch in batches]),
            _joined_by_name([batch.widths for batch in batches]),
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
    >>> batch.inputs["ids"].tolist(), batch.offsets["tokens"].tolist()
    ([101, 102, 101, 7, 102], [0, 2, 5])
    """
    lengths = [len(sequence) for sequence in sequences]
    ids = _joined(sequences)
    types = np.zeros(len(ids), dtype=np.int32)
    if token_types is not None:
        if [len(one) for one in token_types] != lengths:
            raise DataError(
                "expected as many token types as ids in every sequence; found other counts"
            )
        types = _joined(token_types)
    return PackedBatch({IDS: ids, TOKEN_TYPES: types}, {TOKENS: starts(lengths)})


class Encoded(Sequence[NDArray[np.int32]]):
    """Token ids of a list of sequences; item i is the (length,) int32 ids of sequence i.

    A row of data is one sequence, its text or its words, or several that stand together
    (`row_offsets`). All that is packed and stored goes by sequences; `sequences_of` leads there
    from rows.

    Parameters
    ----------
    inputs : mapping of str to (T,) int32 array
        What the model reads of each token, of all rows one after another; `IDS` among them.
    offsets : (n+1,) int64 array
        Where each sequence begins.
    truncated : (n,) bool array
        Sequences that were longer than the model's maximum.
    first : (W,) int32 array, optional
        For word rows: token, counted within its row, at which each word begins; -1 for a word
        without a token.
    word_offsets : (n+1,) int64 array, optional
        Where each row's words begin in `first`.
    skip : (n,) int32 array, optional
        Where the model has the input `SKIP`: that of each sequence.
    row_offsets : (n_rows+1,) int64 array, optional
        Where the sequences of each row of data begin; by default every row is one sequence.
    paired : bool
        Whether the two sequences of each row make a pair in packed batches.
    """

    def __init__(
        self,
        inputs: Mapping[str, NDArray[np.int32]],
        offsets: NDArray[np.int64],
        truncated: NDArray[np.bool_],
        first: NDArray[np.int32] | None = None,
        word_offsets: NDArray[np.int64] | None = None,
        skip: NDArray[np.int32] | None = None,
        row_offsets: NDArray[np.int64] | None = None,
        paired: bool = False,
    ) -> None:
        self.inputs, self.offsets, self.truncated = dict(inputs), offsets, truncated
        self._first, self._word_offsets = first, word_offsets
        self.skip, self.row_offsets, self.paired = skip, row_offsets, paired
        for array in self._arrays():
            array.flags.writeable = False

    def _arrays(self) -> list[NDArray[Any]]:
        more = (self._first, self._word_offsets, self.skip, self.row_offsets)
        there = [array for array in more if array is not None]
        return [*self.inputs.values(), self.offsets, self.truncated, *there]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> NDArray[np.int32]:  # type: ignore[override]
        position = range(len(self))[row]
        return self.inputs[IDS][self.offsets[position] : self.offsets[position + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each sequence, (n,) int64."""
        return np.diff(self.offsets)

    def of_rows(self, counts: ArrayLike, paired: bool = False) -> Encoded:
        """Return the same sequences as those of rows of data, so many each, (n_rows,) int64."""
        return Encoded(
            self.inputs,
            self.offsets,
            self.truncated,
            self._first,
            self._word_offsets,
            self.skip,
            starts(counts),
            paired,
        )

    @property
    def n_rows(self) -> int:
        """How many rows of data the sequences are of."""
        return len(self) if self.row_offsets is None else len(self.row_offsets) - 1

    @property
    def row_lengths(self) -> NDArray[np.int64]:
        """Tokens of all sequences of each row of data, (n_rows,) int64."""
        begins = self.offsets if self.row_offsets is None else self.offsets[self.row_offsets]
        return np.diff(begins)

    @property
    def row_truncated(self) -> NDArray[np.bool_]:
        """Rows of data with a sequence that was cut, (n_rows,) bool."""
        if self.row_offsets is None:
            return self.truncated
        before = np.concatenate(([0], np.cumsum(self.truncated)))
        return np.diff(before[self.row_offsets]) > 0

    def sequences_of(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return the sequences of rows of data, (n,) int64, in the order of the rows."""
        chosen = np.asarray(rows, dtype=np.int64)
        return chosen if self.row_offsets is None else _spans(self.row_offsets, chosen)[0]

    def rows_of_heads(self, n_rows: int) -> dict[str, int]:
        """Return how many rows batches of so many rows of data have in row spaces of heads."""
        return {PAIRS: n_rows} if self.paired else {}

    def ids_of_row(self, row: int) -> NDArray[np.int32]:
        """Return the ids of all sequences of a row of data, (length,) int32."""
        begins = self.offsets if self.row_offsets is None else self.offsets[self.row_offsets]
        return self.inputs[IDS][begins[row] : begins[row + 1]]

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(array.nbytes for array in self._arrays())

    @property
    def n_truncated(self) -> int:
        """How many rows of data were cut."""
        return int(self.row_truncated.sum())

    @property
    def has_words(self) -> bool:
        """Whether the rows are words."""
        return self._first is not None

    @property
    def n_lost_words(self) -> int:
        """How many words have no token; they count as predicted ``O``."""
        return 0 if self._first is None else int((self._first == LOST).sum())

    def lost_words(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which words have no token: (W,) those that were cut off, and (W,) all others."""
        if self._first is None or self._word_offsets is None:
            nothing = np.zeros(0, dtype=np.bool_)
            return nothing, nothing
        lost = self._first == LOST
        if not lost.any():
            return lost, lost
        row = np.repeat(np.arange(len(self)), np.diff(self._word_offsets))
        last = np.full(len(self), -1)
        last[row[~lost]] = np.flatnonzero(~lost)  # ascending, so the last word of a row stays
        cut = lost & self.truncated[row] & (np.arange(len(lost)) > last[row])
        return cut, lost & ~cut

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

    spaces: tuple[str, ...] = (TOKENS,)
    """The row spaces of the family."""

    def counts(self, space: str) -> NDArray[np.int64]:
        """Return how many rows each sequence has in a row space, (n,) int64."""
        return np.ones(len(self), np.int64) if space == SEQUENCES else self.lengths

    def grid_widths(self, space: str) -> NDArray[np.int64] | None:
        """Return the columns of each sequence's grid in a row space, (n,) int64; None: no grid."""
        return None

    def contents(self) -> list[bytes]:
        """Return for each sequence all that a model reads of it, as bytes."""
        # All inputs of a token side by side, so that no two texts give the same bytes.
        inputs = np.stack(list(self.inputs.values()), axis=1).astype("<i4", copy=False)
        data = memoryview(inputs.tobytes())
        ends = (self.offsets * 4 * len(self.inputs)).tolist()
        # What is no token's stands before the tokens; nothing for most models.
        before = [b""] * len(self)
        if self.skip is not None:
            before = [b"skip" + value.tobytes() for value in self.skip.astype("<i4")]
        spans = zip(before, pairwise(ends), strict=True)
        return [first + data[begin:end] for first, (begin, end) in spans]

    def check_tokens(self, rows: ArrayLike | None = None) -> None:
        """Refuse rows (by default any) without a token: in a batch nothing would stand for them.

        Raises
        ------
        DataError
            If there is one; names the first.
        """
        lengths = np.diff(self.offsets)
        chosen = np.arange(len(lengths)) if rows is None else np.asarray(rows, dtype=np.int64)
        if not lengths[chosen].all():
            raise DataError(
                f"expected every text to give a token; found none in row "
                f"{chosen[lengths[chosen] == 0][0]}: this model's tokenizer puts nothing around a "
                "text; leave empty texts out"
            )

    def pack(self, rows: ArrayLike | None = None) -> PackedBatch:
        """Return these sequences (by default all) as a packed batch, in the order given.

        Raises
        ------
        DataError
            If one has no token.
        """
        self.check_tokens(rows)
        if rows is None:
            spaces = {TOKENS: self.offsets} | self._pairs_of(np.arange(len(self)))
            return PackedBatch(self.inputs | self.skipped(slice(None)), spaces)
        index, offsets = self.tokens_of(rows)
        inputs = {name: values[index] for name, values in self.inputs.items()}
        return PackedBatch(inputs | self.skipped(rows), {TOKENS: offsets} | self._pairs_of(rows))

    def pack_outline(self, rows: ArrayLike) -> PackedBatch:
        """Return `pack`, whose inputs may be missing because features will stand for them."""
        return self.pack(rows)

    def _pairs_of(self, sequences: ArrayLike) -> dict[str, NDArray[np.int64]]:
        """Return the offsets of `PAIRS` for a batch of these sequences, where rows are pairs."""
        if not self.paired or self.row_offsets is None:
            return {}
        chosen = np.asarray(sequences, dtype=np.int64)
        begins = np.zeros(len(chosen), dtype=np.int64)
        begins[:-1] = chosen[1:] == chosen[:-1] + 1
        return {PAIRS: starts(begins * np.isin(chosen, self.row_offsets[:-1]))}

    def skipped(self, rows: Any) -> dict[str, NDArray[np.int32]]:
        """Return the input `SKIP` of these rows by its name; empty where the model has none."""
        return {} if self.skip is None else {SKIP: self.skip[rows]}

    def tokens_of(self, rows: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return where the tokens of rows lie.

        Parameters
        ----------
        rows : (B,) integer array_like
            Numbers of sequences, in the order of a batch.

        Returns
        -------
        index : (T,) int64 array
            Positions in the inputs, or in any array with one entry a token of the data set.
        offsets : (B+1,) int64 array
            Where each row begins in `index`.
        """
        return _spans(self.offsets, np.asarray(rows, dtype=np.int64))


def pack_rows(rows: Sequence[tuple[Encoded, int]]) -> PackedBatch:
    """Put rows of several data sets one after another.

    Parameters
    ----------
    rows : sequence of (Encoded, int)
        At least one row, by its data set and its number there; data sets of one model.
    """
    if not rows[0][0].inputs:
        return PackedBatch.join([one.pack([row]) for one, row in rows])
    spans = [(one.inputs, slice(*one.offsets[row : row + 2])) for one, row in rows]
    inputs = {name: _joined([values[name][span] for values, span in spans]) for name in spans[0][0]}
    if rows[0][0].skip is not None:
        inputs[SKIP] = _joined([one.skipped([row])[SKIP] for one, row in rows])
    return PackedBatch(inputs, {TOKENS: starts([span.stop - span.start for _, span in spans])})


def _spans(
    begins: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what lies in spans, (T,) int64, and where each span begins in that, (B+1,) int64.

    Span i is ``begins[i]`` to ``begins[i + 1] - 1``; `chosen`, (B,) int64, are numbers of spans.
    """
    first = begins[chosen]
    lengths = begins[chosen + 1] - first
    offsets = np.zeros(len(chosen) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    index = np.arange(offsets[-1], dtype=np.int64)
    index += np.repeat(first - offsets[:-1], lengths)
    return index, offsets


def _joined(arrays: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    if not arrays:
        return np.zeros(0, dtype=np.int32)
    return np.concatenate(arrays).astype(np.int32, copy=False)


def _joined_by_name(parts: Sequence[Mapping[str, NDArray[Any]]]) -> dict[str, NDArray[Any]]:
    """Return the arrays, end to end, of the names that all parts have."""
    names = sorted(set.intersection(*(set(part) for part in parts)))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def _lengths_in(batch: PackedBatch, space: str) -> NDArray[np.int64]:
    """Return how many rows of a row space each sequence has."""
    if space in HEAD_SPACES and space not in batch.offsets:
        return np.zeros(batch.n_sequences, dtype=np.int64)
    return np.diff(batch.offsets[space])
