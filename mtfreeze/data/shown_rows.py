# SPDX-License-Identifier: Apache-2.0
"""Rows in one line: how many, of what, with which labels; `repr` of `Examples`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..printable import printable
from .example import Example

__all__ = ["in_one_line"]

_MOST_LABELS = 6
"""That are shown with their counts."""


def in_one_line(
    rows: Sequence[Example],
    name: str,
    kind: str,
    tasks: Sequence[str],
    labels: Callable[[], Mapping[str | int | float, int]],
    *,
    in_memory: bool,
) -> str:
    """Return what `repr` says; rows that stay in their file are not read for it, but the first.

    Parameters
    ----------
    rows : sequence of Example
    name, kind, tasks, labels, in_memory
        As `Examples` has them.
    """
    n_texts = len(rows[0].texts or ()) if len(rows) else 0
    one = {"words": "sentence", "image": "image"}.get(kind, "text")
    unit = {2: "pair", 3: "triplet"}.get(n_texts, one)
    head = f"Examples({len(rows)} {unit}{'' if len(rows) == 1 else 's'}, name={name!r}"
    if tasks:
        shown = (_task(rows, task) if in_memory else printable(task) for task in tasks)
        return f"{head}, labels of {', '.join(shown)})"
    if not in_memory:  # to count labels the whole file would be read
        return f"{head}, read as needed)"
    counts = labels()
    some = ", ".join(f"{printable(one)} {n}" for one, n in list(counts.items())[:_MOST_LABELS])
    more = f" and {len(counts) - _MOST_LABELS} more" if len(counts) > _MOST_LABELS else ""
    return f"{head}, labels: {some or 'none'}{more})"


def _task(rows: Sequence[Example], task: str) -> str:
    """Return a task's name, with the number of its rows where not all rows have a label."""
    n = sum(row.label_for(task) is not None for row in rows)
    return printable(task) if n == len(rows) else f"{printable(task)} ({n})"
