# SPDX-License-Identifier: Apache-2.0
"""Row spaces: what carries a target and what a head gives one row of output for, texts or words.

The core has one row of output a sequence or a token. A word stands at its first sub-word; one that
truncation cut off, or that has no token, is *lost*. All that depends on the row space and not on
the kind of head is asked here: targets laid on a batch, outputs taken back to texts or words, and
the words for both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.labels import IGNORE
from ..files.ragged import RaggedArrays
from ..inputs.head_spaces import PAIRS
from ..inputs.packing import LOST, TOKENS, Encoded, PackedBatch
from ..inputs.word_values import token_labels
from ..losses.own import labelled_rows

__all__ = [
    "ROW_SPACES",
    "TEXTS",
    "WORDS",
    "ArrayRows",
    "PairTargets",
    "RowSpace",
    "Targets",
    "TextTargets",
    "WordTargets",
]

Int32 = NDArray[np.int32]
Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Values = Int32 | Float32
"""Classes, or numbers with one column an output; `IGNORE` or NaN where there is no target."""


class Targets(ABC):
    """The targets of one data set for one head, as the core's loss takes them."""

    @abstractmethod
    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the targets of a packed batch of these rows, one a row of the head's output."""

    def in_epoch(self, encoded: Encoded, rows: Int64, epoch: int) -> Values:
        """Return the same of what an epoch reads of these rows; mostly it is all one."""
        return self.for_rows(encoded, rows)

    @abstractmethod
    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return targets of a packed batch of other data, which has none for this head."""

    @abstractmethod
    def flat(self) -> Values:
        """Return the targets of all texts or words, one after another."""

    @abstractmethod
    def labelled_rows(self) -> Int64:
        """Return the numbers of the rows of data with a target, in order."""

    @abstractmethod
    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return the texts or words with a target in a packed batch of labelled rows.

        Returns
        -------
        at : (n,) int64 array
            Their rows in the head's row space of the batch.
        targets : (n, ...) array
        owner : (n,) int64 array
            Which row of the batch each belongs to.
        """


def _nothing(n: int, like: Values) -> Values:
    """Return `n` rows without a target."""
    missing = np.nan if like.dtype == np.float32 else IGNORE
    return np.full((n, *like.shape[1:]), missing, like.dtype)


@dataclass
class TextTargets(Targets):
    """One target a text.

    Attributes
    ----------
    values : (n,) int32 or (n, width) float32 array
        Of every row of data.
    """

    values: Values

    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the targets of these rows."""
        return self.values[rows]

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for every text of the batch."""
        return _nothing(batch.n_sequences, self.values)

    def flat(self) -> Values:
        """Return the targets of all texts."""
        return self.values

    def labelled_rows(self) -> Int64:
        """Return the numbers of the texts with a target."""
        return np.flatnonzero(labelled_rows(self.values)).astype(np.int64)

    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return every text of the batch."""
        every = np.arange(len(rows), dtype=np.int64)
        return every, self.values[rows], every


@dataclass
class PairTargets(TextTargets):
    """One target for two texts that are read as a sequence each."""

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for every pair of the batch."""
        offsets = batch.offsets.get(PAIRS)
        return _nothing(0 if offsets is None else int(offsets[-1]), self.values)


