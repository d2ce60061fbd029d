# SPDX-License-Identifier: Apache-2.0
"""How many rows a sequence has in each row space of a family.

A text has rows in one space, its tokens. An image has them in several that follow from each other:
patches and the tokens made of them, or one grid a resolution. Of queries every image has as many.
The rules are the core's (``csrc/model/program.h``); this carries them out, for batches and for
prices.

The *length* of a sequence is how many rows it has in the family's *main* space: ``"tokens"`` where
there is one, else the grid that all others follow from.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from .._core import SpaceInfo

__all__ = ["SEQUENCES", "TOKENS", "RowLayout", "starts"]

Int64 = NDArray[np.int64]

SEQUENCES = "sequences"
"""The row space of one row a sequence."""

TOKENS = "tokens"
"""The row space of families that read texts, and of what images are cut into."""


class _HasSpaces(Protocol):
    def spaces(self) -> list[SpaceInfo]: ...


@dataclass(frozen=True)
class RowLayout:
    """The row spaces of a family, without those of heads.

    Attributes
    ----------
    spaces : tuple of SpaceInfo
        In the order of the core: what a space follows from stands before it.
    """

    spaces: tuple[SpaceInfo, ...]

    @classmethod
    def of(cls, core: _HasSpaces) -> RowLayout:
        """Return the layout of a model of the core."""
        own = [one for one in core.spaces() if not one.of_heads and one.name != SEQUENCES]
        return cls(tuple(own))

    @property
    def base(self) -> SpaceInfo:
        """The space that all others follow from."""
        return self.spaces[0]

    @property
    def main(self) -> SpaceInfo:
        """The space whose rows are the length of a sequence."""
        named = [one for one in self.spaces if one.name == TOKENS]
        return named[0] if named else self.base

    @property
    def shortest(self) -> int:
        """The least length of a sequence."""
        return (self.base.height * self.base.width or 1) + self._more

    @property
    def _more(self) -> int:
        """Rows of the main space beside those of the base."""
        return self.main.extra if self.main is not self.base else 0

    @property
    def rows_per_token(self) -> int:
        """Rows of the main space that count as one token where a budget of tokens is kept."""
        return self.main.rows_per_token

    @property
    def longest(self) -> int:
        """The largest length of a sequence."""
        return self.main.max_length

    def counts(self, lengths: ArrayLike) -> dict[str, Int64]:
        """Return the rows of sequences of these lengths in each space, (n,) int64 by its name.

        A length says how many pixels an image has and not its shape; it is taken for as square as
        whole numbers allow.
        """
        known = np.asarray(lengths, dtype=np.int64)
        rows = known - self._more
        if not any(one.is_grid and one.of for one in self.spaces):
            return {
                one.name: np.full_like(rows, one.fixed) if one.fixed else rows + one.extra
                for one in self.spaces
            }
        distinct, back = np.unique(rows, return_inverse=True)
        shapes = [_squarest(int(n)) for n in distinct]
        grids = self.grids([height for height, _ in shapes], [width for _, width in shapes])
        return {name: count[back] for name, (count, _) in grids.items()}

    def offsets(self, lengths: ArrayLike) -> dict[str, Int64]:
        """Return where the rows of such sequences begin in each space, (n+1,) int64."""
        return {name: starts(count) for name, count in self.counts(lengths).items()}

    def grids(self, heights: ArrayLike, widths: ArrayLike) -> dict[str, tuple[Int64, Int64 | None]]:
        """Return rows, (n,) int64, and widths of grids or None, of images in each space.

        Parameters
        ----------
        heights, widths : (n,) integer array_like
            Of the base grid: pixels, or patches.
        """
        shapes: dict[str, tuple[Int64, Int64]] = {}
        found: dict[str, tuple[Int64, Int64 | None]] = {}
        for one in self.spaces:
            if one.fixed:
                found[one.name] = np.full(np.shape(heights), one.fixed, dtype=np.int64), None
                continue
            if one.of is None:
                height, width = np.asarray(heights, np.int64), np.asarray(widths, np.int64)
            else:
                height, width = (_after(side, one) for side in shapes[one.of])
            shapes[one.name] = height, width
            found[one.name] = height * width + one.extra, width if one.is_grid else None
        return found


def _after(side: Int64, space: SpaceInfo) -> Int64:
    """Return the side of the grid that windows make of a grid; as ``csrc/model/spaces.c``."""
    if not space.is_grid:
        return side
    room = side + 2 * space.padding - space.kernel
    if space.ceil:
        room = room + space.stride - 1
    windows = room // space.stride + 1
    if space.ceil:  # the last one begins within the grid or before it
        windows = windows - ((windows - 1) * space.stride >= side + space.padding)
    return np.where(room < 0, 0, windows)


def _squarest(rows: int) -> tuple[int, int]:
    """Return the height and width of a grid of so many rows, as close as they can be."""
    height = next((side for side in range(isqrt(rows), 0, -1) if rows % side == 0), 1)
    return height, rows // height


def starts(counts: ArrayLike) -> Int64:
    """Return where each of so many rows begin, and where the last ones end, (n+1,) int64."""
    return np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64)
