# SPDX-License-Identifier: Apache-2.0
"""Questions and their contexts -> sequences: a context that is too long is read in windows.

A sequence is question and context as the tokenizer puts pairs together. Where both are longer than
`max_length`, the context alone is cut into windows, each with the whole question; neighbouring
windows have `stride` tokens of the context in common, so that an answer at a seam stands whole in
one of them. Nothing is lost. The ids are those of transformers' tokenizers, called with
``truncation="only_second", return_overflowing_tokens=True``. A model's prompt is not put before
questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..checks import check_integer
from ..data.examples import Examples
from ..errors import ConfigError, DataError
from .packing import Encoded
from .row_encoding import RowEncoding
from .text import TextEncoder

__all__ = ["OUTSIDE", "Windows", "WindowsEncoded", "check_windows"]

_USUAL_LENGTH = 384
_LONGEST = 2**20
OUTSIDE = -1
"""Character of a token that is not of the context."""

Int32 = NDArray[np.int32]


class WindowsEncoded(Encoded):
    """Windows over contexts; those of a row of data stand together.

    Attributes
    ----------
    characters : (T, 2) int32 array
        Of each token, where it begins and ends in its context, in code points; `OUTSIDE` for tokens
        of questions and special tokens.
    contexts : sequence of str
        Of each row of data.
    """

    PIECES: ClassVar[tuple[str, ...]] = (*Encoded.PIECES, "characters")

    def __init__(
        self,
        inputs: dict[str, Int32],
        offsets: NDArray[np.int64],
        skip: Int32 | None,
        row_offsets: NDArray[np.int64],
        characters: Int32,
        contexts: Sequence[str],
    ) -> None:
        self.characters, self.contexts = characters, contexts
        truncated = np.zeros(len(offsets) - 1, dtype=bool)
        super().__init__(inputs, offsets, truncated, skip=skip, row_offsets=row_offsets)

    def joined(self, examples: Examples) -> None:
        """Take note that the windows are those of all rows; contexts are read when asked for."""
        super().joined(examples)
        self.contexts = _Contexts(examples)

    def _arrays(self) -> list[NDArray[Any]]:
        return [*super()._arrays(), self.characters]

    def windows_of(self, row: int) -> range:
        """Return the numbers of a row's windows, in the order of the context."""
        assert self.row_offsets is not None
        return range(int(self.row_offsets[row]), int(self.row_offsets[row + 1]))


class _Contexts(Sequence[str]):
    """Contexts of rows that are not in memory."""

    def __init__(self, examples: Examples) -> None:
        self._rows = examples[:]  # another object: what is remembered of it would keep it alive

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, row: Any) -> Any:
        return (self._rows[row].texts or ("", ""))[1]


def check_windows(max_length: object, stride: object) -> tuple[int | None, int | None]:
    """Return length and overlap of windows, each a number or None for the usual.

    Raises
    ------
    TypeError, ConfigError
        If one is no whole number, or the overlap is not below the length.
    """
    length = None if max_length is None else check_integer("max_length", max_length, 8, _LONGEST)
    overlap = None if stride is None else check_integer("stride", stride, 0, _LONGEST)
    if length is not None and overlap is not None and overlap >= length:
        raise ConfigError(
            f"stride must be below max_length, {length}; found {overlap}; a third of it is usual"
        )
    return length, overlap