@dataclass
class WordTargets(Targets):
    """One class a word.

    Attributes
    ----------
    rows : RaggedArrays of int32
        Of every row of data.
    """

    rows: RaggedArrays
    _laid: tuple[Encoded, Int32] | None = field(default=None, init=False, repr=False)

    def for_rows(self, encoded: Encoded, rows: Int64) -> Values:
        """Return the targets of the tokens of these rows: words' at their first sub-words."""
        if not encoded.in_memory:
            return token_labels(encoded, rows.tolist(), self.rows)
        if self._laid is None or self._laid[0] is not encoded:
            # Laid on the tokens of the whole data set once; a batch is then one look-up.
            self._laid = encoded, token_labels(encoded, range(len(encoded)), self.rows)
        return self._laid[1][encoded.tokens_of(rows)[0]]

    def unlabelled(self, batch: PackedBatch) -> Values:
        """Return nothing for every token of the batch."""
        return np.full(int(batch.offsets[TOKENS][-1]), IGNORE, np.int32)

    def flat(self) -> Values:
        """Return the targets of all words."""
        return self.rows.flat

    def labelled_rows(self) -> Int64:
        """Return the numbers of the rows with a word that has a target."""
        found = [i for i, row in enumerate(self.rows) if labelled_rows(row).any()]
        return np.array(found, np.int64)

    def items(self, encoded: Encoded, rows: Int64) -> tuple[Int64, Values, Int64]:
        """Return the labelled words that have a token, each at its first one."""
        none = np.zeros(0, np.int64)
        at, targets, owners = [none], [none.astype(np.int32)], [none]
        begin = 0
        for position, row in enumerate(rows.tolist()):
            first = encoded.first_subwords(row)
            known = (first != LOST) & labelled_rows(self.rows[row])
            at.append(begin + first[known].astype(np.int64))
            targets.append(self.rows[row][known])
            owners.append(np.full(int(known.sum()), position, dtype=np.int64))
            begin += len(encoded[row])
        return np.concatenate(at), np.concatenate(targets), np.concatenate(owners)


@dataclass(frozen=True)
class RowSpace(ABC):
    """What a head gives one row of output for.

    Attributes
    ----------
    name : {"sequences", "tokens"}
        What the core calls it.
    item, items : str
        What carries a target.
    example, data : str
        What a row of data is; what many of them are, with their targets.
    labelled : str
        What is counted where data are said to be too few.
    classes : str
        What the classes of an item are called that a user counts.
    splits : bool
        Whether the head needs texts split into words.
    """

    name: str
    item: str
    items: str
    example: str
    data: str
    labelled: str
    classes: str
    splits: bool

    def items_of(self, noun: str) -> str:
        """Return `items` as a user of a model calls them whose rows are this: images, not texts."""
        return self.items.replace("text", noun)

    @abstractmethod
    def empty(self, n: int, width: int) -> Any:
        """Return room for what a head with `width` outputs gives for `n` rows of data."""

    @abstractmethod
    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        """Put the outputs of a packed batch of these rows in their place in `found`.

        Parameters
        ----------
        found
            From `empty`.
        encoded : Encoded
        rows : (B,) int64 array
        outputs : (N, width) float32 array
            One row for each row of the batch's row space.
        lost : (width,) float32 array
            What stands for a lost word.
        """

    def each(self, found: Any, make: Callable[[Any], Any]) -> Any:
        """Return what `make` makes of what is in `found`: of each row, or of all rows at once."""
        return [make(one) for one in found]


class ArrayRows(RowSpace):
    """Rows with one row of an array each."""

    def empty(self, n: int, width: int) -> Any:
        return np.zeros((n, width), dtype=np.float32)

    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        found[rows] = outputs

    def each(self, found: Any, make: Callable[[Any], Any]) -> Any:
        return make(found)


class _Words(RowSpace):
    def empty(self, n: int, width: int) -> Any:
        return [np.zeros((0, width), dtype=np.float32)] * n

    def put(
        self, found: Any, encoded: Encoded, rows: Int64, outputs: Float32, lost: Float32
    ) -> None:
        begin = 0
        for row in rows.tolist():
            end = begin + len(encoded[row])
            first = encoded.first_subwords(row)
            gone = first == LOST
            found[row] = outputs[begin:end][np.where(gone, 0, first)]
            found[row][gone] = lost
            begin = end


TEXTS = ArrayRows(
    name="sequences",
    item="text",
    items="texts",
    example="text",
    data="sentences",
    labelled="rows",
    classes="labels",
    splits=False,
)
WORDS = _Words(
    name=TOKENS,
    item="word",
    items="words",
    example="sentence",
    data="tagged sentences",
    labelled="words",
    classes="types",
    splits=True,
)

ROW_SPACES = {space.item: space for space in (TEXTS, WORDS)}
"""By what carries a target."""
