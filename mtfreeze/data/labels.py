# SPDX-License-Identifier: Apache-2.0
"""Labels of rows -> class indices of a head, and label maps.

An int is an index and must lie in the head's range; a str must be one of the head's labels. Rows
without a label for a task get `IGNORE`. Tags of a head with IOB2 labels must follow IOB2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..checks import as_integer
from ..closest import name_list, unknown
from ..errors import DataError
from ..metrics.entities import iob2_fault, is_iob2
from .example import Example, Label
from .examples import Examples

__all__ = ["IGNORE", "LabelMap", "encode_labels", "encode_tags", "label_index", "map_labels"]

IGNORE = -100
"""Class index of a row or token that has no label; the loss skips it."""

LabelMap = Mapping[str, str | int | Mapping[str, str | int]]
"""Label in the data -> label name or index; or, by task name, such a mapping each."""


def map_labels(examples: Examples, label_map: LabelMap) -> Examples:
    """Return the rows with every label (for words: every tag) looked up in `label_map`.

    Parameters
    ----------
    examples : Examples
        Labels may be str or int; an int is looked up by its decimal text.
    label_map : mapping
        For rows with several labels either one map for all, or a map of maps by task name; a task
        that the latter leaves out keeps its labels.

    Raises
    ------
    DataError
        If a label is not in the map, naming the row and the closest.
    """
    by_task = any(isinstance(value, Mapping) for value in label_map.values())
    flat = None if by_task else {str(key): value for key, value in label_map.items()}

    def one(label: str | int, table: Mapping[str, object], where: str) -> str | int:
        if str(label) not in table:
            raise DataError(f"{where}: {unknown('label', str(label), table)}; add it to label_map")
        value = table[str(label)]
        name = value if isinstance(value, str) else as_integer(value)
        if name is None:
            raise TypeError(
                f"label_map: expected label names (str) or indices (int); found {value!r}"
            )
        return name

    def whole(label: Label, table: Mapping[str, object], where: str) -> Label:
        if isinstance(label, tuple):
            return tuple(one(tag, table, where) for tag in label)  # type: ignore[return-value]
        return one(label, table, where)

    def table_of(task: str) -> Mapping[str, object] | None:
        table = label_map.get(task)
        return {str(k): v for k, v in table.items()} if isinstance(table, Mapping) else None

    def mapped(row: Example) -> Example:
        if row.labels is not None:
            labels = {}
            for task, label in row.labels.items():
                table = flat if flat is not None else table_of(task)
                labels[task] = label if table is None else whole(label, table, row.source)
            return replace(row, labels=labels)
        if flat is None:
            raise DataError(
                f"{row.source}: expected a label_map from labels to names, since rows carry one "
                f"label; found maps by task {name_list(label_map)}; pass one of them"
            )
        return row if row.label is None else replace(row, label=whole(row.label, flat, row.source))

    return Examples((mapped(row) for row in examples), examples.name)


def label_index(label: str | int, names: Sequence[str], head: str, where: str) -> int:
    """Return the class index of one label.

    Parameters
    ----------
    label : str or int
        A name out of `names`, or an index into it.
    names : sequence of str
        The head's labels.
    head, where : str
        What messages call the head and the row.

    Raises
    ------
    DataError
        If the name is unknown (with the closest) or the index out of range.

    Examples
    --------
    >>> label_index("positive", ["negative", "positive"], "classifier", "row 0")
    1
    """
    if isinstance(label, str):
        try:
            return list(names).index(label)
        except ValueError:
            raise DataError(
                f"{where}: {unknown('label', label, names, of=f'head {head!r}')}"
            ) from None
    if not 0 <= label < len(names):
        raise DataError(
            f"{where}: expected a label index of head {head!r} from 0 to {len(names) - 1}; found "
            f"{label}; number the labels from 0, or give their names"
        )
    return int(label)


def _rows_labels(examples: Examples, task: str) -> list[Label | None]:
    """Return each row's label for `task`; refuse data in which no row has one."""
    known = examples.tasks
    if known and task not in known:
        raise DataError(
            f"{examples.name}: {unknown('task label', task, known)}; rename the head, or pass "
            "Task(label=...) with the name that the rows use"
        )
    labels = [row.label_for(task) for row in examples]
    if all(label is None for label in labels):
        raise DataError(
            f"{examples.name}: expected rows with labels for {task!r}; found {len(labels)} rows "
            "and no label; add labels to the rows"
        )
    return labels


