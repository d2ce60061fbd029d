# SPDX-License-Identifier: Apache-2.0
"""What two files have in common: rows of the one that stand in the other, and labels that do not.

A row to judge by that was learned from says nothing of rows that were not; a label that was not
learned cannot be told.
"""

from __future__ import annotations

from typing import NamedTuple

from ..data import Examples
from ..data.content import NAMED
from ..data.example import Example
from .facts import Labels, content_key

__all__ = ["Overlap", "overlap_of"]


class Overlap(NamedTuple):
    """Rows of a file whose content stands in an earlier one too.

    Attributes
    ----------
    first, second : str
        The files.
    n_rows : int
        Rows of the second whose content is in the first.
    n_contrary : int
        Those of them that have another label there.
    example : str
        Where one stands in both; of contrary ones if there are any.
    unseen : dict of str to list of str
        By task, labels of the second that no row of the first has.
    """

    first: str
    second: str
    n_rows: int
    n_contrary: int
    example: str
    unseen: dict[str, list[str]]


def overlap_of(
    paths: tuple[str, str],
    examples: tuple[Examples, Examples],
    labels: tuple[dict[str, Labels], dict[str, Labels]],
) -> Overlap:
    """Return what two files have in common; `labels` are those of each by task."""
    known: dict[object, Example] = {}
    for row in examples[0]:
        known.setdefault(content_key(row), row)
    pairs = [(row, known[key]) for row in examples[1] if (key := content_key(row)) in known]
    contrary = [(a, b) for a, b in pairs if (a.label, a.labels) != (b.label, b.labels)]
    shown = (contrary or pairs)[:1]
    example = f"{shown[0][0].source} as {shown[0][1].source}" if shown else ""
    return Overlap(*paths, len(pairs), len(contrary), example, _unseen(*labels))


def _unseen(first: dict[str, Labels], second: dict[str, Labels]) -> dict[str, list[str]]:
    found = {
        task: [name for name in one.counts if name not in first[task].counts]
        for task, one in second.items()
        if task in first and one.target in NAMED and first[task].target in NAMED
    }
    return {task: names for task, names in found.items() if names}
