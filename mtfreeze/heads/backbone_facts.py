# SPDX-License-Identifier: Apache-2.0
"""What a kind of head may ask about the model that it is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..families import Family
from ..inputs.packing import IDS
from ..inputs.vocabulary import Vocabulary
from .boxes import QUERIES

if TYPE_CHECKING:
    from .._core import Model as CoreModel

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

    @classmethod
    def of(
        cls,
        core: CoreModel,
        family: Family,
        config: Mapping[str, Any],
        width: int,
        vocabulary: Callable[[int], Vocabulary],
    ) -> BackboneFacts:
        """Return the facts of a model of the core, whose rows are `width` wide.

        `vocabulary` takes how many words there are.
        """
        n_words = next((one.limit for one in core.inputs() if one.name == IDS), 0)
        shapes = [one.shape for one in core.params()]
        tables = (shape for shape in shapes if len(shape) == 2 and shape[0] == n_words)
        table = next(tables, (0, width))  # a backbone of images knows no words
        n_queries = max((one.fixed for one in core.spaces() if one.name == QUERIES), default=0)
        return cls(family, config, n_words, table[1], partial(vocabulary, n_words), n_queries)
