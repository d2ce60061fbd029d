# SPDX-License-Identifier: Apache-2.0
"""What language heads know of a vocabulary: the mask, special tokens, where words go on.

A token goes on with a word where it begins with ``##`` (WordPiece); in vocabularies whose words
begin with ``▁`` (SentencePiece) or ``Ġ`` (byte-level), where it begins with neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Vocabulary"]

_WORD_BEGINS = ("▁", "Ġ")
_GOES_ON = "##"


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The vocabulary of one model.

    Attributes
    ----------
    n_tokens : int
        Tokens that the tokenizer and the model both know.
    mask : int or None
        Id of the mask token; None: there is none.
    special : (n_words,) bool array
        Tokens that are no text. n_words: rows of the model's table.
    continues : (n_words,) bool array
        Tokens that go on with the word of the token before.
    knows_words : bool
        Whether `continues` can be told from this vocabulary.
    decode : callable
        Ids -> text.
    """

    n_tokens: int
    mask: int | None
    special: NDArray[np.bool_]
    continues: NDArray[np.bool_]
    knows_words: bool
    decode: Callable[[Sequence[int]], str]

    @staticmethod
    def of(tokenizer: Any, n_words: int) -> Vocabulary:
        """Read the vocabulary of a tokenizer of the package `tokenizers`.

        Parameters
        ----------
        tokenizer : tokenizers.Tokenizer
        n_words : int
            Rows of the model's table of words.
        """
        size = min(n_words, tokenizer.get_vocab_size())
        tokens = [tokenizer.id_to_token(i) or "" for i in range(size)]
        special = np.zeros(n_words, dtype=np.bool_)
        special[size:] = True
        mask = None
        for at, added in tokenizer.get_added_tokens_decoder().items():
            if at < n_words and added.special:
                special[at] = True
            if added.content.lower() in ("[mask]", "<mask>") and at < n_words:
                mask = at
        begins = next((mark for mark in _WORD_BEGINS if any(mark in t for t in tokens)), None)
        continues = np.zeros(n_words, dtype=np.bool_)
        if any(token.startswith(_GOES_ON) for token in tokens):
            continues[:size] = [token.startswith(_GOES_ON) for token in tokens]
        elif begins is not None:
            continues[:size] = [not token.startswith(begins) for token in tokens]
        return Vocabulary(
            size,
            mask,
            special,
            continues & ~special,
            bool(continues.any()),
            lambda ids: str(tokenizer.decode(list(ids), skip_special_tokens=False)),
        )
