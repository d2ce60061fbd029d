# SPDX-License-Identifier: Apache-2.0
"""Spoiled files: from one that is right, by a seed; bytes, numbers, and values of JSON."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["mutant", "safetensors_mutant"]

_NUMBER = re.compile(rb"\d+(?:\.\d+)?")
_NUMBERS = [
    b"0",
    b"-1",
    b"1",
    b"2",
    b"127",
    b"65536",
    b"2147483647",
    b"2147483648",
    b"4294967295",
    b"9223372036854775807",
    b"18446744073709551616",
    b"1e999",
    b"-1e999",
    b"1e-400",
    b"NaN",
    b"Infinity",
    b"0.1",
    b"-0.0",
    b"9" * 300,
    b"9" * 5000,
]
_RAW = [number.decode() for number in _NUMBERS]
_PIECES = [b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\n", b"\r", b"\t", b'"', b"\\"]
_PIECES += [b"[" * 2000, b'{"a":' * 2000, b"'", b"{", b"}", b",", b":", b"&a ", b"*a", b"<<: "]
_TEXTS = ["", "\0", "\ud800", "..", "/dev/zero", "x" * 300, "x" * 100_000, "#", "\u2028", "é"]
_MARK = "raw number "


def mutant(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Return a spoiled copy of a file; `others` are files of its kind, to splice with."""
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        change = draw.choice(_CHANGES)
        content = change(content, others, draw)
    return content


def safetensors_mutant(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Return a spoiled safetensors file; half of them have a spoiled header of the right length."""
    if draw.random() < 0.5:
        return mutant(content, others, draw)
    n = int.from_bytes(content[:8], "little")
    header = mutant(content[8 : 8 + n], [], draw)
    return len(header).to_bytes(8, "little") + header + content[8 + n :]


def _flip(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(draw.choice((1, 1, 8))):
        if changed:
            changed[draw.randrange(len(changed))] ^= 1 << draw.randrange(8)
    return bytes(changed)


def _cut(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    begin = draw.randrange(len(content) + 1)
    end = min(len(content), begin + draw.choice((1, 2, 16, 1024, len(content))))
    return content[:begin] + content[end:]


def _insert(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    return content[:at] + draw.choice(_PIECES) * draw.choice((1, 1, 3)) + content[at:]


def _repeat(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    begin = draw.randrange(len(content) + 1)
    piece = content[begin : begin + draw.choice((1, 8, 64))]
    return content[:begin] + piece * draw.choice((2, 10, 300)) + content[begin:]


def _splice(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    other = draw.choice(others) if others else content
    return content[: draw.randrange(len(content) + 1)] + other[draw.randrange(len(other) + 1) :]


def _number(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    found = list(_NUMBER.finditer(content[:50_000]))
    if not found:
        return _flip(content, others, draw)
    one = draw.choice(found)
    return content[: one.start()] + draw.choice(_NUMBERS) + content[one.end() :]


def _lines(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    lines = content.split(b"\n")
    i, j = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return b"\n".join(lines)


def _json(content: bytes, others: Sequence[bytes], draw: random.Random) -> bytes:
    """Change one value or key of a JSON text; other texts get a changed byte."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return _flip(content, others, draw)
    if not isinstance(value, dict | list) or not value:
        return _flip(content, others, draw)
    place: Any = value
    while True:  # go down, to some depth
        keys = list(place) if isinstance(place, dict) else range(len(place))
        key = draw.choice(keys)
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or draw.random() < 0.25:
            break
        place = inner
    kind = draw.randrange(6)
    if kind == 0:
        del place[key]
    elif kind == 1 and isinstance(place, dict):
        place[draw.choice([*place, *_TEXTS])] = place.pop(key)
    elif kind == 2:
        other = draw.choice(keys)
        place[key], place[other] = place[other], place[key]
    elif kind == 3 and isinstance(place, list):
        place += [inner] * draw.choice((1, 50))
    else:
        place[key] = _value(inner, draw)
    try:
        text = json.dumps(value)
    except ValueError:  # a number of thousands of digits
        return content
    return re.sub(f'"{_MARK}([^"]*)"', r"\1", text).encode()


def _value(old: Any, draw: random.Random) -> Any:
    kind = draw.randrange(6)
    if kind == 0:
        return _MARK + draw.choice(_RAW)
    if kind == 1:
        return draw.choice(_TEXTS)
    if kind == 2:
        return draw.choice((None, True, False, [], {}, [[]], {"a": {}}))
    if kind == 3:
        return [old] * draw.choice((1, 2, 1000))
    if kind == 4:
        return {"": old, "type": old}
    return str(old)


_CHANGES: list[Callable[[bytes, Sequence[bytes], random.Random], bytes]] = [
    _flip,
    _cut,
    _insert,
    _repeat,
    _splice,
    _number,
    _number,
    _lines,
    _json,
    _json,
    _json,
]
