# SPDX-License-Identifier: Apache-2.0
"""Small images for tests: pixels by a seed, and the bytes of files that hold them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["file_bytes", "pixels", "png_header"]


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
    body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body))
    end = b"\0\0\0\0IEND" + struct.pack(">I", zlib.crc32(b"IEND"))
    return b"\x89PNG\r\n\x1a\n" + chunk + end
