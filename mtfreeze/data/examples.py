# SPDX-License-Identifier: Apache-2.0
"""Labelled rows: `Example`, one row, and `Examples`, a sequence of them.

A row holds a text, a list of words or several texts, and either one label (of whatever task the
data is given to) or several, by task name. Rows come from the readers or from plain Python lists;
every row remembers its source ("train.tsv:17", "row 3 of train") for the error messages of later
stages. They lie in memory, unless they are those of `stream`: then each is read when it is needed.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, overload

import numpy as np
from numpy.typing import NDArray

from ..checks import (
    as_items,
    as_number,
    check_flag,
    check_integer,
    check_seed,
    check_text,
    typed,
)
from ..closest import did_you_mean, name_list, unknown
from ..errors import ConfigError, DataError
from ..quoting import cut, quoted
from .answers import Answer
from .boxes import Box
from .drawn_rows import drawn_rows
from .example import Example, labelled_for
from .lazy_rows import ChosenRows, JoinedRows, LazyRows, ReadRows, check_kind
from .shown_rows import in_one_line
from .tables import plain_rows
from .unused import Unused

if TYPE_CHECKING:
    from .origin import Origin

__all__ = ["Examples", "Rows", "as_examples", "read_anew", "split_rows"]


class Examples(Sequence[Example]):
    """An immutable sequence of rows of one kind: all texts, words, several texts or images.

    Parameters
    ----------
    rows : iterable of Example
        The rows.
    name : str
        What messages call the data: a file name, ``"train"``.

    Examples
    --------
    >>> data = Examples.from_rows([("good", "positive"), ("bad", "negative")], name="train")
    >>> len(data), data[0].text, data.labels()
    (2, 'good', {'negative': 1, 'positive': 1})
    >>> data[1:]
    Examples(1 text, name='train', labels: negative 1)

    Where rows carry labels of several tasks, the name of one gives its rows:

    >>> both = Examples.from_rows([{"text": "soup", "labels": {"mood": "happy", "topic": "food"}}])
    >>> both["topic"]
    Examples(1 text, name='data', labels: food 1)
    """

    def __init__(self, rows: Iterable[Example], name: str = "data") -> None:
        self._rows: tuple[Example, ...] | LazyRows
        self._rows = rows if isinstance(rows, LazyRows) else tuple(_each_example(rows))
        self._read: dict[object, Examples] = {}
        self._origin: Origin | None = None
        self.name = cut(check_text("name", name))
        for row in self._rows if self.in_memory else ():
            check_kind(row, self._rows[0])

    @classmethod
    def from_rows(cls, rows: Iterable[object], name: str = "data") -> Examples:
        """Build from plain rows: ``(text, label)``, ``(image, label)``, dictionaries and so on.

        Parameters
        ----------
        rows : iterable, or columns
            Pairs, or dictionaries ``{"text": ..., "label": ...}``, ``{"words": [...], "tags":
            [...]}``, ``{"text": ..., "labels": {task: label}}``, or `Example` objects. Rows of
            several texts are ``(text, text, label)``, ``(text, text, text)``, ``{"texts": [...],
            "label": ...}``, or have keys such as ``premise`` and ``hypothesis``; a label may be
            missing there. An image is an array of uint8 (height, width, 3), an image of Pillow, a
            `Picture` or a `pathlib.Path`; a str is a text, but a path under the key ``image``.
            Or a frame of pandas, polars or pyarrow, a data set, or a mapping of
            names to columns, with the columns that such dictionaries have. What else rows hold is
            said in an `UnusedDataWarning`.
        name : str
            What messages call the data.

        Raises
        ------
        TypeError
            If a text, word or label is of the wrong type; the message has the row number.
        DataError
            If a row is incomplete, or words and tags differ in number.
        """
        from .rows import example_from_row

        name = cut(check_text("name", name))
        unused = Unused()
        items = enumerate(_items_of(plain_rows(rows, name), name))
        made = cls((example_from_row(row, f"row {i} of {name}", unused) for i, row in items), name)
        unused.say(name)
        return made

    @classmethod
    def from_texts(cls, texts: Iterable[str], name: str = "data") -> Examples:
        """Build from texts without labels, for heads that need none.

        Raises
        ------
        TypeError
            If an item is no str; its number is named.

        Examples
        --------
        >>> Examples.from_texts(["One text.", "Another."])
        Examples(2 texts, name='data', labels: none)
        """
        from .rows import check_text as checked

        name = cut(check_text("name", name))
        items = enumerate(_items_of(texts, name))
        rows = ((checked(text, f"row {i} of {name}"), f"row {i} of {name}") for i, text in items)
        return cls((Example(text, None, None, None, where) for text, where in rows), name)

    @classmethod
    def from_images(cls, images: Iterable[object], name: str = "data") -> Examples:
        """Build from images without labels: paths (also str), arrays, images of Pillow, `Picture`.

        Raises
        ------
        TypeError, DataError
            If an item is no image; its number is named. Files are not read yet.

        Examples
        --------
        >>> Examples.from_images(["cats/1.jpg", "cats/2.jpg"])
        Examples(2 images, name='data', labels: none)
        """
        from .image_rows import as_picture

        name = cut(check_text("name", name))
        if isinstance(images, str | os.PathLike):
            raise TypeError(
                f"{name}: expected a list of images; found {typed(images)}; give [{quoted(images)}]"
                ", or read a folder with read_images"
            )
        items = enumerate(_items_of(images, name))
        rows = ((as_picture(one, f"row {i} of {name}"), f"row {i} of {name}") for i, one in items)
        return cls((Example(None, None, None, None, at, image=one) for one, at in rows), name)

    @property
    def kind(self) -> str:
        """What rows hold: ``"text"``, ``"words"``, ``"texts"`` for several of them, ``"image"``."""
        return self._rows[0].kind if len(self._rows) else "text"

    @property
    def in_memory(self) -> bool:
        """Whether the rows lie in memory; False for those that `stream` reads as needed."""
        return not isinstance(self._rows, LazyRows)

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that rows carry labels for by name; empty if each has one label."""
        if isinstance(self._rows, LazyRows):
            return self._rows.tasks
        names = dict.fromkeys(name for row in self._rows for name in row.labels or ())
        return tuple(names)

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Example]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice | str) -> Examples: ...
    def __getitem__(self, index: int | slice | str) -> Example | Examples:
        if isinstance(index, str):
            return self._of_task(index)
        if isinstance(index, slice):
            return Examples(self._rows[index], self.name)
        return self._rows[operator.index(index)]

    def __add__(self, other: Examples) -> Examples:
        """Return the rows of both, in order."""
        if not isinstance(other, Examples):
            return NotImplemented
        name = f"{self.name}+{other.name}"
        if isinstance(self._rows, LazyRows) or isinstance(other._rows, LazyRows):
            return Examples(JoinedRows(self._rows, other._rows), name)
        return Examples(self._rows + other._rows, name)

    def select(self, rows: Iterable[int]) -> Examples:
        """Return the rows of these numbers, in the order given.

        Raises
        ------
        TypeError, ConfigError
            If one is no whole number, or no row has it.
        """
        if isinstance(self._rows, LazyRows):
            return Examples(ChosenRows(self._rows, self._numbers_of(rows)), self.name)
        return Examples((self._rows[self._number(i)] for i in _items_of(rows, "rows")), self.name)

    def _of_task(self, task: str) -> Examples:
        """Return the rows that have a label for a task, with that label alone."""
        if task not in self.tasks:
            known = self.tasks
            raise ConfigError(
                f"{self.name}: {unknown('task', task, known)}"
                if known
                else f"{self.name}: expected labels by task, such as those of read_csv(label=[...])"
                f"; found one label a row, and the task {quoted(task)}; use the rows as they are"
            )
        numbers = (i for i, row in enumerate(self._rows) if row.label_for(task) is not None)
        return read_anew(self.select(numbers), partial(labelled_for, task))

    def reread(self, read: Callable[[Example], Example]) -> Examples:
        """Return the rows as `read` makes them, itself where it changes none.

        The same object comes back for the same function, so that tasks share what is made of it.
        """
        if read not in self._read:
            self._read[read] = read_anew(self, read)
            self._read[read]._origin = self._origin  # whoever reads the file reads them so again
        return self._read[read]

    def _number(self, number: object) -> int:
        last = len(self) - 1
        return check_integer("a row number", number, -last - 1, last) % max(len(self), 1)

    def _numbers_of(self, rows: Iterable[int]) -> NDArray[np.int64]:
        """Return row numbers, (n,) int64, counted from the first."""
        if isinstance(rows, np.ndarray) and rows.dtype.kind in "iu" and rows.ndim == 1:
            outside = (rows >= len(self)) | (rows < -len(self))
            if not outside.any():
                return np.asarray(np.where(rows < 0, rows + len(self), rows), np.int64)
        return np.fromiter(map(self._number, _items_of(rows, "rows")), np.int64)

    def labels(self, task: str | None = None) -> dict[str | int | float, int]:
        """Count the labels (of words: tags, of questions: texts of answers, of boxes: theirs).

        Parameters
        ----------
        task : str, optional
            Which task's labels; needed where rows carry several.

        Raises
        ------
        ConfigError
            If rows carry labels by task and `task` is none of them.
        """
        names = self.tasks
        if task is not None:
            check_text("task", task)
        if names and task not in names:
            hint = (
                did_you_mean(task, names)
                if task is not None
                else f"pass labels({quoted(names[0])})"
            )
            raise ConfigError(
                f"rows of {self.name} carry labels of {name_list(names)}; found task "
                f"{quoted(task)}; "
                f"{hint or 'name one of them'}"
            )
        counts: dict[str | int | float, int] = {}
        for row in self._rows:
            label = row.label_for(task or "")
            for one in label if isinstance(label, tuple) else (label,):
                name = one.text if isinstance(one, Answer) else one
                name = name.label if isinstance(name, Box) else name
                if name is not None:
                    counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (isinstance(item[0], str), item[0])))

    def split(
        self, fraction: float, seed: int = 0, stratify: bool = True
    ) -> tuple[Examples, Examples]:
        """Cut into two parts at random, named so; rows keep their order within each part.

        Parameters
        ----------
        fraction : float
            Share of rows in the first part, between 0 and 1.
        seed : int
            The same seed gives the same parts on every machine.
        stratify : bool
            Keep the share of every label equal in both parts as far as whole rows allow. Rows with
            tags are grouped by whether they hold any tag but ``O`` (or index 0).

        Raises
        ------
        TypeError, ConfigError
            If `fraction` is no number between 0 and 1, or another argument does not hold.
        DataError
            If one part would be empty.

        Examples
        --------
        >>> data = Examples.from_rows([(f"text {i}", i % 2) for i in range(10)])
        >>> data.split(0.8)
        (Examples(8 texts, name='data, first 80 %', labels: 0 4, 1 4),
         Examples(2 texts, name='data, other 20 %', labels: 0 1, 1 1))
        """
        return split_rows(self, fraction, seed, stratify)[:2]

    def drawn(self, n_rows: int, seed: int = 0) -> NDArray[np.int64]:
        """Return the numbers of rows drawn with their labels in proportion, in order.

        Parameters
        ----------
        n_rows : int
            How many; all where there are no more.
        seed : int
            The same seed draws the same rows on every machine.

        Returns
        -------
        (n,) int64 array

        Raises
        ------
        TypeError, ConfigError
            If an argument does not hold.

        Examples
        --------
        >>> data = Examples.from_rows([(f"text {i}", i % 2) for i in range(10)])
        >>> data.select(data.drawn(4)).labels()
        {0: 2, 1: 2}
        """
        n_rows, seed = check_integer("n_rows", n_rows, 1), check_seed("seed", seed)
        if n_rows >= len(self):
            return np.arange(len(self), dtype=np.int64)
        share = n_rows / len(self)
        return np.flatnonzero(drawn_rows(self._rows, n_rows, share, seed, stratify=True))

    def __repr__(self) -> str:
        return in_one_line(
            self, self.name, self.kind, self.tasks, self.labels, in_memory=self.in_memory
        )


