# SPDX-License-Identifier: Apache-2.0
"""One labelled row: text, words, several texts or an image, its label or labels, its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ..images import Picture
from .answers import Answer
from .boxes import Box

__all__ = ["IGNORE", "Example", "Label", "Tags", "labelled_for"]

IGNORE = -100
"""Class index of a row or token that has no label; the loss skips it."""

Tags = tuple[str | None, ...] | tuple[int | None, ...]
"""One tag per word, names or indices; None for a word without a label."""

Label = str | int | float | Tags | tuple[float, ...] | tuple[Answer, ...] | tuple[Box, ...]
"""A label (name or index), a number or several, one tag per word, answers, or boxes of an image."""


@dataclass(frozen=True)
class Example:
    """One row of data; it holds a text, or words, or several texts, or an image.

    Attributes
    ----------
    text : str or None
        The only text.
    words : tuple of str or None
        The words.
    label : str, int, float, tuple or None
        The only label; for words with tags, one tag per word; for a text with several labels, all;
        for a question, its answers; for an image with things marked on it, their boxes.
    labels : mapping of str to label, or None
        Labels by task name, where the row carries several; a task may be missing.
    source : str
        Where the row comes from, for messages.
    texts : tuple of str or None
        Several texts: a pair, a triplet, a question and its context.
    id : str or None
        What the row's file calls it.
    image : Picture or None
        The image.

    Examples
    --------
    >>> from mtfreeze.data import Examples
    >>> row = Examples.from_rows([("good", "positive")], name="train")[0]
    >>> row.text, row.label, row.source
    ('good', 'positive', 'row 0 of train')
    """

    text: str | None
    words: tuple[str, ...] | None
    label: Label | None
    labels: Mapping[str, Label] | None
    source: str
    texts: tuple[str, ...] | None = None
    id: str | None = None
    image: Picture | None = None

    def label_for(self, task: str) -> Label | None:
        """Return the row's label for `task`, None if it carries none."""
        return self.label if self.labels is None else self.labels.get(task)

    @property
    def kind(self) -> str:
        """What the row holds: ``"text"``, ``"words"``, ``"texts"`` or ``"image"``."""
        if self.image is not None:
            return "image"
        if self.texts is not None:
            return "texts"
        return "words" if self.text is None else "text"

    @property
    def content(self) -> str | tuple[str, ...] | Picture:
        """The text, the words, the texts or the image, whichever the row holds."""
        if self.image is not None:
            return self.image
        if self.texts is not None:
            return self.texts
        return self.text if self.text is not None else (self.words or ())


def labelled_for(task: str, row: Example) -> Example:
    """Return a row with its label for one task alone."""
    return replace(row, label=row.label_for(task), labels=None)
