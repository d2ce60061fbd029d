# SPDX-License-Identifier: Apache-2.0
"""One labelled row: a text or words, its label or labels, and where it comes from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["IGNORE", "Example", "Label", "Tags"]

IGNORE = -100
"""Class index of a row or token that has no label; the loss skips it."""

Tags = tuple[str | None, ...] | tuple[int | None, ...]
"""One tag per word, names or indices; None for a word without a label."""

Label = str | int | float | Tags | tuple[float, ...]
"""A label of a text (name or index), a number or several, or one tag per word."""


@dataclass(frozen=True)
class Example:
    """One row of data.

    Attributes
    ----------
    text : str or None
        The text; None where the row holds words.
    words : tuple of str or None
        The words; None where the row holds a text.
    label : str, int, float, tuple or None
        The only label; for words with tags, one tag per word.
    labels : mapping of str to label, or None
        Labels by task name, where the row carries several; a task may be missing.
    source : str
        Where the row comes from, for messages.

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

    def label_for(self, task: str) -> Label | None:
        """Return the row's label for `task`, None if it carries none."""
        return self.label if self.labels is None else self.labels.get(task)

    @property
    def content(self) -> str | tuple[str, ...]:
        """The text or the words, whichever the row holds."""
        return self.text if self.text is not None else (self.words or ())