def _proposed_map(labels: Sequence[object], names: Sequence[str]) -> str:
    """Propose a label_map where the data's labels are numbers written as text."""
    found = {label for label in labels if isinstance(label, str)}
    if not found or not all(label.isascii() and label.isdigit() for label in found):
        return ""
    numbers = sorted(found, key=int)
    if int(numbers[-1]) < len(names):
        pairs = {str(i): name for i, name in enumerate(names)}
    elif len(numbers) == len(names):
        pairs = dict(zip(numbers, names, strict=True))
    else:
        return ""
    return f"; if the numbers stand for these labels, read the data with label_map={pairs}"


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
        Class indices; `IGNORE` for a row without a label for this task.

    Raises
    ------
    DataError
        For an unknown label, tags instead of a label, or data without any label of the task.
    """
    labels = _rows_labels(examples, task)
    table: dict[str | int, int] = {name: index for index, name in enumerate(names)}
    result = np.full(len(labels), IGNORE, dtype=np.int32)
    for i, label in enumerate(labels):
        if label is None:
            continue
        where = examples[i].source
        if isinstance(label, tuple):
            raise DataError(
                f"{where}: head {head!r} labels whole texts: expected one label; found "
                f"{len(label)} tags; use a TokenClassification head for tags"
            )
        if label in table:
            result[i] = table[label]
            continue
        try:
            result[i] = label_index(label, names, head, where)
        except DataError as error:
            raise DataError(f"{error}{_proposed_map(labels, names)}") from None
    return result


def encode_tags(
    examples: Examples, task: str, names: Sequence[str], head: str
) -> list[NDArray[np.int32]]:
    """Encode one tag per word.

    Parameters
    ----------
    examples : Examples
        Rows of words.
    task, names, head
        As in `encode_labels`.

    Returns
    -------
    list of (n_words,) int32 arrays
        Class indices by row; all `IGNORE` for a row without tags for this task.

    Raises
    ------
    DataError
        For texts instead of words, an unknown tag (with the closest), a tag that breaks IOB2, or
        data without any tags of the task.
    """
    labels = _rows_labels(examples, task)
    table: dict[str | int, int] = {name: index for index, name in enumerate(names)}
    iob2 = is_iob2(names)
    result = []
    for row, tags in zip(examples, labels, strict=True):
        if row.words is None:
            raise DataError(
                f"{row.source}: head {head!r} labels words: expected (words, tags); found a text; "
                "split the text into words and give one tag per word"
            )
        if tags is None:
            result.append(np.full(len(row.words), IGNORE, dtype=np.int32))
            continue
        if not isinstance(tags, tuple):
            raise DataError(
                f"{row.source}: head {head!r} labels words: expected one tag per word; found the "
                f"label {tags!r}; use a SequenceClassification head for labels of whole texts"
            )
        try:
            codes = [table[t] if t in table else label_index(t, names, head, "") for t in tags]
        except DataError as error:
            flat = [tag for other in labels if isinstance(other, tuple) for tag in other]
            position = next(i for i, tag in enumerate(tags) if not _fits(tag, table, len(names)))
            raise DataError(
                f"{row.source}: word {position} ({row.words[position]!r}){error}"
                f"{_proposed_map(flat, names)}"
            ) from None
        if iob2:
            _check_iob2(row, [names[code] for code in codes])
        result.append(np.asarray(codes, dtype=np.int32))
    return result


def _fits(tag: object, table: Mapping[str | int, int], n_names: int) -> bool:
    return tag in table or (isinstance(tag, int) and 0 <= tag < n_names)


def _check_iob2(row: Example, tags: Sequence[str]) -> None:
    """Raise if an entity of gold tags does not begin with ``B-``."""
    fault = iob2_fault(tags)
    if fault is None:
        return
    position, previous, tag = fault
    word = (row.words or ())[position]
    raise DataError(
        f"{row.source}: word {position} ({word!r}): expected IOB2, where an entity begins with "
        f"'B-{tag[2:]}'; found {tag!r} after {previous!r}; correct the tag, or read the file with "
        "read_conll(scheme='iob1') if it is written in IOB1"
    )
