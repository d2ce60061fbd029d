# SPDX-License-Identifier: Apache-2.0
"""The sizes that images are brought to, and pixels resized and cropped to them.

The rules are those of the image processors of transformers with Pillow, which resizes with a filter
widened by the scale, so that shrinking takes every pixel into account. They hold to the last bit:
the same sums in the same library.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .picture import MOST_PIXELS
from .pillow import image_module

__all__ = ["center_cropped", "resized", "short_side_to", "target_size"]

Uint8 = NDArray[np.uint8]
Size = tuple[int, int]
"""Height and width."""


def short_side_to(size: Size, short: int) -> Size:
    """Return a size whose shorter side is `short`, the longer rounded down.

    Examples
    --------
    >>> short_side_to((480, 640), 224), short_side_to((640, 480), 224)
    ((224, 298), (298, 224))
    """
    height, width = size
    if width <= height:
        return int(short * height / width), short
    return short, int(short * width / height)


def _within(size: Size, short: int, longest: int) -> Size:
    """Return a size whose shorter side is `short`, or less where the longer would be too long."""
    height, width = size
    least, most = float(min(size)), float(max(size))
    exact: float | None = None
    if most / least * short > longest:
        exact = longest * least / most
        short = round(exact)
    if (height <= width and height == short) or (width <= height and width == short):
        return size
    scale = short if exact is None else exact
    if width < height:
        return int(scale * height / width), short
    return short, int(scale * width / height)


def target_size(size: Size, rule: Mapping[str, int]) -> Size:
    """Return height and width that an image of a size is resized to.

    Parameters
    ----------
    size : (height, width)
        Of the image.
    rule : mapping
        ``height`` and ``width``, ``shortest_edge``, that and ``longest_edge``, or ``max_height``
        and ``max_width``.

    Examples
    --------
    >>> target_size((480, 640), {"height": 224, "width": 224})
    (224, 224)
    >>> target_size((480, 640), {"shortest_edge": 800, "longest_edge": 1333})
    (800, 1066)
    >>> target_size((480, 640), {"max_height": 100, "max_width": 100})
    (75, 100)
    """
    if "longest_edge" in rule:
        return _within(size, rule["shortest_edge"], rule["longest_edge"])
    if "shortest_edge" in rule:
        return short_side_to(size, rule["shortest_edge"])
    if "max_height" in rule:
        scale = min(rule["max_height"] / size[0], rule["max_width"] / size[1])
        return int(size[0] * scale), int(size[1] * scale)
    return rule["height"], rule["width"]


def resized(pixels: Uint8, size: Size, resample: int, name: str) -> Uint8:
    """Return pixels resized by Pillow: uint8 (height, width, 3).

    Raises
    ------
    DataError
        If the sides of the image differ so much that it would have none or too many pixels.
    """
    height, width = size
    if min(size) < 1 or height * width > MOST_PIXELS:
        raise DataError(
            f"{name}: expected an image whose sides differ less; found {pixels.shape[0]} x "
            f"{pixels.shape[1]}, which would be resized to {height:,} x {width:,}; crop it, or "
            "leave it out"
        )
    module: Any = image_module()
    image = module.fromarray(pixels)
    return np.asarray(image.resize((width, height), resample=resample))


def center_cropped(pixels: Uint8, size: Size) -> Uint8:
    """Return the middle of an image; where it is smaller than that, zeros stand around it.

    Parameters
    ----------
    pixels : (h, w, 3) uint8 array
        The image.
    size : (height, width)
        Of what is returned. The crop begins at ``(h - height) // 2``; of an odd number of zeros the
        larger half stands above and to the left.
    """
    for axis, n in enumerate(size):
        begin = (pixels.shape[axis] - n) // 2
        if begin >= 0:
            pixels = pixels[begin : begin + n] if axis == 0 else pixels[:, begin : begin + n]
            continue
        short = n - pixels.shape[axis]
        above = (short + 1) // 2
        around = [(0, 0)] * 3
        around[axis] = (above, short - above)
        pixels = np.pad(pixels, around)
    return pixels
