# SPDX-License-Identifier: Apache-2.0
"""Rows of a data set in, one array of their features out, without a loop over rows or tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import DataError
from ..quoting import quoted
from .file_rows import FileRows, ShardError
from .memory import Block
from .rounding import widen

__all__ = ["FeatureView", "MissingFeatures"]

Float32 = NDArray[np.float32]
_MISSING = -1


class MissingFeatures(DataError):
    """Features of some rows are not kept, or not any more: a file of a folder can be lost."""


class _Lost(Exception):
    """The rows of a block, by its number in the view, cannot be read any more."""


class FeatureView:
    """The features of one output for the rows of one `Encoded`; made by `FeatureCache.view`.

    Parameters
    ----------
    name : str
        The output.
    texts : sequence of bytes
        Text keys of the rows.
    counts : (n,) int64 array
        Rows that each text has: its tokens, or 1.
    width : int
        Columns.
    blocks : sequence of Block
        Where the features may be; the first that has a text gives it.

    Attributes
    ----------
    name, width
        As above.
    n_missing : int
        How many of the rows are not kept.
    """

    def __init__(
        self,
        name: str,
        texts: Sequence[bytes],
        counts: NDArray[np.int64],
        width: int,
        blocks: Sequence[Block],
    ) -> None:
        self.name, self.width, self._counts = name, width, counts
        self._block_of = np.full(len(texts), _MISSING, dtype=np.int64)
        self._start = np.zeros(len(texts), dtype=np.int64)
        self._blocks: list[Block] = []
        for block in blocks:
            if not (self._block_of == _MISSING).any():
                break
            places = map(block.index.get, texts, [_MISSING] * len(texts))
            at = np.fromiter(places, dtype=np.int64, count=len(texts))
            new = (at != _MISSING) & (self._block_of == _MISSING)
            if new.any():
                self._block_of[new] = len(self._blocks)
                self._start[new] = block.offsets[at[new]]
                self._blocks.append(block)
        self.n_missing = int((self._block_of == _MISSING).sum())
        # One block without gaps is the usual case; a step then need not look for others.
        self._only = self._blocks[0] if len(self._blocks) == 1 and not self.n_missing else None

    def has(self, rows: ArrayLike | None = None) -> bool:
        """Say whether the features of these rows (by default all) are kept."""
        if self.n_missing == 0:
            return True
        return rows is not None and not len(self.missing(rows))

    def missing(self, rows: ArrayLike) -> NDArray[np.int64]:
        """Return those of the rows, (m,) int64, whose features are not kept."""
        chosen = np.asarray(rows, dtype=np.int64)
        absent: NDArray[np.int64] = chosen[self._block_of[chosen] == _MISSING]
        return absent

    def gather(
        self,
        rows: ArrayLike,
        *,
        out: Float32 | None = None,
        compute: Callable[[NDArray[np.int64]], Float32] | None = None,
    ) -> Float32:
        """Return the features of rows, one after another.

        Parameters
        ----------
        rows : (b,) integer array_like
            Row numbers of the `Encoded`, any order, repeats allowed.
        out : (N or more, width) float32 array in C order, optional
            Where to put them; a step that brings its own array spares the system new pages.
        compute : callable, optional
            Given the (m,) row numbers that are not kept, returns their features, (M, width).

        Returns
        -------
        (N, width) float32 array
            In C order; N is the sum of the rows' tokens, or b where a text has one row.

        Raises
        ------
        MissingFeatures
            If rows are missing and there is no `compute`; also if they are missing by now because
            a file of a folder could not be read any more, which is warned of.
        DataError
            If `out` does not fit.

        Warns
        -----
        CacheWarning
            If a file of a folder cannot be read any more.
        """
        chosen = np.asarray(rows, dtype=np.int64)
        counts = self._counts[chosen]
        ends = np.cumsum(counts)
        n = int(ends[-1]) if len(ends) else 0
        result = self._target(out, n)
        begins = ends - counts
        index = np.repeat(self._start[chosen] - begins, counts) + np.arange(n)
        while True:
            try:
                self._copy(chosen, counts, index, result, compute)
                return result
            except _Lost as lost:
                self._forget(lost.args[0])

    def _copy(
        self,
        chosen: NDArray[np.int64],
        counts: NDArray[np.int64],
        index: NDArray[np.int64],
        result: Float32,
        compute: Callable[[NDArray[np.int64]], Float32] | None,
    ) -> None:
        """Put the rows `index` (N,) of the blocks, and what is computed, into `result` (N, C)."""
        if self._only is not None:
            self._take(0, index, result)
            return
        source = np.repeat(self._block_of[chosen], counts)
        for number in np.unique(source).tolist():
            here = np.flatnonzero(source == number)
            if number == _MISSING:
                result[here] = self._computed(self.missing(chosen), compute)
            else:
                part = np.empty((len(here), self.width), dtype=np.float32)
                self._take(number, index[here], part)
                result[here] = part

    def _take(self, number: int, index: NDArray[np.int64], out: Float32) -> None:
        block = self._blocks[number]
        try:
            _take(block, index, out)
        except (OSError, ShardError) as error:
            block.lose(error)
            raise _Lost(number) from None

    def _forget(self, number: int) -> None:
        """Count as missing what a block held."""
        self._only = None
        self._block_of[self._block_of == number] = _MISSING
        self.n_missing = int((self._block_of == _MISSING).sum())

    def _target(self, out: Float32 | None, n: int) -> Float32:
        if out is None:
            return np.empty((n, self.width), dtype=np.float32)
        fits = out.dtype == np.float32 and out.flags.c_contiguous and out.ndim == 2
        if not fits or out.shape[1] != self.width or len(out) < n:
            raise DataError(
                f"expected an array for {n} rows of {self.width} float32 numbers in C order; found "
                f"{out.dtype} of shape {out.shape}; make it with np.empty"
            )
        return out[:n]

    def _computed(
        self, rows: NDArray[np.int64], compute: Callable[[NDArray[np.int64]], Float32] | None
    ) -> Float32:
        if compute is None:
            raise MissingFeatures(
                f"expected stored {quoted(self.name)} features of every row; found none for "
                f"{len(rows)} of them; ask view.missing(rows) and compute these"
            )
        return compute(rows)


def _take(block: Block, index: NDArray[np.int64], out: Float32) -> None:
    """Copy rows of a block into `out`; the index is ours, so it is in range."""
    data = block.data
    if isinstance(data, FileRows):
        kept: NDArray[Any] = out if block.dtype == "float32" else np.empty(out.shape, data.dtype)
        data.take(index, kept)
        if kept is not out:
            widen(kept, out)
    elif block.dtype == "float32":
        # With mode="raise" NumPy would go through a second buffer.
        np.take(data, index, axis=0, out=out, mode="clip")
    else:
        widen(np.take(data, index, axis=0, mode="clip"), out)
