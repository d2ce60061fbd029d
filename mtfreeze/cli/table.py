# SPDX-License-Identifier: Apache-2.0
"""Rows of cells -> lines of columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ..printable import printable

__all__ = ["aligned"]


def aligned(rows: Sequence[Sequence[str]], right: Collection[str] = ()) -> str:
    """Lay rows out in columns as wide as their widest cell.

    Parameters
    ----------
    rows : sequence of sequences of str
        The first holds the columns' names.
    right : collection of str
        Names of the columns of numbers, which stand to the right.

    Examples
    --------
    >>> print(aligned([("file", "bytes"), ("a", "10"), ("long", "9")], right=["bytes"]))
    file  bytes
    a        10
    long      9
    """
    names = rows[0]
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(row, widths, names, strict=True)
        ).rstrip()
        for row in cells
    )
