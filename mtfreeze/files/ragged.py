# SPDX-License-Identifier: Apache-2.0
"""Many arrays of different lengths as two: all values end to end, and where each one begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .growing import GrowingArray, GrowingOffsets

__all__ = ["GrowingRagged", "RaggedArrays"]

_PIECE = 4096


class RaggedArrays(Sequence[NDArray[Any]]):
    """Arrays of one dimension; item i is a read-only view.

    Attributes
    ----------
    flat : (N,) array
        The values of all, one after another.
    offsets : (n+1,) int64 array
        Where those of each begin.
    """

    def __init__(self, flat: NDArray[Any], offsets: NDArray[np.int64]) -> None:
        self.flat, self.offsets = flat, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @overload
    def __getitem__(self, index: int) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[NDArray[Any]]: ...
    def __getitem__(self, index: int | slice) -> NDArray[Any] | list[NDArray[Any]]:
        chosen = range(len(self))[index]
        if isinstance(chosen, range):
            return [self[i] for i in chosen]
        return self.flat[self.offsets[chosen] : self.offsets[chosen + 1]]


class GrowingRagged:
    """Takes arrays one by one; `finish` returns them all."""

    def __init__(self, dtype: DTypeLike) -> None:
        self._flat, self._offsets = GrowingArray(dtype), GrowingOffsets()
        self._held: list[NDArray[Any]] = []

    def append(self, values: NDArray[Any]) -> None:
        """Take the next array, (n,)."""
        self._held.append(values)
        if len(self._held) == _PIECE:
            self._write()

    def _write(self) -> None:
        if self._held:
            self._flat.append(np.concatenate(self._held))
            self._offsets.append([len(one) for one in self._held])
            self._held = []

    def finish(self) -> RaggedArrays:
        """Return the arrays; nothing may follow."""
        self._write()
        return RaggedArrays(self._flat.finish(), self._offsets.finish())
