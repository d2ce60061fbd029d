# SPDX-License-Identifier: Apache-2.0
"""Several labels a row: what rows and files carry -> one column a label; entities -> label sets.

A row's labels are a list of names or positions, ``[]`` for none of them; one name stands for a list
of it, and a text with separators, as files have it, for the names between them, a separator alone
for none. A row without a label (None) has no target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..errors import DataError
from ..metrics.entities import entity_spans
from ..quoting import quoted
from .answers import Answer
from .boxes import Box
from .example import Example, Label
from .examples import Examples, Rows, as_examples
from .labels import LabelCodes, each_label

__all__ = ["encode_label_sets", "entity_types"]


def encode_label_sets(
    examples: Examples, task: str, names: Sequence[str], head: str, separator: str
) -> NDArray[np.float32]:
    """Encode the labels of each row.

    Parameters
    ----------
    examples : Examples
        The rows.
    task : str
        Which labels, where rows carry several by task.
    names : sequence of str
        The head's labels.
    head : str
        What messages call the head.
    separator : str
        What stands between labels in one text.

    Returns
    -------
    (n, n_labels) float32 array
        1 for a label that the row has, else 0; all NaN for a row without labels for this task.

    Raises
    ------
    DataError
        For an unknown label (with the closest), one that stands twice, numbers that are no
        positions, or data without any labels of the task.
    """
    codes = LabelCodes(names, head)
    result = np.full((len(examples), len(names)), np.nan, dtype=np.float32)
    for i, (row, label) in enumerate(each_label(examples, task)):
        if label is not None:
            result[i] = 0.0
            for one in _parts(label, names, separator):
                code = codes.of(one, row.source)
                if result[i, code]:
                    raise DataError(
                        f"{row.source}: expected each label once; found {quoted(names[code])} "
                        "twice; remove one of them"
                    )
                result[i, code] = 1.0
    return result


def _parts(
    label: Label, names: Sequence[str], separator: str
) -> list[str | int | float | Answer | Box]:
    """Return the labels that stand in one, each a name or a position."""
    if isinstance(label, str):
        if label in names:
            return [label]
        return [part for one in label.split(separator) if (part := one.strip())]
    several = label if isinstance(label, tuple) else (label,)
    # Whole numbers among others come as floats.
    return [
        int(one) if isinstance(one, float) and one.is_integer() else one
        for one in several
        if one is not None
    ]


def entity_types(rows: Rows) -> Examples:
    """Return which types of entities occur in each sentence: entities told of whole texts.

    Parameters
    ----------
    rows : Examples or rows
        Words with IOB2 tags, such as `read_conll` gives.

    Returns
    -------
    Examples
        Texts, the words with spaces between them; their labels are the types, sorted, and empty
        where no entity is. Rows without tags have no labels.

    Raises
    ------
    DataError
        If rows hold no words with one name of a tag each.

    Examples
    --------
    >>> data = [(["Ada", "in", "Rome"], ["B-person", "O", "B-place"]), (["so", "what"], ["O", "O"])]
    >>> [(row.text, row.label) for row in entity_types(data)]
    [('Ada in Rome', ('person', 'place')), ('so what', ())]
    """
    examples = as_examples(rows, "rows")
    return Examples([_of_types(row) for row in examples], examples.name)


def _of_types(row: Example) -> Example:
    tags = row.label
    if row.words is None or row.labels is not None or not isinstance(tags, tuple | None):
        raise DataError(
            f"{row.source}: expected words with one IOB2 tag each; found "
            f"{'several tasks' if row.labels is not None else 'a text or one label'}; give rows "
            "such as read_conll returns"
        )
    if any(not isinstance(tag, str | None) for tag in tags or ()):
        raise DataError(
            f"{row.source}: expected names of tags such as 'B-person'; found positions; give their "
            "names"
        )
    text = " ".join(row.words)
    if tags is None:
        return Example(text, None, None, None, row.source)
    known = ["O" if tag is None else cast(str, tag) for tag in tags]
    types = tuple(sorted({kind for kind, _, _ in entity_spans(known)}))
    return Example(text, None, types, None, row.source)
