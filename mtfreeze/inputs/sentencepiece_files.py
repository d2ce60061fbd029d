# SPDX-License-Identifier: Apache-2.0
"""Sentencepiece's own files (``sentencepiece.bpe.model``, ``spm.model``): pieces and their scores.

The file is a protobuf message: fields of a number and a kind, a length before what has one. Of it
are read: pieces (1: text 1, score 2, kind 3), the trainer's settings (2: kind of vocabulary 3,
number of the unknown piece 40, byte fallback 35), and the normaliser's (3: table of characters 2).
Every length is checked against what is left of the file, so that a damaged one is told and not
believed. Format: sentencepiece_model.proto of https://github.com/google/sentencepiece.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from ..quoting import quoted

__all__ = ["UNIGRAM", "SentencePieces", "read_sentencepiece"]

UNIGRAM = 1
"""Kind of a vocabulary whose pieces have log-likelihoods."""

_MOST_PIECES = 2_000_000
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CONTROL, _USER_DEFINED = 3, 4
_SCORE = struct.Struct("<f")

_Value = int | bytes | tuple[int, int]
"""Of a field: a whole number, the bytes of a fixed one, or where what has a length lies."""


@dataclass(frozen=True)
class SentencePieces:
    """What a file holds.

    Attributes
    ----------
    pieces : list of (str, float)
        Texts and scores, in the order of their numbers.
    added : list of (str, bool)
        Pieces that stand for themselves in a text, and whether they are special ones.
    kind : int
        `UNIGRAM`, or another number for another kind of vocabulary.
    unknown : int
        Number of the unknown piece.
    byte_fallback : bool
        Whether unknown characters become their bytes.
    table : bytes or None
        How characters are normalised before.
    """

    pieces: list[tuple[str, float]]
    added: list[tuple[str, bool]]
    kind: int
    unknown: int
    byte_fallback: bool
    table: bytes | None


class _Damaged(Exception):
    """The bytes are no such message; says why."""


def read_sentencepiece(data: bytes, path: Path) -> SentencePieces:
    """Read the bytes of a sentencepiece file.

    Parameters
    ----------
    data : bytes
        The whole file.
    path : Path
        For messages.

    Raises
    ------
    CheckpointError
        If it is damaged or of another kind.
    """
    try:
        return _read(data)
    except (_Damaged, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path}: expected the pieces of a sentencepiece model; found a damaged file or one of "
            f"another kind ({error}); fetch it again"
        ) from None


def _read(data: bytes) -> SentencePieces:
    pieces: list[tuple[str, float]] = []
    added: list[tuple[str, bool]] = []
    kind, unknown, fallback, table = UNIGRAM, 0, False, None
    at = 0
    while (at := _plain_pieces(data, at, pieces)) < len(data):
        number, value, at = _field(data, at, len(data))
        if number == 1 and isinstance(value, tuple):
            text, score, piece_kind = _piece(data, *value)
            if piece_kind in (_CONTROL, _USER_DEFINED):
                added.append((text, piece_kind == _CONTROL))
            pieces.append((text, score))
        elif number == 2 and isinstance(value, tuple):
            settings = dict(_fields(data, *value))
            kind = _number(settings.get(3, UNIGRAM))
            unknown, fallback = _number(settings.get(40, 0)), bool(settings.get(35, 0))
        elif number == 3 and isinstance(value, tuple):
            found = dict(_fields(data, *value)).get(2)
            table = (
                data[slice(*found)] if isinstance(found, tuple) and found[0] < found[1] else None
            )
    if not pieces:
        raise _Damaged("it has no pieces")
    if not 0 <= unknown < len(pieces):
        raise _Damaged(f"number {unknown} for the unknown one of {len(pieces)} pieces")
    wrong = next((text for text, score in pieces if not text or score != score), None)
    if wrong is not None:
        raise _Damaged(f"a piece without a text, or whose score is no number: {quoted(wrong)}")
    return SentencePieces(pieces, added, kind, unknown, fallback, table)


def _plain_pieces(data: bytes, at: int, pieces: list[tuple[str, float]]) -> int:
    """Add the pieces from `at` on that have a text of less than 121 bytes, a score and nothing
    else, as nearly all of 250,000 have; return where the first field of another form begins."""
    texts, scores = [], []
    last = len(data) - 9  # the shortest takes nine bytes and one of its text
    while at < last and data[at] == 0x0A and data[at + 2] == 0x0A:
        length = data[at + 3]
        end = at + 4 + length
        if length > 0x78 or data[at + 1] != length + 7 or end + 5 > len(data) or data[end] != 0x15:
            break
        texts.append(data[at + 4 : end].decode())
        scores.append(data[end + 1 : end + 5])
        at = end + 5
    pieces += zip(texts, np.frombuffer(b"".join(scores), "<f4").tolist(), strict=True)
    if len(pieces) > _MOST_PIECES:
        raise _Damaged(f"more than {_MOST_PIECES:,} pieces")
    return at


def _piece(data: bytes, begin: int, end: int) -> tuple[str, float, int]:
    """Return text, score and kind of a piece of any form."""
    text, score, kind = "", 0.0, 1
    for number, value in _fields(data, begin, end):
        if number == 1 and isinstance(value, tuple):
            text = data[slice(*value)].decode()
        elif number == 2 and isinstance(value, bytes) and len(value) == 4:
            score = _SCORE.unpack(value)[0]
        elif number == 3:
            kind = _number(value)
    return text, score, kind


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise _Damaged("a setting that is no whole number")
    return value


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, _Value]]:
    """Yield number and value of the fields of data[at:end]."""
    while at < end:
        number, value, at = _field(data, at, end)
        yield number, value


def _field(data: bytes, at: int, end: int) -> tuple[int, _Value, int]:
    """Return number and value of the field at `at`, and where it ends."""
    key, at = _varint(data, at, end)
    number, kind = key >> 3, key & 7
    if kind == _VARINT:
        return number, *_varint(data, at, end)
    if kind == _BYTES:
        size, at = _varint(data, at, end)
    elif kind in (_FIXED32, _FIXED64):
        size = 4 if kind == _FIXED32 else 8
    else:
        raise _Damaged(f"a field of the kind {kind} at {at}")
    if size > end - at:
        raise _Damaged(f"{size} bytes at {at} where {end - at} are left")
    value = (at, at + size) if kind == _BYTES else data[at : at + size]
    return number, value, at + size


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """Return a number and where it ends: seven bits a byte, the lowest first."""
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise _Damaged(f"a number without an end at {at}")
