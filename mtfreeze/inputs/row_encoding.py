# SPDX-License-Identifier: Apache-2.0
"""How a kind of head reads rows of data: which sequences of tokens the backbone gets for each.

Most kinds read one sequence a row. Others read a sequence for each text of a row, or several
windows of one. An encoding is a small value: heads whose encodings are equal share the tokens of a
data set, and in joint mixing one pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import numpy as np

from ..data.example import Example
from ..data.examples import Examples
from ..errors import ConfigError, DataError
from ..images.augmentations import Augment
from .packing import Encoded
from .text import TextEncoder

__all__ = ["JOINT", "PAIRED", "PLAIN", "SEPARATE", "RowEncoding", "Varied"]


@dataclass(frozen=True)
class RowEncoding(ABC):
    """Turns rows of data into sequences of tokens."""

    several: ClassVar[bool] = False
    """Whether a row holds several texts."""

    @abstractmethod
    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        """Encode all rows of a data set.

        Parameters
        ----------
        encoder : TextEncoder
            The model's tokenizer and maximum length.
        examples : Examples
            Rows of any kind.

        Returns
        -------
        Encoded
            With as many rows as `examples`.

        Raises
        ------
        DataError
            If a row gives no token.
        """

    @abstractmethod
    def check(self, examples: Examples) -> None:
        """Check that rows are of the kind that is read.

        Raises
        ------
        DataError
            If one is not; it is named.
        """

    @property
    def evaluated(self) -> RowEncoding:
        """How the same rows are read where nothing is learned from them."""
        return self

    def varied(self, augment: Augment) -> RowEncoding:
        """Return the encoding of rows that differ from one epoch to the next.

        Raises
        ------
        ConfigError
            If rows are no images.
        """
        raise ConfigError(
            "augment= varies images; found a head that reads several texts a row; leave it out"
        )


@dataclass(frozen=True)
class _Plain(RowEncoding):
    """One sequence a row: its text, or its words."""

    def check(self, examples: Examples) -> None:
        if examples.kind == "texts":
            row = examples[0]
            raise DataError(
                f"{row.source}: expected one text, or words; found {_found(row)}; give such rows "
                "to a head that reads several texts, or join them into one; for several labels of "
                "a text use {'text': ..., 'labels': {task: label}}"
            )

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        if examples.kind == "image":
            return encoder.encode_images([row.image for row in examples])
        if examples.kind == "words":
            return encoder.encode_words([row.words or () for row in examples])
        return encoder.encode_texts([row.text or "" for row in examples])

    def varied(self, augment: Augment) -> RowEncoding:
        return Varied(augment)


@dataclass(frozen=True)
class Varied(RowEncoding):
    """An image a row, and in each epoch another variant of it; evaluated as it is.

    Parameters
    ----------
    augment : Augment
        What variants there are.
    """

    augment: Augment

    @property
    def evaluated(self) -> RowEncoding:
        return PLAIN

    def check(self, examples: Examples) -> None:
        if examples.kind != "image":
            raise DataError(
                f"{examples[0].source}: expected an image, which augment= varies; found "
                f"{_found(examples[0])}; leave augment= out"
            )

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        return encoder.encode_images([row.image for row in examples], self.augment)


@dataclass(frozen=True)
class _Joint(RowEncoding):
    """One sequence of both texts of a pair, as the tokenizer puts them together."""

    several: ClassVar[bool] = True

    def check(self, examples: Examples) -> None:
        for row in examples:
            if row.texts is None or len(row.texts) != 2:
                raise DataError(
                    f"{row.source}: expected a pair of texts; found {_found(row)}; give two texts "
                    "a row, (text, text)"
                )

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        return encoder.encode_pairs([row.texts or () for row in examples])


@dataclass(frozen=True)
class _Separate(RowEncoding):
    """A sequence a text; those of a row stand together."""

    several: ClassVar[bool] = True

    def check(self, examples: Examples) -> None:
        for row in examples:
            if row.texts is None:
                raise DataError(
                    f"{row.source}: expected several texts; found {_found(row)}; give rows "
                    "such as (text, text)"
                )

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        texts = [row.texts or () for row in examples]
        encoded = encoder.encode_texts(list(chain.from_iterable(texts)))
        return encoded.of_rows(np.fromiter(map(len, texts), np.int64, count=len(texts)))


@dataclass(frozen=True)
class _Paired(_Separate):
    """A sequence for each of two texts, which make a pair in every batch."""

    def check(self, examples: Examples) -> None:
        JOINT.check(examples)

    def encode(self, encoder: TextEncoder, examples: Examples) -> Encoded:
        encoded = super().encode(encoder, examples)
        return encoded.of_rows(np.full(len(examples), 2), paired=True)


def _found(row: Example) -> str:
    if row.texts is not None:
        return f"{len(row.texts)} texts"
    if row.image is not None:
        return "an image"
    return "one text" if row.text is not None else "words"


PLAIN = _Plain()
JOINT = _Joint()
PAIRED = _Paired()
SEPARATE = _Separate()
