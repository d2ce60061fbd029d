# SPDX-License-Identifier: Apache-2.0
"""What a head confuses: its predictions on labelled rows, counted by right and predicted label."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..checks import check_choice, check_text
from ..data.examples import Rows, as_examples
from ..errors import ConfigError, SelectorError
from ..heads.task import Task
from ..heads.told import LABEL, LABELS
from ..model.state import check_model
from ..pictures.writing import Ax, check_place
from ..quoting import quoted
from .confusion_counts import Confusion, confusion_of
from .evaluate import evaluate_rows

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..multi_task_model import MultiTaskModel

__all__ = ["confusion", "plot_confusion"]


def confusion(
    model: MultiTaskModel, head: str, examples: Rows, *, label: str | None = None
) -> Confusion:
    """Predict labelled rows and count; see `plot_confusion`."""
    check_choice("head", head, model.heads, error=SelectorError)
    if label is not None:
        check_text("label", label)
    spec = model.heads[head].spec
    if spec.tells not in (LABEL, LABELS):
        raise ConfigError(
            "a picture of what is confused needs labels to tell apart; found "
            f"{quoted(head)}, a {spec.kind} head, which has none; leave it out"
        )
    task = Task(eval=as_examples(examples, "examples"), label=label)
    outcome = evaluate_rows(model, {head: task}, told=True)[head]
    assert outcome.told is not None
    return confusion_of(head, spec, outcome.told, model.noun)


@overload
def plot_confusion(
    model: MultiTaskModel,
    head: str,
    examples: Rows,
    path: None = None,
    *,
    label: str | None = None,
) -> Figure: ...
@overload
def plot_confusion(
    model: MultiTaskModel,
    head: str,
    examples: Rows,
    path: str | os.PathLike[str],
    *,
    label: str | None = None,
) -> Path: ...
@overload
def plot_confusion(
    model: MultiTaskModel,
    head: str,
    examples: Rows,
    path: None = None,
    *,
    label: str | None = None,
    ax: Ax,
) -> Ax: ...
def plot_confusion(
    model: MultiTaskModel,
    head: str,
    examples: Rows,
    path: str | os.PathLike[str] | None = None,
    *,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Predict labelled rows and draw which labels are taken for which.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed.
    head : str
        The head that predicts: one label, or any number, of texts, pairs or images (rows are
        counted), or of words (words are).
    examples : Examples or rows
        What a reader returns, or plain rows, as for `Task`. Those without a label are left out.
    path : path, optional
        The picture; the ending (.png, .svg, .pdf) says the format. Folders are made.
    label : str, optional
        Under which name rows with several labels carry this one; by default the head's.
    ax : Axes, optional
        To draw in; the scale of colours takes a part of its room.

    Returns
    -------
    Figure, Path or Axes
        Without a path a figure of matplotlib, which a notebook shows; with one the file. That is
        without matplotlib (extra ``viz``) a .txt beside it with the same facts, with a
        PictureWarning. Drawn in `ax`, that.

    Raises
    ------
    SelectorError
        If the head is unknown.
    DataError
        If no row carries a label, or one is not the head's.
    ConfigError
        If the ending is not that of a known format, or there are a path and `ax`; without a path,
        if matplotlib is missing.

    Examples
    --------
    >>> mtf.plot_confusion(model, "ner_head", tasks["ner_head"].eval, "confusion.png").name
    'confusion.png'
    """
    check_model(model)
    check_place(path, ax)  # before anything is predicted
    counts = confusion(model, head, examples, label=label)
    draw: Any = counts.plot
    return draw(path, ax=ax)
