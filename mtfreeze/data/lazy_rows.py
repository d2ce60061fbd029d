# SPDX-License-Identifier: Apache-2.0
"""Rows that are made when they are asked for: of a file, chosen from others, or read otherwise.

`Examples` of such rows hold no text. Whoever makes one has been through all rows once, so that a
row that does not hold was found then and not in the middle of a run.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from .example import Example

__all__ = ["ChosenRows", "JoinedRows", "LazyRows", "ReadRows", "RowFacts", "check_kind"]


class RowFacts:
    """What is found out about rows by going through them once: their kind and tasks.

    Attributes
    ----------
    first : Example or None
        The first of them.
    tasks : dict of str
        Names of the tasks that rows carry labels for by name, in the order in which they came.
    """

    def __init__(self) -> None:
        self.first: Example | None = None
        self.tasks: dict[str, None] = {}

    def add(self, row: Example) -> None:
        """Take a row; DataError if it holds something else than those before."""
        if self.first is None:
            self.first = row
        check_kind(row, self.first)
        if row.labels:
            self.tasks.update(dict.fromkeys(row.labels))


def check_kind(row: Example, first: Example) -> None:
    """Refuse a row that holds something else than the first one does."""
    if row.kind != first.kind:
        raise DataError(
            f"expected rows of one kind; {first.source} holds {_kind_of(first)} and "
            f"{row.source} holds {_kind_of(row)}; give them to separate tasks"
        )


def _kind_of(row: Example) -> str:
    kinds = {"words": "words", "text": "a text", "texts": "several texts", "image": "an image"}
    return kinds[row.kind]


class LazyRows(Sequence[Example]):
    """A sequence of rows that is not in memory."""

    _tasks: tuple[str, ...] | None = None

    @property
    def tasks(self) -> tuple[str, ...]:
        """As `Examples.tasks`; looked for once."""
        if self._tasks is None:
            self._tasks = tuple(dict.fromkeys(name for row in self for name in row.labels or ()))
        return self._tasks

    @abstractmethod
    def row(self, number: int) -> Example:
        """Return one row; its number is at least 0 and below the length."""

    def rows(self, numbers: NDArray[np.int64]) -> Iterator[Example]:
        """Yield rows, (n,) int64 numbers that are known to hold, in the order given."""
        return map(self.row, numbers.tolist())

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> LazyRows: ...
    def __getitem__(self, index: int | slice) -> Example | LazyRows:
        if isinstance(index, slice):
            return ChosenRows(self, np.arange(*index.indices(len(self)), dtype=np.int64))
        return self.row(range(len(self))[index])

    def __reduce__(self) -> Any:
        raise TypeError(
            "rows of a file that is read as they are needed cannot be copied or pickled; give the "
            "other process the path, and call stream there"
        )


class ChosenRows(LazyRows):
    """Some rows of others, (n,) int64 numbers, in the order given."""

    def __init__(self, source: LazyRows, numbers: NDArray[np.int64]) -> None:
        self._source: LazyRows = source
        self._numbers = numbers
        if isinstance(source, ChosenRows):
            self._source, self._numbers = source._source, source._numbers[numbers]

    def __len__(self) -> int:
        return len(self._numbers)

    def row(self, number: int) -> Example:
        """Return one row."""
        return self._source.row(int(self._numbers[number]))

    def rows(self, numbers: NDArray[np.int64]) -> Iterator[Example]:
        """Yield rows in the order given."""
        return self._source.rows(self._numbers[numbers])

    def __iter__(self) -> Iterator[Example]:
        return self._source.rows(self._numbers)

    @property
    def tasks(self) -> tuple[str, ...]:
        """As `Examples.tasks`."""
        return super().tasks if self._source.tasks else ()


class ReadRows(LazyRows):
    """Rows as a function reads them.

    Parameters
    ----------
    source : LazyRows
        The rows.
    read : callable
        Called with a row each time that it is asked for.

    Attributes
    ----------
    same : bool
        Whether it changes none.

    Raises
    ------
    DataError
        If it raises one for a row, or gives rows of two kinds.
    """

    def __init__(self, source: LazyRows, read: Callable[[Example], Example]) -> None:
        self._source, self._reading = source, read
        facts, same = RowFacts(), True
        for old in source:
            new = read(old)
            same = same and new is old
            facts.add(new)
        self.same, self._tasks = same, tuple(facts.tasks)

    def __len__(self) -> int:
        return len(self._source)

    def row(self, number: int) -> Example:
        """Return one row."""
        return self._reading(self._source.row(number))

    def rows(self, numbers: NDArray[np.int64]) -> Iterator[Example]:
        """Yield rows in the order given."""
        return map(self._reading, self._source.rows(numbers))

    def __iter__(self) -> Iterator[Example]:
        return map(self._reading, self._source)


class JoinedRows(LazyRows):
    """The rows of several sequences of one kind, in order; some may be in memory."""

    def __init__(self, *parts: Sequence[Example]) -> None:
        self._parts = [part for part in parts if len(part)]
        self._ends = np.cumsum([len(part) for part in self._parts], dtype=np.int64)
        for part in self._parts[1:]:
            check_kind(part[0], self._parts[0][0])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def row(self, number: int) -> Example:
        """Return one row."""
        at = int(np.searchsorted(self._ends, number, side="right"))
        return self._parts[at][number - int(self._ends[at]) + len(self._parts[at])]

    def __iter__(self) -> Iterator[Example]:
        for part in self._parts:
            yield from part
