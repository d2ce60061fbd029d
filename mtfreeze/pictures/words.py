# SPDX-License-Identifier: Apache-2.0
"""Facts of a picture as lines of text: tables in monospace, numbers in short forms."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["metric_words", "text_table"]

_METRICS = {"f1": "F1", "f1_macro": "macro F1", "mcc": "MCC"}


def metric_words(metric: str) -> str:
    """Return how people write the name of a metric.

    Examples
    --------
    >>> metric_words("f1"), metric_words("accuracy")
    ('F1', 'accuracy')
    """
    return _METRICS.get(metric, metric)


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
    cells = [list(header), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * len(widths) - 2), *lines[1:]])
