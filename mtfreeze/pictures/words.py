# SPDX-License-Identifier: Apache-2.0
"""Facts of a picture as lines of text: tables in monospace, numbers in short forms."""

from __future__ import annotations

from collections.abc import Sequence

from ..heads.registry import metric_words
from ..printable import printable

__all__ = ["metric_words", "text_table"]


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table: the first column to the left, all others to the right.

    Examples
    --------
    >>> print(text_table(("task", "loss"), [("ner", "0.25"), ("classifier", "1.5")]))
    task        loss
    ----------------
    ner         0.25
    classifier   1.5
    """
    cells = [[printable(cell) for cell in row] for row in (header, *rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])
