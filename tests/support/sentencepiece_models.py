# SPDX-License-Identifier: Apache-2.0
"""Sentencepiece models written without sentencepiece: the fields that readers need, no others."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

__all__ = [
    "CONTROL",
    "EMPTY_TABLE",
    "NORMAL",
    "UNKNOWN",
    "USER_DEFINED",
    "WORDS",
    "sentencepiece_model",
    "small_model",
]

NORMAL, UNKNOWN, CONTROL, USER_DEFINED = 1, 2, 3, 4
"""Kinds of pieces."""

EMPTY_TABLE = (1024).to_bytes(4, "little") + bytes(1024) + b"fi\0"
"""Of characters: an index in which nothing is found."""

_SPACE = "\u2581"
WORDS = [
    (_SPACE, -6.0, NORMAL),
    (_SPACE + "the", -2.0, NORMAL),
    (_SPACE + "cat", -2.5, NORMAL),
    *((letter, -5.0, NORMAL) for letter in "abcdefghijklmnopqrstuvwxyzABC"),
]
"""What every small vocabulary has, beside its special pieces."""


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def _length(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def sentencepiece_model(
    pieces: Iterable[tuple[str, float, int]],
    *,
    kind: int = 1,
    unknown: int = 0,
    byte_fallback: bool = False,
    table: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """Return the bytes of a model.

    Parameters
    ----------
    pieces : iterable of (str, float, int)
        Text, score and kind of each.
    kind : int
        1 Unigram, 2 BPE.
    unknown : int
        Number of the unknown piece.
    byte_fallback : bool
        Of the trainer's settings.
    table : bytes
        How characters are normalised; ``b""``: not.
    more : sequence of bytes
        Put at the end as they are.
    """
    parts = []
    for text, score, piece in pieces:
        body = _length(1, text.encode()) + b"\x15" + struct.pack("<f", score)
        parts.append(_length(1, body + (_number(3, piece) if piece != NORMAL else b"")))
    settings = _number(3, kind) + _number(35, int(byte_fallback)) + _number(40, unknown)
    parts.append(_length(2, settings))
    parts.append(_length(3, _length(1, b"nmt_nfkc") + (_length(2, table) if table else b"")))
    return b"".join([*parts, *more])


def small_model(table: bytes = EMPTY_TABLE) -> bytes:
    """Return the bytes of a model that DeBERTa's tokenizer is built from."""
    special = [("[PAD]", CONTROL), ("[CLS]", CONTROL), ("[SEP]", CONTROL), ("[UNK]", UNKNOWN)]
    pieces = [(name, 0.0, kind) for name, kind in [*special, ("new", USER_DEFINED)]]
    return sentencepiece_model([*pieces, *WORDS], unknown=3, table=table)
