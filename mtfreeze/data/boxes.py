# SPDX-License-Identifier: Apache-2.0
"""Boxes on an image: the label of what is in each, and its corners in pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..checks import as_integer, as_number, typed
from ..errors import DataError
from ..quoting import quoted

__all__ = ["Box"]


@dataclass(frozen=True)
class Box:
    """One thing on an image, which has a tuple of them for its label.

    Attributes
    ----------
    label : str or int
        What it is: a name or an index.
    left, top, right, bottom : float
        Its corners in pixels from the upper left corner of the image, right way up; ``right`` and
        ``bottom`` are where it ends.

    Raises
    ------
    TypeError
        If the label is none, or a corner no number.
    DataError
        If a corner is not finite, or the box is empty.

    Examples
    --------
    >>> box = Box("cat", 10, 20, 110, 70)
    >>> box.width, box.height
    (100.0, 50.0)
    """

    label: str | int
    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        label = self.label if isinstance(self.label, str) else as_integer(self.label)
        if label is None:
            raise TypeError(
                f"label must be a name (str) or index (int); found {typed(self.label)}; write the "
                "label's name"
            )
        if isinstance(label, int) and not -(2**63) <= label < 2**63:
            raise DataError(
                f"label must be an index of at most 64 bits; found {quoted(label)}; write the "
                "label's name"
            )
        object.__setattr__(self, "label", label)
        for name in ("left", "top", "right", "bottom"):
            number = as_number(getattr(self, name))
            if number is None:
                raise TypeError(
                    f"{name} must be a number of pixels; found {typed(getattr(self, name))}; give "
                    "a float"
                )
            if not math.isfinite(number):
                raise DataError(f"{name} must be finite; found {number}; correct the box")
            object.__setattr__(self, name, number)
        if not (self.left < self.right and self.top < self.bottom):
            raise DataError(
                f"box of {quoted(self.label, 60)}: expected left < right and top < bottom; found "
                f"left {self.left:g}, top {self.top:g}, right {self.right:g}, bottom "
                f"{self.bottom:g}; leave empty boxes out; of x, y, width and height give "
                "Box(label, x, y, x + width, y + height)"
            )

    @property
    def width(self) -> float:
        """Its width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Its height in pixels."""
        return self.bottom - self.top
