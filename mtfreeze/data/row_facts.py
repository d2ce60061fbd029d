# SPDX-License-Identifier: Apache-2.0
"""What is asked of the rows of a data set more than once, and found by going through them once.

Kept as long as the data set lives: which rows have labels, 1 byte a row; numbers that stand for its
texts where these are not in memory, 8 bytes a text.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Sequence
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from .examples import Examples

__all__ = ["have_labels", "texts_or_numbers"]

_known_labelled: WeakKeyDictionary[Examples, dict[str, NDArray[np.bool_]]] = WeakKeyDictionary()
_known_numbers: WeakKeyDictionary[Examples, tuple[array[int], array[int]]] = WeakKeyDictionary()


def have_labels(examples: Examples, task: str) -> NDArray[np.bool_]:
    """Return which rows carry a label for a task, (n,) bool, read-only."""
    known = _known_labelled.setdefault(examples, {})
    found = known.get(task)
    if found is None:
        has = (row.label_for(task) is not None for row in examples)
        found = np.fromiter(has, bool, len(examples))
        found.flags.writeable = False
        known[task] = found
    return found


def texts_or_numbers(
    examples: Examples, rows: NDArray[np.int64] | None = None
) -> Sequence[Sequence[Hashable]]:
    """Return the texts of rows of several texts, or what stands for them: equal for equal texts.

    Of rows that are not in memory these are numbers, which hold for the life of the process.

    Parameters
    ----------
    examples : Examples
    rows : (n,) int64 array, optional
        Numbers of the rows; by default all.
    """
    chosen = range(len(examples)) if rows is None else rows.tolist()
    if examples.in_memory:
        return [examples[row].texts or () for row in chosen]
    found = _known_numbers.get(examples)
    if found is None:
        numbers, ends = array("q"), array("q", [0])
        for row in examples:
            numbers.extend(map(hash, row.texts or ()))
            ends.append(len(numbers))
        found = _known_numbers[examples] = numbers, ends
    numbers, ends = found
    return [tuple(numbers[ends[row] : ends[row + 1]]) for row in chosen]