def read_anew(examples: Examples, read: Callable[[Example], Example]) -> Examples:
    """Return rows as `Examples.reread` does, without keeping them for those who ask again."""
    rows = examples._rows
    if isinstance(rows, LazyRows):
        lazy = ReadRows(rows, read)
        return examples if lazy.same else Examples(lazy, examples.name)
    new = tuple(map(read, rows))
    same = all(one is old for one, old in zip(new, rows, strict=True))
    return examples if same else Examples(new, examples.name)


Rows = Examples | Iterable[object]
"""`Examples`, or plain rows as `Examples.from_rows` takes them."""


def split_rows(
    whole: Examples, fraction: float, seed: int, stratify: bool = True
) -> tuple[Examples, Examples, NDArray[np.bool_]]:
    """Return the parts of `Examples.split`, and which rows are in the first, (n,) bool.

    Raises
    ------
    TypeError, ConfigError, DataError
        As `Examples.split` does.
    """
    share = as_number(fraction)
    if share is None:
        raise TypeError(f"fraction must be a number between 0 and 1; found {typed(fraction)}")
    if not 0.0 < share < 1.0:
        raise ConfigError(f"fraction must be between 0 and 1, both excluded; found {share}")
    seed, stratify = check_seed("seed", seed), check_flag("stratify", stratify)
    n_first = round(share * len(whole))
    if not 0 < n_first < len(whole):
        raise DataError(
            f"{whole.name} has {len(whole)} rows: a part of {share} would hold {n_first}; "
            "use more rows or another fraction"
        )
    chosen = drawn_rows(whole, n_first, share, seed, stratify=stratify)
    first, other = whole.select(np.flatnonzero(chosen)), whole.select(np.flatnonzero(~chosen))
    first.name = cut(f"{whole.name}, first {100 * share:.3g} %")
    other.name = cut(f"{whole.name}, other {100 * (1 - share):.3g} %")
    return first, other, chosen


