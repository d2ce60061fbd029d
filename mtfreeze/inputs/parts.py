# SPDX-License-Identifier: Apache-2.0
"""Rows that are not in memory -> their tokens: a part at a time, which together are all.

A text's tokens depend on that text alone, so parts give the bits that the whole would. What becomes
large goes into private files (`files.growing`): ids of 4 bytes a token, and 8 bytes a sequence;
segments that are all 0 take nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

from ..data.example import Example
from ..data.examples import Examples
from ..errors import DataError
from ..files.growing import GrowingArray, GrowingOffsets
from .packing import Encoded

__all__ = ["encode_in_parts"]

_ROWS, _CHARACTERS = 4096, 1 << 20
"""Rows of a part, and characters of them, if there is more than one row."""


def encode_in_parts(examples: Examples, encode: Callable[[Examples], Encoded]) -> Encoded:
    """Return the tokens of all rows.

    Parameters
    ----------
    examples : Examples
        Rows of any number, one at least.
    encode : callable
        Encodes rows that are in memory.

    Raises
    ------
    DataError
        As `encode` does; of characters that are none the row is named.
    OSError
        If the folder of temporary files takes no more.
    """
    joined = None
    try:
        for part in _parts_of(examples):
            try:
                encoded = encode(part)
            except DataError:
                for row in part:
                    _check_characters(row)
                raise
            joined = _Joined(encoded) if joined is None else joined
            joined.add(encoded)
        assert joined is not None
        return joined.finish(examples)
    finally:
        if joined is not None:
            joined.close()


class _Joined:
    """Takes the tokens of parts, all of one kind, and gives those of the whole."""

    def __init__(self, like: Encoded) -> None:
        self._like, self._sums = like, dict.fromkeys(like.SUMS, 0)
        self._inputs = {name: GrowingArray(one.dtype) for name, one in like.inputs.items()}
        self._arrays = {name: _growing(like, name) for name in like.PIECES if _has(like, name)}
        self._offsets = {name: GrowingOffsets() for name in like.OFFSETS if _has(like, name)}

    def add(self, part: Encoded) -> None:
        for name, whole in self._inputs.items():
            whole.append(part.inputs[name])
        for name, whole in self._arrays.items():
            whole.append(getattr(part, name))
        for name, offsets in self._offsets.items():
            own = getattr(part, name)
            offsets.append(own[1:] - own[:-1])
        for name in self._sums:
            self._sums[name] += getattr(part, name)

    def finish(self, examples: Examples) -> Encoded:
        made = copy.copy(self._like)
        made.inputs = {name: one.finish() for name, one in self._inputs.items()}
        for name, array in self._arrays.items():
            setattr(made, name, array.finish())
        for name, offsets in self._offsets.items():
            setattr(made, name, offsets.finish())
        for name, total in self._sums.items():
            setattr(made, name, total)
        made.joined(examples)
        return made

    def close(self) -> None:
        for array in (*self._inputs.values(), *self._arrays.values()):
            array.close()
        for offsets in self._offsets.values():
            offsets.close()


def _has(encoded: Encoded, name: str) -> bool:
    return getattr(encoded, name) is not None


def _growing(encoded: Encoded, name: str) -> GrowingArray:
    like: Any = getattr(encoded, name)
    return GrowingArray(like.dtype, like.shape[1] if like.ndim > 1 else None)


def _parts_of(examples: Examples) -> Iterator[Examples]:
    rows: list[Example] = []
    size = 0
    for row in examples:
        own = sum(map(len, _texts_of(row)))
        if rows and (len(rows) == _ROWS or size + own > _CHARACTERS):
            yield Examples(rows, examples.name)
            rows, size = [], 0
        rows.append(row)
        size += own
    yield Examples(rows, examples.name)


def _texts_of(row: Example) -> tuple[str, ...]:
    if isinstance(row.content, str):
        return (row.content,)
    return row.content if isinstance(row.content, tuple) else ()


def _check_characters(row: Example) -> None:
    for text in _texts_of(row):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"{row.source}: expected Unicode text; found the lone surrogate "
                f"U+{ord(text[error.start]):04X} at character {error.start}; decode the text with "
                "errors='replace'"
            ) from None
