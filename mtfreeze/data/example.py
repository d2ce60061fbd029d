# SPDX-License-Identifier: Apache-2.0
"""One labelled row: a text, words or several texts, its label or labels, and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .answers import Answer

__all__ = ["IGNORE", "Example", "Label", "Tags"]

IGNORE = -100
"""Class index of a row or token that has no label; the loss skips it."""

Tags = tuple[str | None, ...] | tuple[int | None, ...]
"""One tag per word, names or indices; None for a word without a label."""

Label = str | int | float | Tags | tuple[float, ...] | tuple[Answer, ...]
"""A label of a text (name or index), a number or several, one tag per word, or answers."""


@dataclass(frozen=True)
class Example:
    """One row of data; it holds a text, or words, or several texts.

    Attributes
    ----------
    text : str or None
        The only text.
    words : tuple of str or None
        The words.
    label : str, int, float, tuple or None
        The only label; for words with tags, one tag per word; for a question, its answers.
    labels : mapping of str to label, or None
        Labels by task name, where the row carries several; a task may be missing.
    source : str
        Where the row comes from, for messages.
    texts : tuple of str or None
        Several texts: a pair, a triplet, a question and its context.
    id : str or None
        What the row's file calls it.

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

    def label_for(self, task: str) -> Label | None:
        """Return the row's label for `task`, None if it carries none."""
        return self.label if self.labels is None else self.labels.get(task)

    @property
    def kind(self) -> str:
        """What the row holds: ``"text"``, ``"words"`` or ``"texts"``."""
        if self.texts is not None:
            return "texts"
        return "words" if self.text is None else "text"

    @property
    def content(self) -> str | tuple[str, ...]:
        """The text, the words or the texts, whichever the row holds."""
        if self.texts is not None:
            return self.texts
        return self.text if self.text is not None else (self.words or ())
