# SPDX-License-Identifier: Apache-2.0
"""A picture: where its pixels come from, its size, and the pixels as 8-bit RGB.

A `Picture` is a value: it says what it holds when it is made, never changes, is compared and kept
in sets, and costs what its source costs. A file is read when its pixels are asked for, each time.
"""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_path, check_text, typed
from ..closest import did_you_mean
from ..errors import DataError
from ..files.reading import open_file
from ..notices import ImageWarning, warn
from ..quoting import cut, quoted
from .pillow import image_module, is_pillow_image, opened

__all__ = ["MOST_PIXELS", "Picture", "check_pixels"]

MOST_PIXELS = 80_000_000
"""Of one image, read off its header before anything is decoded: a quarter of a gigabyte of 8-bit
RGB. Somewhat above it Pillow warns of files that were made to fill the memory."""

_ORIENTATION = 0x0112
"""The tag of EXIF that says which way up an image was taken."""

_TIFF_WIDTH, _TIFF_HEIGHT = 256, 257

_TURNED = (5, 6, 7, 8)
"""Orientations that exchange height and width."""

Uint8 = NDArray[np.uint8]


class Picture:
    """One image: a file, the bytes of one, an image of Pillow, or an array of pixels.

    However it was stored, its pixels are 8-bit RGB: grey is repeated, palettes are looked up, CMYK
    is converted without a colour profile, an alpha channel is dropped (what is transparent shows
    the colour stored beneath it), of 16-bit values the upper byte counts. The orientation that a
    camera noted (EXIF) is applied. Of an animation the first frame is taken, with an
    `ImageWarning`. Files of 32-bit values have no such range and are refused.

    Parameters
    ----------
    source : path, bytes, image of Pillow, or uint8 array
        A str is a path; bytes are those of a file. An array is (height, width, 3), or (height,
        width) for grey; it and an image of Pillow are copied.
    name : str, optional
        What messages call it, where it has no path.

    Raises
    ------
    TypeError
        If it is none of these, or an array of other values than uint8.
    DataError
        If an array has another shape or no pixels; if an image of Pillow cannot be decoded.

    Examples
    --------
    >>> import numpy as np
    >>> picture = Picture(np.zeros((480, 640, 3), np.uint8))
    >>> picture.size(), picture.decode().shape
    ((480, 640), (480, 640, 3))
    """

    __slots__ = ("_digest", "_name", "_source")

    _source: Path | bytes | Uint8
    _name: str
    _digest: str

    def __init__(self, source: object, name: str = "") -> None:
        self._digest = ""
        name = cut(check_text("name", name))
        name = check_text("name", name)
        if isinstance(source, Picture):
            self._source, self._name = source._source, name or source._name
        elif isinstance(source, bytes | bytearray | memoryview):
            self._source, self._name = bytes(source), name or "an image in memory"
        elif isinstance(source, np.ndarray):
            self._name = name or "an image in memory"
            self._source = _frozen(source, self._name)
        elif is_pillow_image(source):
            self._name = name or "an image of Pillow"
            self._source = _of_pillow(source, self._name)
        elif isinstance(source, str | os.PathLike):
            self._source = check_path("image", source)
            self._name = name or cut(str(self._source))
        else:
            raise TypeError(
                f"{name or 'image'}: expected the path or the bytes of an image, an image of "
                f"Pillow or a uint8 array (height, width, 3); found {typed(source)}; of a tensor "
                "give tensor.permute(1, 2, 0).numpy(), with values from 0 to 255 as uint8"
            )

    @property
    def path(self) -> Path | None:
        """The file, None of an image in memory."""
        return self._source if isinstance(self._source, Path) else None

    @property
    def source(self) -> Path | bytes | Uint8:
        """What it was made of: a path, the bytes of a file, or pixels."""
        return self._source

    @property
    def name(self) -> str:
        """What messages call it: its path, or where it came from."""
        return self._name

    def size(self) -> tuple[int, int]:
        """Return height and width, right way up; of a file its header alone is read.

        Raises
        ------
        DataError
            If it is missing, no image, damaged, or of no or too many pixels.
        OSError
            If the file cannot be read.
        """
        if isinstance(self._source, np.ndarray):
            return self._source.shape[0], self._source.shape[1]
        with self._opened() as file, opened(file, self._name) as image:
            return _size(image, self._name)

    def decode(self) -> Uint8:
        """Return the pixels: uint8 (height, width, 3), read-only.

        Raises
        ------
        DataError
            As for `size`, and if its values have no range of 8 bits.
        OSError
            If the file cannot be read.
        """
        pixels, note = self.decoded()
        if note:
            warn(note, ImageWarning)
        return pixels

    def decoded(self) -> tuple[Uint8, str]:
        """Return what `decode` does, and what there is to warn of: "" mostly."""
        if isinstance(self._source, np.ndarray):
            return self._source, ""
        with self._opened() as file, opened(file, self._name) as image:
            _size(image, self._name)
            several = image.format not in ("MPO", "JPEG") and getattr(image, "is_animated", False)
            note = (
                f"{self._name}: found several frames or pages; the first is read, the others are "
                "not; save each as a file of its own"
            )
            return _rgb(image, self._name), note if several else ""

    def digest(self) -> str:
        """Return a digest of what was stored: of the file's bytes, or of the array.

        Raises
        ------
        DataError
            If the file is missing.
        OSError
            If the file cannot be read.
        """
        if isinstance(self._source, Path):  # the file may change
            state = blake2b(digest_size=16)
            with self._opened() as file:
                while block := file.read(1 << 20):
                    state.update(block)
            return state.hexdigest()
        if not self._digest:
            state = blake2b(digest_size=16)
            if isinstance(self._source, np.ndarray):
                state.update(str(self._source.shape).encode())
                state.update(self._source.data)
            else:
                state.update(self._source)
            self._digest = state.hexdigest()
        return self._digest

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if isinstance(self._source, bytes):
            yield io.BytesIO(self._source)
            return
        assert isinstance(self._source, Path)
        try:
            file = open_file(self._source, DataError)
        except (FileNotFoundError, NotADirectoryError):
            raise DataError(_missing(self._source)) from None
        except IsADirectoryError:
            raise DataError(
                f"{self._name}: expected an image; found a folder; name a file in it, or read all "
                "of them with read_images"
            ) from None
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            raise DataError(_missing(self._source)) from None
        with file:
            yield file

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Picture):
            return NotImplemented
        return self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> str:
        return str(self._source) if isinstance(self._source, Path) else self.digest()

    def __repr__(self) -> str:
        if isinstance(self._source, Path):
            return f"Picture({quoted(str(self._source))})"
        if isinstance(self._source, bytes):
            return f"Picture({len(self._source)} bytes, digest {self.digest()})"
        height, width = self.size()
        return f"Picture({height}x{width}, digest {self.digest()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Picture, (self._source, self._name)


