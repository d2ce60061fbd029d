# SPDX-License-Identifier: Apache-2.0
"""What a kind of head may ask about the model that it is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..families import Family
from ..inputs.vocabulary import Vocabulary

__all__ = ["BackboneFacts"]


@dataclass(frozen=True)
class BackboneFacts:
    """Facts of one backbone.

    Attributes
    ----------
    family : Family
    config : mapping
        Its ``config.json``.
    n_words, word_width : int
        Size of its table of words; 0 where it reads no texts.
    vocabulary : callable
        Returns what its tokenizer knows; reading that takes a moment.
    n_queries : int
        Rows that it answers every image with; 0 where it has no queries.
    """

    family: Family
    config: Mapping[str, Any]
    n_words: int
    word_width: int
    vocabulary: Callable[[], Vocabulary]
    n_queries: int = 0
