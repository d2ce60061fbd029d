# SPDX-License-Identifier: Apache-2.0
"""Frames: which part of a picture is seen, mirrored or not, and where boxes of it then lie.

A model that finds things tells where they are as shares of what it sees. What resizes a picture
changes no share; a crop and a flip do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .augmentations import Drawn

__all__ = ["Frame"]

Floats = NDArray[np.float64]


class Frame(NamedTuple):
    """What is seen of a picture.

    Attributes
    ----------
    picture_height, picture_width : int
        Of the whole picture, right way up, in pixels.
    top, left, height, width : int
        The window that is seen.
    flip : bool
        Whether it is seen in a mirror.

    Examples
    --------
    >>> whole = Frame.whole(100, 200)
    >>> shares, seen = whole.shares([[50, 0, 150, 100]])
    >>> shares.tolist(), seen.tolist(), whole.corners(shares).tolist()
    ([[0.5, 0.5, 0.5, 1.0]], [True], [[50.0, 0.0, 150.0, 100.0]])
    """

    picture_height: int
    picture_width: int
    top: int
    left: int
    height: int
    width: int
    flip: bool

    @classmethod
    def whole(cls, height: int, width: int) -> Frame:
        """Return that of a whole picture."""
        return cls(height, width, 0, 0, height, width, False)

    @classmethod
    def of(cls, drawn: Drawn, size: tuple[int, int]) -> Frame:
        """Return that of a variant of a picture of a size, (height, width)."""
        return cls(*size, drawn.top, drawn.left, drawn.height, drawn.width, drawn.flip)

    @classmethod
    def of_numbers(cls, numbers: Sequence[int]) -> Frame:
        """Return a frame from what ``list(frame)`` gives, as an array of integers keeps it."""
        picture_height, picture_width, top, left, height, width, flip = numbers
        return cls(picture_height, picture_width, top, left, height, width, bool(flip))

    def shares(self, corners: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
        """Return where boxes lie in what is seen, as centre, width and height.

        Parameters
        ----------
        corners : (n, 4) array
            Left, top, right and bottom in pixels of the picture.

        Returns
        -------
        shares : (m, 4) float64 array
            Middle from the left and from the top, width and height, each from 0 to 1, of what is
            seen of the boxes whose middle is.
        seen : (n,) bool array
            Which those are.
        """
        boxes = np.array(corners, np.float64).reshape(-1, 4)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        begin = np.array([self.left, self.top], np.float64)
        size = np.array([self.width, self.height], np.float64)
        seen = ((middle >= begin) & (middle <= begin + size)).all(axis=1)
        ends = (boxes[seen].reshape(-1, 2, 2) - begin).clip(0.0, size) / size
        if self.flip:
            ends[:, :, 0] = 1.0 - ends[:, ::-1, 0]
        shares = np.concatenate([ends.mean(axis=1), ends[:, 1] - ends[:, 0]], axis=1)
        return shares, np.asarray(seen)

    def corners(self, shares: ArrayLike) -> Floats:
        """Return boxes by shares as corners in pixels of the picture, (n, 4) float64."""
        boxes = np.array(shares, np.float64).reshape(-1, 4)
        if self.flip:
            boxes[:, 0] = 1.0 - boxes[:, 0]
        size = np.array([self.width, self.height], np.float64)
        begin = np.array([self.left, self.top], np.float64)
        middle, half = boxes[:, :2] * size + begin, boxes[:, 2:] * size / 2
        return np.concatenate([middle - half, middle + half], axis=1)