@dataclass(frozen=True)
class Windows(RowEncoding):
    """Question and context, in windows where they are too long.

    Parameters
    ----------
    max_length : int, optional
        Tokens of a window, special tokens included; by default 384, and never more than the model's
        own maximum.
    stride : int, optional
        Tokens of the context that neighbouring windows share; by default a third of the length.
    """

    several: ClassVar[bool] = True

    max_length: int | None = None
    stride: int | None = None

    def sizes(self, encoder: TextEncoder) -> tuple[int, int]:
        """Return length and overlap for a model.

        Raises
        ------
        ConfigError
            If the overlap is not below the length.
        """
        length = min(self.max_length or _USUAL_LENGTH, encoder.max_length)
        stride = length // 3 if self.stride is None else self.stride
        if stride >= length:
            raise ConfigError(
                f"stride must be below the length of a window; found {stride} and {length}, of the "
                "model's own maximum; leave stride out for a third of it"
            )
        return length, stride

    def check(self, examples: Examples) -> None:
        """Check that rows are questions with a context; see `RowEncoding.check`."""
        for row in examples:
            if row.texts is None or len(row.texts) != 2:
                raise DataError(
                    f"{row.source}: expected a question and its context; found "
                    f"{'one text' if row.text is not None else 'other texts'}; give rows "
                    "(question, context, answers)"
                )

    def encode(self, encoder: TextEncoder, examples: Examples) -> WindowsEncoded:
        """Encode all rows; see `RowEncoding.encode`."""
        pairs = [row.texts or ("", "") for row in examples]
        sources = [row.source for row in examples]
        return _encode(encoder, pairs, sources, *self.sizes(encoder))


def _encode(
    encoder: TextEncoder,
    pairs: Sequence[tuple[str, ...]],
    sources: Sequence[str],
    length: int,
    stride: int,
) -> WindowsEncoded:
    rows = [(question, context) for question, context in pairs]
    if encoder.do_lower_case:
        rows = [(question.lower(), context.lower()) for question, context in rows]
    _check_room(encoder, rows, sources, length, stride)
    windows: list[_Window] = []
    counts = []
    cutting = encoder.cutting_seconds(length, stride)
    for at, first in enumerate(cutting.encodings(rows)):
        back = _lowered(pairs[at][1]) if encoder.do_lower_case else None
        parts = [first, *first.overflowing]
        windows += [_Window(one, encoder.columns, back) for one in parts]
        counts.append(len(parts))
    nothing = np.zeros(0, np.int32)
    return WindowsEncoded(
        {
            name: np.concatenate([nothing, *(one.inputs[name] for one in windows)])
            for name in encoder.columns
        },
        _offsets([len(one.characters) for one in windows]),
        np.zeros(len(windows), np.int32) if encoder.counts_prompts else None,
        _offsets(counts),
        np.concatenate([np.zeros((0, 2), np.int32), *(one.characters for one in windows)]),
        [context for _, context in pairs],
    )


class _Window:
    """What is kept of one window."""

    def __init__(
        self, encoding: Any, columns: Mapping[str, Callable[[Any], Any]], back: Int32 | None
    ) -> None:
        self.inputs = {name: np.array(read(encoding), np.int32) for name, read in columns.items()}
        found = np.array(encoding.offsets, np.int32).reshape(-1, 2)
        # Without a template the library forgets in windows which tokens are of the second text.
        of_context = np.array([one != 0 for one in encoding.sequence_ids], bool)
        of_context &= np.array(encoding.special_tokens_mask, bool) ^ True
        self.characters = found if back is None else back[found]
        self.characters[~of_context] = OUTSIDE


def _lowered(text: str) -> Int32 | None:
    """Return, (n+1,) int32, which character of a text each one of its lower case comes from."""
    lengths = [len(one.lower()) for one in text]
    if sum(lengths) == len(lengths):
        return None
    return np.append(np.repeat(np.arange(len(text)), lengths), len(text)).astype(np.int32)


def _check_room(
    encoder: TextEncoder,
    rows: Sequence[tuple[str, str]],
    sources: Sequence[str],
    length: int,
    stride: int,
) -> None:
    """Refuse questions that leave no room for windows over a context that needs them."""
    (around,) = encoder.encodings([("", "")])
    for at, question in enumerate(encoder.encodings([question for question, _ in rows])):
        taken = len(around) + sum(one is not None for one in question.sequence_ids)
        if length - taken > stride:
            continue
        (both,) = encoder.encodings([rows[at]])
        if both.overflowing or len(both) > length:
            raise DataError(
                f"{sources[at]}: expected a question that leaves room for more than {stride} "
                f"tokens of its context in a window of {length}; found a question that takes "
                f"{taken} with the special tokens; shorten it, or use a longer max_length or a "
                "smaller stride"
            )


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(lengths, dtype=np.int64))).astype(np.int64)
