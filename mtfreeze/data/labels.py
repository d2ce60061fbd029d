# SPDX-License-Identifier: Apache-2.0
"""Labels of rows, by the name of the task, and their codes: positions among the names of a list.

A str must be one of the names. An int is a position, unless a name looks like a number: then it is
that name, because whoever counts from 1 would else train everything one class off.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..closest import counted, name_list, unknown
from ..errors import DataError
from ..quoting import quoted
from .answers import Answer
from .boxes import Box
from .example import IGNORE, Example, Label
from .examples import Examples
from .row_facts import have_labels

__all__ = ["IGNORE", "LabelCodes", "each_label", "encode_labels", "proposed_map"]

_MANY = 20
"""Labels for which a whole map is proposed; a longer one is not read."""

_LEADING = re.compile(r"\s*(\d{1,9})(?![\w.,])")
"""The number in names such as ``"1 star"`` or ``"2-door"``; that of ``"3D"`` is part of a word."""


class LabelCodes:
    """Looks labels up among the names of a head.

    Parameters
    ----------
    names : sequence of str
        The head's labels, in the order of their codes.
    head : str
        What messages call the head.

    Examples
    --------
    >>> codes = LabelCodes(["negative", "positive"], "classifier")
    >>> codes.of("positive", "row 0"), codes.of(0, "row 1")
    (1, 0)
    >>> LabelCodes(["1", "2", "3"], "stars").of(1, "row 0")
    0
    """

    def __init__(self, names: Sequence[str], head: str) -> None:
        self._names = tuple(names)
        self._head = head
        self._codes = {name: code for code, name in enumerate(self._names)}
        self._numbers = [name for name in self._names if _is_number(name)]
        leading = (_LEADING.match(name) for name in self._names)
        self._leading = [None if found is None else int(found[1]) for found in leading]

    def of(self, label: str | int | float | Answer | Box, where: str) -> int:
        """Return the code of one label; `where` is what messages call its row.

        Raises
        ------
        DataError
            If the name is unknown (with the closest), the number out of range or no whole one, or
            if it could be a name as well as a position.
        """
        if isinstance(label, str):
            if label not in self._codes:
                of = f"head {quoted(self._head)}"
                raise DataError(f"{where}: {unknown('label', label, self._names, of=of)}")
            return self._codes[label]
        if isinstance(label, float):
            raise DataError(
                f"{where}: expected a label name (str) or index (int); found float {label}; write "
                "the label's name, or use a head for numbers"
            )
        if isinstance(label, Answer):
            raise DataError(
                f"{where}: expected a label name (str) or index (int); found the answer of a "
                "question; give a label, or use a QuestionAnswering head"
            )
        if isinstance(label, Box):
            raise DataError(
                f"{where}: expected a label name (str) or index (int); found boxes of an image; "
                "give the labels of the whole image, such as those of its boxes"
            )
        if self._numbers:
            return self._of_number(label, where)
        if not 0 <= label < len(self._names):
            raise DataError(
                f"{where}: expected a label index of head {quoted(self._head)} from 0 to "
                f"{len(self._names) - 1}; found {quoted(label)}; number the labels from 0, or give "
                "their names"
            )
        if self._leading[label] != label and label in self._leading:
            other = self._names[self._leading.index(label)]
            raise DataError(
                f"{where}: expected the name of a label of head {quoted(self._head)}; found "
                f"{label}, which may be the position of {quoted(self._names[label])} or stand for "
                f"{quoted(other)}; write the names, or map the numbers with label_map"
            )
        return int(label)

    def _of_number(self, label: int, where: str) -> int:
        """Return the code of a number where names are numbers: it is a name, not a position."""
        name = str(label) if label.bit_length() < 64 else quoted(label)
        if name in self._codes:
            return self._codes[name]
        raise DataError(
            f"{where}: expected a label of head {quoted(self._head)}, whose labels are numbers "
            f"({name_list(self._numbers, 4)}), so that {name} is a name and not a position; found "
            "no such label; write the label's name"
        )


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False


def each_label(examples: Examples, task: str) -> Iterator[tuple[Example, Label | None]]:
    """Return rows one by one, each with its label for `task`.

    Raises
    ------
    DataError
        At the call, if no row has one.
    """
    known = examples.tasks
    if known and task not in known:
        raise DataError(
            f"{examples.name}: {unknown('task label', task, known)}; rename the head, or pass "
            "Task(label=...) with the name that the rows use"
        )
    if not have_labels(examples, task).any():
        raise DataError(
            f"{examples.name}: expected rows with labels for {quoted(task)}; found "
            f"{counted(len(examples), 'row')} and no label; add labels to the rows"
        )
    return ((row, row.label_for(task)) for row in examples)


def encode_labels(
    examples: Examples, task: str, names: Sequence[str], head: str
) -> NDArray[np.int32]:
    """Encode one label a row.

    Parameters
    ----------
    examples : Examples
        The rows.
    task : str
        Which label, where rows carry several.
    names : sequence of str
        The head's labels.
    head : str
        What messages call the head.

    Returns
    -------
    (n,) int32 array
        Codes; `IGNORE` for a row without a label for this task.

    Raises
    ------
    DataError
        For an unknown label, several labels or tags instead of one, or data without any label of
        the task.
    """
    labels = each_label(examples, task)
    codes = LabelCodes(names, head)
    result = np.full(len(examples), IGNORE, dtype=np.int32)
    for i, (row, label) in enumerate(labels):
        if label is None:
            continue
        if isinstance(label, tuple):
            whole = "texts" if row.image is None else "images"
            raise DataError(
                f"{row.source}: head {quoted(head)} labels whole {whole}: expected one "
                "label; found "
                + (
                    f"{counted(len(label), _item_of(label))}; use a MultiLabelClassification head "
                    "for several labels, a Regression head for numbers"
                    if row.words is None
                    else f"{len(label)} tags; use a TokenClassification head for tags"
                )
            )
        try:
            result[i] = codes.of(label, row.source)
        except DataError as error:
            found = (one.label_for(task) for one in examples)
            raise DataError(f"{error}{proposed_map(found, names)}") from None
    return result


def _item_of(label: tuple[object, ...]) -> str:
    return "number" if label and all(isinstance(one, float) for one in label) else "label"


def proposed_map(labels: Iterable[object], names: Sequence[str]) -> str:
    """Propose a label_map where the data's labels are numbers written as text."""
    found = {label for label in labels if isinstance(label, str)}
    if not all(label.isascii() and label.isdigit() and len(label) < 10 for label in found):
        return ""
    if not found or len(found) > _MANY or len(names) > _MANY:
        return ""
    numbers = sorted(found, key=int)
    if int(numbers[-1]) < len(names):
        pairs = {str(i): name for i, name in enumerate(names)}
    elif len(numbers) == len(names):
        pairs = dict(zip(numbers, names, strict=True))
    else:
        return ""
    return f"; if the numbers stand for these labels, read the data with label_map={pairs}"