def _missing(path: Path) -> str:
    """Say that there is no such file, and which name is close."""
    folder, shown = path.parent, cut(str(path))
    if not os.path.isdir(folder):
        found = quoted(str(folder))
        return f"{shown}: expected an image; found no folder {found}; correct the path"
    hint = did_you_mean(path.name, (one.name for one in folder.iterdir()))
    return f"{shown}: expected an image; found no such file; {hint or 'correct the path'}"


def check_pixels(name: str, value: object) -> Uint8:
    """Return decoded pixels as they are: uint8 (height, width, 3).

    Raises
    ------
    TypeError
        If it is no array of uint8.
    DataError
        If it has another shape, or no pixels.
    """
    if not isinstance(value, np.ndarray):
        raise TypeError(
            f"{name}: expected an array of uint8 (height, width, 3); found {typed(value)}; give "
            "what Picture.decode returns"
        )
    _check_array(value, name)
    if value.ndim == 2:
        raise DataError(
            f"{name}: expected an array (height, width, 3); found the shape {value.shape}; give "
            "what Picture.decode returns"
        )
    return value


def _frozen(array: NDArray[Any], name: str) -> Uint8:
    """Return an array of pixels as a copy that nobody can change."""
    _check_array(array, name)
    if array.ndim == 2:
        array = np.repeat(array[:, :, None], 3, axis=2)
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def _check_array(array: NDArray[Any], name: str) -> None:
    """Refuse an array that holds no pixels of one image."""
    if array.dtype != np.uint8:
        hint = "astype(np.uint8)"
        if array.dtype.kind == "f":
            hint = f"of values from 0 to 1 give (255 * array).round().{hint}"
        else:
            hint = f"give array.{hint} if its values are from 0 to 255"
        raise TypeError(f"{name}: expected an array of uint8; found {array.dtype}; {hint}")
    shape = array.shape
    if array.ndim != 2 and (array.ndim != 3 or shape[2] != 3):
        hint = "give the pixels of one image"
        if array.ndim == 3 and shape[0] == 3:
            hint = "the channels come last: give array.transpose(1, 2, 0)"
        elif array.ndim == 3 and shape[2] == 4:
            hint = "without the alpha channel it is array[..., :3]"
        elif array.ndim == 3 and shape[2] == 1:
            hint = "of grey give array[..., 0]"
        elif array.ndim == 4:
            hint = "give the images one by one"
        raise DataError(
            f"{name}: expected an array (height, width, 3), or (height, width) of grey; found the "
            f"shape {shape}; {hint}"
        )
    _check_pixels(shape[0], shape[1], name)


