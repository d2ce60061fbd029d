# SPDX-License-Identifier: Apache-2.0
"""Around the tokenizer: rows into chunks, what it gives into arrays, and what it may get."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import as_items, why_no_list
from ..errors import CheckpointError, DataError
from .packing import LOST
from .tokenizer_files import guarded

if TYPE_CHECKING:
    from tokenizers import Tokenizer

__all__ = ["before_words", "check_characters", "chunks", "first_subwords", "flat", "list_of"]

_CHUNK = 4096
"""Rows given to the tokenizer at a time: bounds the memory that its encodings take."""

_CHARACTERS = 1 << 16
"""Characters given to it at a time, unless one row has more: Ctrl-C is heard in between."""


def before_words(tokenizer: Tokenizer) -> str:
    """Return what a word must begin with to be encoded as the same word within a text.

    Byte-level vocabularies have the space before a word in its token, and their tokenizers put none
    before the words of a list; transformers asks for ``add_prefix_space`` there, which does.
    """
    listed = guarded(
        "the tokenizer",
        lambda: [
            tokenizer.encode(text, is_pretokenized=words, add_special_tokens=False).ids
            for text, words in (("a a", False), (["a", "a"], True), ([" a", " a"], True))
        ],
    )
    text, words, spaced = listed
    second = len(spaced) // 2
    return " " if words != text and text[-second:] == spaced[-second:] else ""


def chunks(rows: Sequence[Any], words: bool) -> Iterator[tuple[int, int]]:
    """Cut rows into what the tokenizer gets at a time: yield begin and end of each chunk."""
    begin = size = 0
    for at, row in enumerate(rows):
        length = sum(map(len, row)) if words else len(row)
        if at > begin and (size + length > _CHARACTERS or at - begin == _CHUNK):
            yield begin, at
            begin, size = at, 0
        size += length
    if begin < len(rows):
        yield begin, len(rows)


def list_of(values: object, what: str) -> Sequence[Any]:
    """Return a list, tuple or array of items; a lone str or a number is refused."""
    if isinstance(values, str | bytes | bytearray):
        raise TypeError(
            f"expected a list of {what}; found one {type(values).__name__}; put it into a list"
        )
    items = as_items(values)
    if items is None:
        raise TypeError(
            f"expected a list of {what}; found {type(values).__name__}{why_no_list(values)}"
        )
    return list(items)


def check_characters(text: str, position: int) -> None:
    """Refuse half a surrogate pair, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"text {position}: expected Unicode text; found the lone surrogate "
            f"U+{ord(text[error.start]):04X} at character {error.start}; decode the text with "
            "errors='replace'"
        ) from None


def flat(lists: Any) -> NDArray[np.int32]:
    """Return the numbers of all lists one after another, (T,) int32."""
    try:
        return np.fromiter(chain.from_iterable(lists), dtype=np.int32)
    except OverflowError:
        raise CheckpointError(
            "expected token ids and types below 2**31; found larger ones in what the tokenizer "
            "gives; its tokenizer.json is damaged: use the model's own"
        ) from None


def first_subwords(word_ids: Sequence[int | None], n_words: int) -> NDArray[np.int32]:
    """Return, (n_words,) int32, the first token of each word; `LOST` for a word without."""
    first = np.full(n_words, LOST, dtype=np.int32)
    for token in range(len(word_ids) - 1, -1, -1):
        word = word_ids[token]
        if word is not None:
            first[word] = token
    return first
