# SPDX-License-Identifier: Apache-2.0
"""`Confusion`: answers of one head, counted by what is right and what was answered."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from ..closest import counted
from ..heads.kind import HeadSpec
from ..heads.told import Told
from ..metrics.scores import confusion_matrix
from ..pictures.confusion import confusion_figure, confusion_text
from ..pictures.writing import Ax, give_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Confusion", "confusion_of"]


@dataclass(frozen=True, repr=False)
class Confusion:
    """Answers of one head, counted; prints as text.

    Attributes
    ----------
    task : str
        The head.
    labels : tuple of str
        Of the head.
    counts : (n, n) or (n, 2, 2) int64 array
        Right label in the row, predicted one in the column. Of sets of labels a matrix a label:
        without it and with it in the row, not given and given in the column.
    unit : str
        What was counted: ``"texts"``, ``"words"``.
    n_lost : int
        Words that truncation cut off, of a head without ``O`` to predict for them; not in `counts`.
    """

    task: str
    labels: tuple[str, ...]
    counts: NDArray[np.int64]
    unit: str
    n_lost: int = 0

    @property
    def title(self) -> str:
        """Above the picture."""
        lost = f" ({counted(self.n_lost, 'word')} cut off and left out)" if self.n_lost else ""
        return f"{self.task}: right and predicted labels{lost}"

    @overload
    def plot(self, path: None = None) -> Figure: ...
    @overload
    def plot(self, path: str | os.PathLike[str]) -> Path: ...
    @overload
    def plot(self, path: None = None, *, ax: Ax) -> Ax: ...
    def plot(self, path: str | os.PathLike[str] | None = None, *, ax: Any = None) -> Any:
        """Draw it.

        Parameters
        ----------
        path : path, optional
            The picture; the ending (.png, .svg, .pdf) says the format. Folders are made.
        ax : Axes, optional
            To draw in; the scale of colours takes a part of its room.

        Returns
        -------
        Figure, Path or Axes
            Without a path a figure of matplotlib, which a notebook shows; with one the file. That
            is without matplotlib (extra ``viz``) a .txt beside it with the same facts, with a
            PictureWarning. Drawn in `ax`, that.

        Raises
        ------
        ConfigError
            If the ending is not that of a known format, or there are a path and `ax`; without a
            path, if matplotlib is missing.

        Examples
        --------
        >>> mtf.evaluate(model, tasks).confusion("ner_head").plot("confusion.svg").name
        'confusion.svg'
        """
        facts = {"title": self.title, "unit": self.unit}
        return give_picture(
            lambda ax: confusion_figure(self.counts, self.labels, **facts, ax=ax),
            lambda: confusion_text(self.counts, self.labels, **facts),
            path,
            ax,
        )

    def __repr__(self) -> str:
        return confusion_text(self.counts, self.labels, title=self.title, unit=self.unit)


def confusion_of(task: str, spec: HeadSpec, told: Told, noun: str = "text") -> Confusion:
    """Count the answers of a head that tells labels; `noun` is what a row of the model is."""
    names, unit = tuple(spec.labels), spec.row_space.items_of(noun)
    if told.gold.ndim == 2:
        gold, predicted = told.gold.astype(np.int64), told.predicted.astype(np.int64)
        each = [confusion_matrix(gold[:, i], predicted[:, i], 2) for i in range(len(names))]
        return Confusion(task, names, np.stack(each), unit)
    there = told.predicted >= 0
    counts = confusion_matrix(told.gold[there], told.predicted[there], len(names))
    return Confusion(task, names, counts, unit, int((~there).sum()))