def as_examples(data: Rows, name: str) -> Examples:
    """Return `data` as non-empty `Examples`.

    Parameters
    ----------
    data : Examples, iterable of rows, or columns
        See `Examples.from_rows`.
    name : str
        What messages call the data.

    Raises
    ------
    TypeError
        If `data` is a path, a text or no iterable of rows.
    DataError
        If there are no rows, or a row does not hold.
    """
    if isinstance(data, Examples):
        examples = data
    elif isinstance(data, str | bytes | bytearray | os.PathLike):
        raise TypeError(
            f"{name}: expected rows of data; found {typed(data)}; read the file "
            "first, for instance with read_tsv or read_conll"
        )
    else:
        examples = Examples.from_rows(data, name)
    if not len(examples):
        raise DataError(f"{name}: expected at least one row; found none; give data or leave it out")
    return examples


def _items_of(rows: object, name: str) -> Iterator[object]:
    """Return the rows one by one; TypeError if there are none to go through."""
    items = as_items(rows)
    if items is None:
        raise TypeError(
            f"{name}: expected rows such as [(text, label), ...] or what read_tsv returns; found "
            f"{typed(rows)}"
        )
    return items


def _each_example(rows: object) -> Iterator[Example]:
    """Yield rows that are ready; TypeError for others."""
    for row in _items_of(rows, "rows"):
        if not isinstance(row, Example):
            raise TypeError(
                f"rows must be Example objects; found {typed(row)}; for pairs and dictionaries "
                "call Examples.from_rows"
            )
        yield row