def _of_pillow(image: Any, name: str) -> Uint8:
    """Return the pixels of an image that somebody opened or made with Pillow."""
    _check_pixels(image.height, image.width, name)
    try:
        image.load()
        return _rgb(image, name)
    except (DataError, MemoryError):
        raise
    except Exception as error:
        raise DataError(
            f"{name}: expected a whole image; found one that cannot be decoded "
            f"({cut(str(error), 120)}); open it again, or leave it out"
        ) from None


def _check_pixels(height: int, width: int, name: str) -> None:
    if height < 1 or width < 1:
        raise DataError(
            f"{name}: expected an image of at least one pixel; found {height} x {width}; leave it "
            "out"
        )
    if height * width > MOST_PIXELS:
        raise DataError(
            f"{name}: expected an image of at most {MOST_PIXELS:,} pixels; found {height:,} x "
            f"{width:,}, {height * width:,}; make it smaller"
        )


def _orientation(image: Any) -> int:
    """Return how an image was held, 1 to 8; EXIF that cannot be read says nothing."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
        return int(found) if found in range(1, 9) else 1
    except Exception:
        return 1


def _size(image: Any, name: str) -> tuple[int, int]:
    """Return height and width of an image that is not loaded, right way up."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:  # a TIFF says the turned size already, but not with every Pillow
        height, width = int(tags[_TIFF_HEIGHT]), int(tags[_TIFF_WIDTH])
    else:
        height, width = image.height, image.width
    _check_pixels(height, width, name)
    return (width, height) if _orientation(image) in _TURNED else (height, width)


def _rgb(image: Any, name: str) -> Uint8:
    """Return the pixels of an opened image, right way up."""
    module = image_module()
    turns = {
        2: module.Transpose.FLIP_LEFT_RIGHT,
        3: module.Transpose.ROTATE_180,
        4: module.Transpose.FLIP_TOP_BOTTOM,
        5: module.Transpose.TRANSPOSE,
        6: module.Transpose.ROTATE_270,
        7: module.Transpose.TRANSVERSE,
        8: module.Transpose.ROTATE_90,
    }
    image.load()
    orientation = _orientation(image)  # of a TIFF it is gone now: loading turns it
    if image.mode == "F" or image.mode.startswith("I"):
        image = module.fromarray(_upper_bytes(image, name))
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # straight to RGB Pillow warns, and gives the same colours
    if image.mode != "RGB":
        image = image.convert("RGB")
    if orientation in turns:
        image = image.transpose(turns[orientation])
    pixels = np.asarray(image)
    pixels.setflags(write=False)
    return pixels


def _upper_bytes(image: Any, name: str) -> Uint8:
    """Return the upper bytes of 16-bit grey values; DataError for those of more bits."""
    values = np.asarray(image)
    if image.mode == "F" or values.min() < 0 or values.max() > 65_535:
        raise DataError(
            f"{name}: expected values of 8 or 16 bits; found {values.dtype} from "
            f"{values.min():g} to {values.max():g}; scale them to 0 to 255 and save the image with "
            "8 bits"
        )
    return (values >> 8).astype(np.uint8)
