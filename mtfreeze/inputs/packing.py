# SPDX-License-Identifier: Apache-2.0
"""What a model reads of many texts: `Encoded`, made once for a whole data set.

Packed batches are cut from it by row numbers. For rows of words it also knows at which token each
word begins, which is where its label sits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..files.growing import bytes_in_memory
from .head_spaces import PAIRS
from .packed_batch import (
    IDS,
    SEQUENCES,
    SKIP,
    TOKEN_TYPES,
    TOKENS,
    PackedBatch,
    joined,
    pack,
)
from .row_layout import starts

if TYPE_CHECKING:
    from ..data.examples import Examples

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

LOST = -1
"""First sub-word of a word that has none: it gave no token, or truncation cut it off."""


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

    PIECES: ClassVar[tuple[str, ...]] = ("truncated", "_first", "skip")
    OFFSETS: ClassVar[tuple[str, ...]] = ("offsets", "_word_offsets", "row_offsets")
    SUMS: ClassVar[tuple[str, ...]] = ()
    """Attributes that are those of its parts end to end, offsets of such, and sums of theirs."""

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
        self._settle()

    def _settle(self) -> None:
        for array in self._arrays():
            array.flags.writeable = False
        ids = self.inputs.get(IDS)
        self._in_memory = ids is None or bytes_in_memory(ids) == ids.nbytes

    def joined(self, examples: Examples) -> None:
        """Take note that the arrays are now those of all `examples`, put together of parts."""
        self._settle()

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

    @property
    def in_memory(self) -> bool:
        """Whether the ids lie in memory; else they are read of a private file as needed."""
        return bool(self._in_memory)

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

    def row_lengths_of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the same for some rows, (n,) int64."""
        first, last = rows, rows + 1
        if self.row_offsets is not None:
            first, last = self.row_offsets[first], self.row_offsets[last]
        lengths: NDArray[np.int64] = self.offsets[last] - self.offsets[first]
        return lengths

    @property
    def row_truncated(self) -> NDArray[np.bool_]:
        """Rows of data with a sequence that was cut, (n_rows,) bool."""
        if self.row_offsets is None:
            return self.truncated
        before = np.concatenate(([0], np.cumsum(self.truncated)))
        return np.diff(before[self.row_offsets]) > 0

    def sequences_of(self, rows: ArrayLike, epoch: int = 0) -> NDArray[np.int64]:
        """Return the sequences of rows of data, (n,) int64, in the order of the rows.

        Where rows differ from one epoch to the next, those of `epoch`.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        return chosen if self.row_offsets is None else _spans(self.row_offsets, chosen)[0]

    def sequences_in(self, rows: ArrayLike, epochs: range) -> NDArray[np.int64]:
        """Return the sequences of rows of data in some epochs, each once, (n,) int64."""
        return self.sequences_of(rows)

    def rows_of_heads(self, n_rows: int) -> dict[str, int]:
        """Return how many rows batches of so many rows of data have in row spaces of heads."""
        return {PAIRS: n_rows} if self.paired else {}

    def ids_of_row(self, row: int) -> NDArray[np.int32]:
        """Return the ids of all sequences of a row of data, (length,) int32."""
        first, last = row, row + 1
        if self.row_offsets is not None:
            first, last = int(self.row_offsets[first]), int(self.row_offsets[last])
        return self.inputs[IDS][self.offsets[first] : self.offsets[last]]

    @property
    def n_bytes(self) -> int:
        """Bytes of all arrays that lie in memory."""
        return sum(map(bytes_in_memory, self._arrays()))

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

    rows_per_token: int = 1
    """Of lengths, where they are held against a budget of tokens."""

    spaces: tuple[str, ...] = (TOKENS,)
    """The row spaces of the family."""

    def counts(self, space: str) -> NDArray[np.int64]:
        """Return how many rows each sequence has in a row space, (n,) int64."""
        return np.ones(len(self), np.int64) if space == SEQUENCES else self.lengths

    def grid_widths(self, space: str) -> NDArray[np.int64] | None:
        """Return the columns of each sequence's grid in a row space, (n,) int64; None: no grid."""
        return None

    def contents(self, begin: int, end: int) -> list[bytes]:
        """Return all that a model reads of sequences `begin` to `end` - 1, as bytes of each."""
        offsets = self.offsets[begin : end + 1]
        tokens = slice(int(offsets[0]), int(offsets[-1]))
        # All inputs of a token side by side, so that no two texts give the same bytes.
        inputs = np.stack([one[tokens] for one in self.inputs.values()], axis=1)
        data = memoryview(inputs.astype("<i4", copy=False).tobytes())
        ends = ((offsets - offsets[0]) * 4 * len(self.inputs)).tolist()
        # What is no token's stands before the tokens; nothing for most models.
        before = [b""] * (end - begin)
        if self.skip is not None:
            before = [b"skip" + value.tobytes() for value in self.skip[begin:end].astype("<i4")]
        spans = zip(before, pairwise(ends), strict=True)
        return [first + data[at:to] for first, (at, to) in spans]

    def check_tokens(self, rows: ArrayLike | None = None) -> None:
        """Refuse rows (by default any) without a token: in a batch nothing would stand for them.

        Raises
        ------
        DataError
            If there is one; names the first.
        """
        if rows is None:
            lengths = np.diff(self.offsets)
        else:  # of a batch: not those of all rows again
            chosen = np.asarray(rows, dtype=np.int64)
            lengths = self.offsets[chosen + 1] - self.offsets[chosen]
        if not lengths.all():
            at = int(np.flatnonzero(lengths == 0)[0])
            raise DataError(
                f"expected every text to give a token; found none in row "
                f"{at if rows is None else chosen[at]}: this model's tokenizer puts nothing "
                "around a text; leave empty texts out"
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

    rereads: bool = False
    """Whether there are sequences that packing reads again: only of these it helps to know which
    come next."""

    waited_seconds: float = 0.0
    """What packing has waited for sequences that had to be read again."""

    def expect(self, sequences: ArrayLike) -> None:
        """Take note that these are packed next: what must be read for it is read meanwhile."""

    def _pairs_of(self, sequences: ArrayLike) -> dict[str, NDArray[np.int64]]:
        """Return the offsets of `PAIRS` for a batch of these sequences, where rows are pairs."""
        if not self.paired or self.row_offsets is None:
            return {}
        chosen = np.asarray(sequences, dtype=np.int64)
        begins = np.zeros(len(chosen), dtype=np.int64)
        begins[:-1] = chosen[1:] == chosen[:-1] + 1
        rows = np.searchsorted(self.row_offsets[:-1], chosen)  # a batch costs by its own size
        return {PAIRS: starts(begins * (self.row_offsets[rows] == chosen))}

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
    inputs = {name: joined([values[name][span] for values, span in spans]) for name in spans[0][0]}
    if rows[0][0].skip is not None:
        inputs[SKIP] = joined([one.skipped([row])[SKIP] for one, row in rows])
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
