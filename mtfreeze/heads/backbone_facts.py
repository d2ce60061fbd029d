# SPDX-License-Identifier: Apache-2.0
"""What a kind of head may ask about the model that it is added to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ..closest import name_list
from ..errors import ConfigError
from ..families import Family
from ..inputs.packing import IDS
from ..inputs.vocabulary import Vocabulary
from ..quoting import quoted
from .boxes import QUERIES

if TYPE_CHECKING:
    from .._core import Model as CoreModel

__all__ = ["BackboneFacts", "check_cells"]

_ONE_CELL, _OF_CELLS = ("cls", "lasttoken"), ("mean", "max")
"""Poolings that take one row for all, and those that every row of a grid has a part in."""


def check_cells(what: str, pooling: str | None, family: Family) -> None:
    """Refuse a pooling that takes one row for all where rows are the cells of a grid.

    Parameters
    ----------
    what : str
        Whose pooling it is, for the message.
    pooling : str or None
        One or several with ``+`` between them; None is no pooling of its own.
    family : Family

    Raises
    ------
    ConfigError
        If a part of it would read a corner of the image alone.
    """
    named = () if pooling is None else pooling.split("+")
    corner = next((one for one in _ONE_CELL if one in named), None)
    if family.cells and corner is not None:
        raise ConfigError(
            f"expected {what} as one of {name_list(_OF_CELLS)}: models of the family "
            f"{quoted(family.model_type)} pool the cells of a grid, and {quoted(corner)} would "
            f"read a corner of the image alone; found {quoted(pooling)}; choose another"
        )


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
