# SPDX-License-Identifier: Apache-2.0
"""What is wanted of the cache: outputs, and the distinct texts that they are wanted of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.packing import Encoded, PackedBatch, pack_rows
from ..inputs.row_layout import starts
from .keys import text_keys

__all__ = ["Request", "Texts", "Wanted", "take_apart"]


Float32 = NDArray[np.float32]

Wanted = tuple[Encoded, ArrayLike | None, Sequence[str]]
"""Texts, the rows of them (None: all), and the names of the outputs that are wanted for them."""


@dataclass
class Request:
    """One output, and the texts whose features are wanted.

    Attributes
    ----------
    name, key, space, width
        The output, its prefix key, ``"tokens"`` or ``"sequences"``, its columns.
    texts : dict of bytes to None
        Text keys in the order in which they came.
    missing : list of bytes
        Those that are not stored.
    """

    name: str
    key: str
    space: str
    width: int
    texts: dict[bytes, None] = field(default_factory=dict)
    missing: list[bytes] = field(default_factory=list)


class Texts:
    """The distinct texts of a fill: text key -> where its tokens are."""

    def __init__(self) -> None:
        self._sources: list[Encoded] = []
        # By space, the rows of every sequence of each source: asked for with every call of a pass.
        self._counts: dict[str, list[NDArray[np.int64]]] = {}
        self._lengths: list[NDArray[np.int64]] = []
        self._places: dict[bytes, tuple[int, int]] = {}

    def add(self, encoded: Encoded, rows: Sequence[int], texts: Sequence[bytes]) -> None:
        """Note rows of `encoded`; `texts` are the keys of these rows."""
        self._sources.append(encoded)
        self._lengths.append(encoded.lengths)
        self._counts.clear()
        number = len(self._sources) - 1
        for row, text in zip(rows, texts, strict=True):
            self._places.setdefault(text, (number, row))

    @property
    def rows_per_token(self) -> int:
        """Of lengths, where they are held against a budget of tokens."""
        return self._sources[0].rows_per_token

    def lengths(self, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """Return the tokens of each text, (n,) int64."""
        return self._of_each(self._lengths, texts)

    def counts(self, space: str, texts: Sequence[bytes]) -> NDArray[np.int64]:
        """Return how many rows an output of this space has for each text, (n,) int64."""
        if space not in self._counts:
            self._counts[space] = [source.counts(space) for source in self._sources]
        return self._of_each(self._counts[space], texts)

    def outline(self, texts: Sequence[bytes], features: Mapping[str, Float32]) -> PackedBatch:
        """Return the texts as a packed batch of features, without what lies below them."""
        spaces = self._sources[0].spaces
        grids = {name: [one.grid_widths(name) for one in self._sources] for name in spaces}
        return PackedBatch(
            self.skipped(texts),
            {name: starts(self.counts(name, texts)) for name in spaces},
            features,
            {
                name: self._of_each([one for one in widths if one is not None], texts)
                for name, widths in grids.items()
                if widths[0] is not None
            },
        )

    @property
    def rereads(self) -> bool:
        """Whether `expect` is of use: some texts are read again when they are packed."""
        return any(source.rereads for source in self._sources)

    def expect(self, texts: Sequence[bytes]) -> None:
        """Take note that these are packed next: what must be read for it is read meanwhile."""
        wanted: dict[int, list[int]] = {}
        for number, row in (self._places[text] for text in texts):
            wanted.setdefault(number, []).append(row)
        for number, rows in wanted.items():
            self._sources[number].expect(rows)

    def _of_each(
        self, values: Sequence[NDArray[np.int64]], texts: Sequence[bytes]
    ) -> NDArray[np.int64]:
        """Return for each text its entry in the array of its source."""
        places = (self._places[text] for text in texts)
        found = (values[number][row] for number, row in places)
        return np.fromiter(found, np.int64, count=len(texts))

    def skipped(self, texts: Sequence[bytes]) -> dict[str, NDArray[np.int32]]:
        """Return the inputs of texts that have one row a text, by name."""
        places = [self._places[text] for text in texts]
        rows = [self._sources[number].skipped([row]) for number, row in places]
        return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}

    def pack(self, texts: Sequence[bytes]) -> PackedBatch:
        """Return the texts as a packed batch."""
        places = [self._places[text] for text in texts]
        return pack_rows([(self._sources[number], row) for number, row in places])


def take_apart(wanted: Sequence[Wanted]) -> tuple[Texts, dict[str, dict[bytes, None]]]:
    """Return the distinct texts of wishes, and for each output the keys of those it is wanted of.

    Outputs and keys are in the order in which they came.
    """
    texts = Texts()
    requests: dict[str, dict[bytes, None]] = {}
    for encoded, rows, names in wanted:
        keys = text_keys(encoded)
        chosen: Any = range(len(keys)) if rows is None else np.asarray(rows, np.int64).tolist()
        mine = [keys[row] for row in chosen]
        texts.add(encoded, chosen, mine)
        for name in dict.fromkeys(names):
            requests.setdefault(name, {}).update(dict.fromkeys(mine))
    return texts, requests
