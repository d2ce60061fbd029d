# SPDX-License-Identifier: Apache-2.0
"""Labels of rows, by the name of the task, and class indices of labels.

An int is an index and must lie in the head's range; a str must be one of the head's labels.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..closest import unknown
from ..data.example import Label
from ..data.examples import Examples
from ..errors import DataError
from ..quoting import quoted

__all__ = ["label_index", "proposed_map", "rows_labels"]


def rows_labels(examples: Examples, task: str) -> list[Label | None]:
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
            f"{examples.name}: expected rows with labels for {quoted(task)}; found {len(labels)} "
            "rows "
            "and no label; add labels to the rows"
        )
    return labels


def label_index(label: str | int | float, names: Sequence[str], head: str, where: str) -> int:
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
        If the name is unknown (with the closest), the index out of range, or a number no index.

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
                f"{where}: {unknown('label', label, names, of=f'head {quoted(head)}')}"
            ) from None
    if isinstance(label, float):
        raise DataError(
            f"{where}: expected a label name (str) or index (int); found float {label}; write the "
            "label's name, or use a head for numbers"
        )
    if not 0 <= label < len(names):
        raise DataError(
            f"{where}: expected a label index of head {quoted(head)} from 0 to {len(names) - 1}; "
            "found "
            f"{quoted(label)}; number the labels from 0, or give their names"
        )
    return int(label)


def proposed_map(labels: Sequence[object], names: Sequence[str]) -> str:
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
