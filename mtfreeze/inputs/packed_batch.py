# SPDX-License-Identifier: Apache-2.0
"""Packed batches: the rows of sequences one after another, without padding.

One array for every input of the model, and offsets (B+1,) for every row space, in which sequence b
has the rows ``offsets[b]`` to ``offsets[b + 1] - 1``. Texts are one case of it: the inputs `IDS`
and `TOKEN_TYPES` in the row space `TOKENS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .head_spaces import HEAD_SPACES, is_of_heads
from .row_layout import SEQUENCES, TOKENS, starts

if TYPE_CHECKING:
    from .._core import Batch

__all__ = [
    "IDS",
    "SEQUENCES",
    "SKIP",
    "TOKENS",
    "TOKEN_TYPES",
    "PackedBatch",
    "joined",
    "pack",
]

IDS, TOKEN_TYPES = "ids", "token_types"
"""Inputs of families that read texts: token ids, and the segment of each token."""

SKIP = "skip"
"""Input of one number a sequence: how many of its first tokens are a prompt's, and not pooled."""


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
    ids = joined(sequences)
    types = np.zeros(len(ids), dtype=np.int32)
    if token_types is not None:
        if [len(one) for one in token_types] != lengths:
            raise DataError(
                "expected as many token types as ids in every sequence; found other counts"
            )
        types = joined(token_types)
    return PackedBatch({IDS: ids, TOKEN_TYPES: types}, {TOKENS: starts(lengths)})


def joined(arrays: Sequence[NDArray[np.int32]]) -> NDArray[np.int32]:
    """Return arrays end to end, (N,) int32."""
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
