# SPDX-License-Identifier: Apache-2.0
"""Small images for tests: pixels by a seed, and the bytes of files that hold them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["file_bytes", "pixels", "png_header", "png_of_16_bits"]


def pixels(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return random pixels, uint8 (height, width, 3), smooth enough that JPEG keeps them."""
    small = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3))
    return small.repeat(8, axis=0).repeat(8, axis=1)[:height, :width].astype(np.uint8)


def file_bytes(array: NDArray[Any], kind: str, **options: Any) -> bytes:
    """Return an array as a file of a format of Pillow's."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(array).save(file, kind, **options)
    return file.getvalue()


def png_header(height: int, width: int) -> bytes:
    """Return a PNG that says it has so many pixels and holds none."""
    return _png(height, width, 8)


def png_of_16_bits(values: NDArray[np.uint16]) -> bytes:
    """Return a PNG of colours of 16 bits, (height, width, 3), which Pillow reads but writes not."""
    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    return _png(*values.shape[:2], 16, _chunk(b"IDAT", zlib.compress(lines)))


def _png(height: int, width: int, bits: int, data: bytes = b"") -> bytes:
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + data + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
