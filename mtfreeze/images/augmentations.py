# SPDX-License-Identifier: Apache-2.0
"""Variants of pictures: crops, flips and changes of colour, drawn from numbers that say all.

A variant is a function of (seed, picture, number of the variant) alone. So a run can be repeated,
no order of threads changes it, and there are only so many of them that features of a frozen prefix
can be stored for each. Variant 0 is the picture as it is, which evaluation reads too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..checks import (
    as_items,
    check_flag,
    check_integer,
    check_number,
    check_seed,
    typed,
)
from ..errors import ConfigError
from .picture import check_pixels

__all__ = ["Augment", "Drawn"]

Uint8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]

_ASPECTS = 3 / 4, 4 / 3
"""Width by height of a crop, against those of the picture: from and to."""

_GREY = 299, 587, 114
"""Thousandths of red, green and blue in grey, as in ITU-R BT.601 and Pillow."""


class Drawn(NamedTuple):
    """What is done to one picture: a window in pixels, a flip, three factors of colour."""

    top: int
    left: int
    height: int
    width: int
    flip: bool
    brightness: float
    contrast: float
    saturation: float


@dataclass(frozen=True)
class Augment:
    """How pictures vary from one epoch to the next.

    Parameters
    ----------
    flip : bool
        Whether half of the variants are seen in a mirror. Leave it out where left and right
        matter, as in writing.
    crop : (float, float) or None
        Least and largest share of the picture's area that is kept, at a place and with an aspect
        drawn at random; the processor resizes it. None keeps all of it.
    colour : float
        Brightness, contrast and saturation are each multiplied by a number from ``1 - colour`` to
        ``1 + colour``; 0 leaves colours as they are.
    variants : int
        How many there are of each picture; epoch e sees variant ``e % variants``. Variant 0 is the
        picture itself.
    seed : int
        Of the draws. It is not that of a run, so that runs of several seeds share what is stored of
        a variant.

    Raises
    ------
    TypeError, ConfigError
        If an argument does not hold.

    Examples
    --------
    >>> import numpy as np
    >>> pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    >>> augment = Augment(crop=None, colour=0.0, variants=4)
    >>> bool((augment.apply(pixels, picture=7, variant=0) == pixels).all())
    True
    """

    flip: bool = True
    crop: tuple[float, float] | None = (0.6, 1.0)
    colour: float = 0.2
    variants: int = 8
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "flip", check_flag("flip", self.flip))
        if self.crop is not None:
            items = as_items(self.crop)
            shares = [] if items is None else list(items)
            if len(shares) != 2:
                raise TypeError(
                    "crop must be the least and the largest share of the area that is kept, or "
                    f"None; found {typed(self.crop)}; use e.g. (0.6, 1.0)"
                )
            least = check_number("crop[0]", shares[0], 0.0, 1.0, above=True)
            most = check_number("crop[1]", shares[1], 0.0, 1.0, above=True)
            if least > most:
                raise ConfigError(
                    "crop must be the least and then the largest share; found "
                    f"({least:g}, {most:g}); exchange them"
                )
            object.__setattr__(self, "crop", (least, most))
        object.__setattr__(self, "colour", check_number("colour", self.colour, 0.0, 1.0))
        object.__setattr__(self, "variants", check_integer("variants", self.variants, 1, 10_000))
        object.__setattr__(self, "seed", check_seed("seed", self.seed))

    def drawn(self, size: tuple[int, int], *, picture: int | str, variant: int) -> Drawn:
        """Return what is done to a picture of a size, (height, width), in one variant.

        Parameters
        ----------
        size : (int, int)
            Height and width in pixels.
        picture : int or str
            Its number or digest.
        variant : int
            Taken modulo `variants`.
        """
        items = as_items(size)
        sides = [] if items is None else list(items)
        if len(sides) != 2:
            raise TypeError(
                f"size must be a height and a width; found {typed(size)}; use e.g. (480, 640)"
            )
        height, width = (check_integer("size", side, 1) for side in sides)
        if not isinstance(picture, str):
            picture = check_integer(
                "picture", picture, 0, hint="give its number, or a digest (str)"
            )
        variant = check_integer("variant", variant, 0) % self.variants
        if variant == 0:
            return Drawn(0, 0, height, width, False, 1.0, 1.0, 1.0)
        key = f"augment {self.seed} {picture} {variant}".encode("utf-8", "surrogatepass")
        words = np.frombuffer(blake2b(key, digest_size=64).digest(), "<u8")
        # 53 bits each, so that every machine has the same float64 in [0, 1).
        share, aspect, y, x, mirror, *colours = ((words >> 11) * 2.0**-53).tolist()
        window = (0, 0, height, width)
        if self.crop is not None:
            least, most = self.crop
            area = least + share * (most - least)
            ratio = _ASPECTS[0] + aspect * (_ASPECTS[1] - _ASPECTS[0])
            h = min(height, max(1, round(height * math.sqrt(area / ratio))))
            w = min(width, max(1, round(width * math.sqrt(area * ratio))))
            window = int(y * (height - h + 1)), int(x * (width - w + 1)), h, w
        factors = (1.0 + self.colour * (2.0 * one - 1.0) for one in colours)
        return Drawn(*window, self.flip and mirror < 0.5, *factors)

    def apply(self, pixels: Uint8, *, picture: int | str, variant: int) -> Uint8:
        """Return one variant of decoded pixels, uint8 (h, w, 3), before the processor.

        Parameters
        ----------
        pixels : (h, w, 3) uint8 array
            Of the whole picture.
        picture, variant
            As of `drawn`.

        Returns
        -------
        (height, width, 3) uint8 array
            Of the size that was drawn.
        """
        pixels = check_pixels("pixels", pixels)
        size = pixels.shape[0], pixels.shape[1]
        one = self.drawn(size, picture=picture, variant=variant)
        found = pixels[one.top : one.top + one.height, one.left : one.left + one.width]
        if one.flip:
            found = found[:, ::-1]
        return _recoloured(found, one.brightness, one.contrast, one.saturation)


def _recoloured(pixels: Uint8, brightness: float, contrast: float, saturation: float) -> Uint8:
    """Return pixels in other colours: in this order, each rounded to the nearest of 0 to 255.

    Contrast moves values from or to the mean grey, saturation from or to the grey of the pixel.
    """
    if brightness != 1.0:
        pixels = _rounded(pixels.astype(np.float32) * np.float32(brightness))
    if contrast != 1.0:
        mean = np.float32(round(int(_grey(pixels).sum()) / (pixels.shape[0] * pixels.shape[1])))
        pixels = _rounded(mean + (pixels.astype(np.float32) - mean) * np.float32(contrast))
    if saturation != 1.0:
        grey = _grey(pixels).astype(np.float32)[..., None]
        pixels = _rounded(grey + (pixels.astype(np.float32) - grey) * np.float32(saturation))
    return pixels


def _grey(pixels: Uint8) -> NDArray[np.int64]:
    red, green, blue = _GREY
    wide = pixels.astype(np.int64)
    return (red * wide[..., 0] + green * wide[..., 1] + blue * wide[..., 2] + 500) // 1000


def _rounded(values: Float32) -> Uint8:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
