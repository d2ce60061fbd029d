# SPDX-License-Identifier: Apache-2.0
"""How language heads read rows: a text that is too long becomes several sequences, none is lost.

Batches are packed without padding, so short rows are not joined: each keeps to its own context. No
prompt stands before them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..data.examples import Examples
from ..errors import ConfigError, DataError
from .head_spaces import PICKED
from .packing import Encoded
from .row_encoding import RowEncoding
from .text import TextEncoder

__all__ = ["Blocks"]


@dataclass(frozen=True)
class Blocks(RowEncoding):
    """Sequences of at most `length` tokens, special tokens included; a row has one or more.

    Attributes
    ----------
    length : int or None
        None: as many as the model reads.
    purpose : tuple
        What is done with the sequences beside: heads that change them share no pass with others.
    share : float
        Of their tokens but the special ones, how many are guessed, on average.
    """

    length: int | None = None
    purpose: tuple[object, ...] = ()
    share: float = 1.0

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        """Encode all rows of a data set; see `RowEncoding.encode`.

        Raises
        ------
        ConfigError
            If blocks are longer than what the model reads, or hold nothing but special tokens.
        DataError
            If a row is no text; it is named.
        """
        self.check(examples)
        texts = [row.text or "" for row in examples]
        if encoder.do_lower_case:
            texts = [text.lower() for text in texts]
        cutting = encoder if self.length is None else self._shorter(encoder, self.length)
        whole = _Sequences(list(encoder.columns))
        for encoding in cutting.encodings(texts):
            parts = [encoding, *encoding.overflowing]
            whole.add([{n: read(one) for n, read in encoder.columns.items()} for one in parts])
        (nothing,) = encoder.encodings([""])
        return whole.encoded(encoder.counts_prompts, self.share, len(nothing))

    def check(self, examples: Examples) -> None:
        """Refuse rows that are no texts; the row is named."""
        for row in examples:
            if row.text is None:
                raise DataError(
                    f"{row.source}: a language head reads texts; found "
                    f"{'words' if row.texts is None else 'several texts'}; join them with spaces"
                )

    @staticmethod
    def _shorter(encoder: TextEncoder, length: int) -> TextEncoder:
        (nothing,) = encoder.encodings([""])
        if not len(nothing) < length <= encoder.max_length:
            raise ConfigError(
                f"expected blocks of more than {len(nothing)} tokens, the special ones of each "
                f"text, and at most {encoder.max_length}, what the model reads; found block="
                f"{length}"
            )
        return encoder.cut_to(length)


class _BlocksEncoded(Encoded):
    """Sequences of texts; a `share` of their `n_words` tokens but the special ones is guessed."""

    SUMS: ClassVar[tuple[str, ...]] = ("n_words",)

    n_words: int = 0
    share: float = 1.0

    @property
    def n_guessed(self) -> float:
        """Tokens that are guessed, on average over draws."""
        return self.share * self.n_words

    def rows_of_heads(self, n_rows: int) -> dict[str, int]:
        """Return how many tokens are guessed in so many rows, on average: what estimates need."""
        return {PICKED: round(self.n_guessed * n_rows / max(self.n_rows, 1))}


class _Sequences:
    """Collects sequences of rows."""

    def __init__(self, names: list[str]) -> None:
        self._columns: dict[str, list[NDArray[np.int32]]] = {name: [] for name in names}
        self._lengths, self._counts = [0], [0]

    def add(self, parts: list[dict[str, Any]]) -> None:
        """Take the sequences of one row."""
        for part in parts:
            for name, values in part.items():
                self._columns[name].append(np.array(values, dtype=np.int32))
            self._lengths.append(len(next(iter(part.values()))))
        self._counts.append(len(parts))

    def encoded(self, counts_prompts: bool, share: float, n_special: int) -> Encoded:
        n = len(self._lengths) - 1
        nothing = np.zeros(0, dtype=np.int32)
        made = _BlocksEncoded(
            {name: np.concatenate([nothing, *parts]) for name, parts in self._columns.items()},
            np.cumsum(self._lengths, dtype=np.int64),
            np.zeros(n, dtype=np.bool_),
            skip=np.zeros(n, dtype=np.int32) if counts_prompts else None,
            row_offsets=np.cumsum(self._counts, dtype=np.int64),
        )
        made.n_words, made.share = self._total() - n * n_special, share
        return made

    def _total(self) -> int:
        return sum(self._lengths)
