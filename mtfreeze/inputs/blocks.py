# SPDX-License-Identifier: Apache-2.0
"""How language heads read rows: a text that is too long becomes several sequences, none is lost.

Batches are packed without padding, so short rows are not joined: each keeps to its own context.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..data.examples import Examples
from ..errors import DataError
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
    """

    length: int | None = None
    purpose: tuple[object, ...] = ()

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        """Encode all rows of a data set; a row that is no text is an error."""
        for row in examples:
            if row.text is None:
                raise DataError(
                    f"{row.source}: a language head reads texts; found "
                    f"{'words' if row.texts is None else 'several texts'}; join them with spaces"
                )
        return encoder.encode_blocks([row.text or "" for row in examples], self.length)
