# SPDX-License-Identifier: Apache-2.0
"""What a head confuses: its predictions on labelled rows, counted by right and predicted label."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_text
from ..closest import counted
from ..data.examples import Rows, as_examples
from ..data.labels import IGNORE
from ..errors import SelectorError
from ..heads.classes import check_classes
from ..images import Picture
from ..metrics.scores import confusion_matrix
from ..model.state import check_model
from ..pictures.writing import check_ending, write_picture

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["Confusion", "confusion", "plot_confusion"]


@dataclass(frozen=True)
class Confusion:
    """Predictions of one head, counted.

    Attributes
    ----------
    labels : tuple of str
        Of the head.
    counts : (n, n) int64 array
        Right label in the row, predicted one in the column.
    unit : {"texts", "words"}
        What was counted.
    n_lost : int
        Words that truncation cut off, of a head without ``O`` to predict for them; not in `counts`.
    """

    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str
    n_lost: int


def confusion(
    model: MultiTaskModel, head: str, examples: Rows, *, label: str | None = None
) -> Confusion:
    """Predict labelled rows and count; see `plot_confusion`."""
    check_choice("head", head, model.heads, error=SelectorError)
    if label is not None:
        check_text("label", label)
    spec = check_classes(model.heads[head].spec, head, "a picture of what is confused needs")
    data = spec.rows(as_examples(examples, "examples"))
    gold = spec.targets(data, label or head, head).flat()
    predicted: Any = model.predict(head, [_content(row.content) for row in data])
    names = tuple(spec.labels)
    table = {name: i for i, name in enumerate(names)}
    found = spec.row_space.joined(predicted)
    guesses = np.array([table.get(name, -1) for name in found], dtype=np.int64)
    labelled = gold != IGNORE
    there = labelled & (guesses >= 0)
    return Confusion(
        names,
        confusion_matrix(gold[there].astype(np.int64), guesses[there], len(names)),
        spec.row_space.items,
        int((labelled & ~there).sum()),
    )


def _content(content: str | tuple[str, ...] | Picture) -> Any:
    return list(content) if isinstance(content, tuple) else content


def plot_confusion(
    model: MultiTaskModel,
    head: str,
    examples: Rows,
    path: str | os.PathLike[str],
    *,
    label: str | None = None,
) -> Path:
    """Predict labelled rows and draw which labels are taken for which.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed.
    head : str
        The head that predicts: of texts (rows are counted) or of words (words are).
    examples : Examples or rows
        What a reader returns, or plain rows, as for `Task`. Those without a label are left out.
    path : path
        The picture; the ending (.png, .svg, .pdf) says the format. Folders are made.
    label : str, optional
        Under which name rows with several labels carry this one; by default the head's.

    Returns
    -------
    Path
        The file. Without matplotlib the same facts as text, in a .txt file beside it, with a
        PictureWarning.

    Raises
    ------
    SelectorError
        If the head is unknown.
    DataError
        If no row carries a label, or one is not the head's.
    ConfigError
        If the ending is not that of a known format.

    Examples
    --------
    >>> mtf.plot_confusion(model, "ner_head", tasks["ner_head"].eval, "confusion.png").name
    'confusion.png'
    """
    from ..pictures.confusion import confusion_figure, confusion_text

    check_model(model)
    place = check_ending(path)  # before anything is predicted
    found = confusion(model, head, examples, label=label)
    title = f"{head}: right and predicted labels"
    if found.n_lost:
        title += f" ({counted(found.n_lost, 'word')} cut off and left out)"
    return write_picture(
        lambda: confusion_figure(found.counts, found.labels, title=title, unit=found.unit),
        lambda: confusion_text(found.counts, found.labels, title=title, unit=found.unit),
        place,
    )
