# SPDX-License-Identifier: Apache-2.0
"""Pillow, imported where it is needed: the formats that are read, and the faults of its decoders.

Only formats of pixels are opened: others, such as EPS, would start programs to be drawn.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from ..errors import DataError
from ..quoting import cut

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMATS", "SUFFIXES", "image_module", "is_pillow_image", "opened"]

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", "JPEG2000", "AVIF", "TGA", "DIB")
"""Formats that are read, by Pillow's names; MPO, of cameras with two lenses, is a JPEG."""

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".tga"),
)
"""Ends of the names of their files, in lower case."""


_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"RIFF", b"II*\0", b"MM\0*", b"BM")


def image_module() -> Any:
    """Return ``PIL.Image``.

    Raises
    ------
    ImportError
        If Pillow is not installed; the message names the extra that brings it.
    """
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            "images need Pillow, which is not installed; install it with "
            'pip install "mtfreeze[vision]"'
        ) from None
    return Image


def is_pillow_image(value: object) -> bool:
    """Say whether a value is an image of Pillow, without importing it."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


@contextmanager
def opened(file: IO[bytes], name: str) -> Iterator[Image.Image]:
    """Open an image of a known format and translate the faults of all that is done with it.

    Raises
    ------
    DataError
        If it is no image, or a damaged one; the message has `name`.
    OSError
        If the file cannot be read.
    """
    module = image_module()
    module.init()
    formats = [one for one in FORMATS if one in module.OPEN]
    try:
        with module.open(file, formats=formats) as image:
            yield image
    except (module.DecompressionBombError, module.DecompressionBombWarning) as error:
        raise DataError(
            f"{name}: expected an image that fits into memory; found one of far too many pixels "
            f"({cut(str(error))}); make it smaller"
        ) from None
    except (MemoryError, DataError, Warning):
        raise
    except module.UnidentifiedImageError:
        if _is_known(file):
            raise DataError(
                f"{name}: expected a whole image; found one with a damaged header; fetch it again, "
                "or leave it out"
            ) from None
        raise DataError(
            f"{name}: expected an image (JPEG, PNG, WebP, GIF, BMP, TIFF, ...); found "
            f"{_beginning(file)}; convert it, or leave it out"
        ) from None
    except Exception as error:  # decoders raise what they like
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(
            f"{name}: expected a whole image; found a damaged one ({cut(str(error), 120)}); fetch "
            "it again, or leave it out"
        ) from None


def _is_known(file: IO[bytes]) -> bool:
    """Say whether a file begins as those of a format do that is read."""
    file.seek(0)
    return file.read(4).startswith(_SIGNATURES)


def _beginning(file: IO[bytes]) -> str:
    """Say how a file begins that is no image."""
    file.seek(0)
    begin = file.read(8)
    return f"a file that begins with {begin!r}" if begin else "an empty file"
