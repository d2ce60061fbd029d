# SPDX-License-Identifier: Apache-2.0
"""GGUF files written value by value, as the format says, for the tests of their reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KINDS", "block", "encode", "gguf_bytes"]

KINDS = {"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 8, "BF16": 30}


def block(kind: str, scale: float, least: float, numbers: Sequence[int]) -> bytes:
    """Return one block of 32 whole numbers: 0 to 15, or -128 to 127 for Q8_0."""
    assert len(numbers) == 32
    head = struct.pack("<e", scale) + (struct.pack("<e", least) if kind == "Q4_1" else b"")
    if kind == "Q8_0":
        return head + struct.pack("<32b", *numbers)
    return head + bytes(numbers[i] | numbers[i + 16] << 4 for i in range(16))


def encode(values: NDArray[np.float32], kind: str) -> bytes:
    """Return the bytes of a tensor, rounded to what its type can hold."""
    flat = np.ascontiguousarray(values, np.float32).reshape(-1)
    if kind == "F32":
        return flat.astype("<f4").tobytes()
    if kind == "F16":
        return flat.astype("<f2").tobytes()
    if kind == "BF16":
        return (flat.view("<u4") >> 16).astype("<u2").tobytes()
    parts = []
    for row in flat.reshape(-1, 32):
        least, most = float(row.min()), float(row.max())
        if kind == "Q4_1":
            scale = (most - least) / 15 or 1.0
            numbers = np.clip(np.rint((row - least) / scale), 0, 15)
        elif kind == "Q4_0":
            scale = max(abs(least), abs(most)) / 7 or 1.0
            numbers = np.clip(np.rint(row / scale) + 8, 0, 15)
        else:
            scale = max(abs(least), abs(most)) / 127 or 1.0
            numbers = np.clip(np.rint(row / scale), -127, 127)
        parts.append(block(kind, scale, least, [int(n) for n in numbers]))
    return b"".join(parts)


def _text(value: str) -> bytes:
    data = value.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    if isinstance(value, bool):
        return struct.pack("<IB", 7, value)
    if isinstance(value, int):
        return struct.pack("<II", 4, value)
    if isinstance(value, float):
        return struct.pack("<If", 6, value)
    if isinstance(value, str):
        return struct.pack("<I", 8) + _text(value)
    items = list(value)
    head = struct.pack("<I", 9)
    if items and isinstance(items[0], str):
        return head + struct.pack("<IQ", 8, len(items)) + b"".join(map(_text, items))
    return head + struct.pack("<IQ", 5, len(items)) + struct.pack(f"<{len(items)}i", *items)


def gguf_bytes(
    notes: Mapping[str, Any],
    tensors: Mapping[str, tuple[NDArray[np.float32], str]],
    *,
    version: int = 3,
    alignment: int = 32,
) -> bytes:
    """Return a whole file: notes, and tensors with the type in which each is written."""
    head = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(notes))
    head += b"".join(_text(name) + _value(value) for name, value in notes.items())
    data = b""
    for name, (values, kind) in tensors.items():
        sizes = values.shape[::-1]
        head += _text(name) + struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
        head += struct.pack("<IQ", KINDS[kind], len(data))
        data += encode(values, kind)
        data += bytes(-len(data) % alignment)
    return head + bytes(-len(head) % alignment) + data
