# SPDX-License-Identifier: Apache-2.0
"""Rows of several texts: pairs, triplets, a question and its context; what stands for them.

What plain rows mean is settled by the head. ``("a", "b")`` is a text and its label to most kinds
and a pair to others; ``("a", "b", "c")`` is a triplet, or a pair with the label ``"c"``. So rows
are kept as they came and the head's kind reads them, with `as_pair` or `as_texts`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..checks import typed
from ..closest import name_list
from ..errors import DataError
from ..quoting import quoted
from .answers import check_answers
from .example import Example

__all__ = ["as_pair", "as_question", "as_texts", "check_texts", "text_keys"]

_FAMILIES = (
    ("anchor", "positive", "negative"),
    ("text", "text_pair"),
    ("text_a", "text_b"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("first_text", "second_text"),
    ("sentence1", "sentence2"),
    ("sentence_1", "sentence_2"),
    ("sentence_a", "sentence_b"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("query", "document"),
    ("question", "context"),
)
"""Keys that data sets have several texts of a row under, in the order of the texts."""

_KEYS = frozenset(key for family in _FAMILIES for key in family)

_NUMBERS = {2: "two", 3: "three"}


def text_keys(row: Mapping[str, object]) -> tuple[str, ...]:
    """Return the keys under which a row has its texts, if it has two at least; else nothing.

    Examples
    --------
    >>> text_keys({"premise": "It rains.", "hypothesis": "It is wet.", "label": "neutral"})
    ('premise', 'hypothesis')
    """
    if len(_KEYS.intersection(row)) < 2:  # most rows: spares a look at every family
        return ()
    for family in _FAMILIES:
        present = tuple(key for key in family if isinstance(row.get(key), str))
        if len(present) > 1:
            return present
    return ()


def check_texts(texts: Sequence[object], where: str) -> tuple[str, ...]:
    """Return the texts of one row, two at least, as a tuple.

    Raises
    ------
    TypeError
        If one is no str; its place in the row is named.
    DataError
        If there are fewer than two, or one of them is empty.
    """
    if len(texts) < 2:
        raise DataError(
            f"{where}: expected two texts at least; found {len(texts)}; give a single text as one "
            "str"
        )
    for place, text in enumerate(texts, start=1):
        if not isinstance(text, str):
            raise TypeError(
                f"{where}: expected texts (str); text {place} of {len(texts)} is {typed(text)}; "
                "leave the row out, or write the text"
            )
        if not text.strip():
            raise DataError(
                f"{where}: expected {len(texts)} texts that belong together; text {place} is "
                "empty; add it, or leave the row out"
            )
    return tuple(str(text) for text in texts)


def as_texts(row: Example) -> Example:
    """Return a row as one of several texts: ``(text, text)`` and words with no tags are.

    Raises
    ------
    DataError
        If it holds one text only; the row is named.
    """
    if row.texts is not None:
        return row
    if row.words is not None and not isinstance(row.label, tuple):
        return replace(row, words=None, texts=check_texts(row.words, row.source))
    if row.text is not None and isinstance(row.label, str):
        both = check_texts((row.text, row.label), row.source)
        return replace(row, text=None, label=None, texts=both)
    raise DataError(
        f"{row.source}: expected several texts, such as (text, text); found {_found(row)}; give "
        "the other text, or use a head that reads one"
    )


def as_pair(row: Example) -> Example:
    """Return a row as two texts and their label: ``(text, text, label)`` and its like.

    Raises
    ------
    DataError
        If it holds other than two texts; the row is named.
    """
    if row.text is not None:
        raise DataError(
            f"{row.source}: expected two texts and a label, (text, text, label); found one text "
            f"{quoted(row.text, 60)} with {_label_of(row)}; add the second text; from a file, name "
            'both columns: read_csv(path, text=["premise", "hypothesis"], label="label")'
        )
    row = as_texts(row)
    if _has_third(row):
        texts = row.texts or ()
        return replace(row, texts=texts[:2], label=texts[2])
    return _two_texts(row, "two texts and a label, (text, text, label)")


def as_question(row: Example) -> Example:
    """Return a row as question and context with answers, ``(question, context, answers)``.

    Raises
    ------
    DataError
        If it holds other than two texts and answers; the row is named.
    """
    row = as_texts(row)
    if _has_third(row):
        texts = row.texts or ()
        answers = check_answers(texts[2], texts[1], row.source)
        return replace(row, texts=texts[:2], label=answers)
    return _two_texts(row, "a question, its context and answers, (question, context, answers)")


def _has_third(row: Example) -> bool:
    """Say whether a third text stands where a label would."""
    return len(row.texts or ()) == 3 and row.label is None and row.labels is None


def _two_texts(row: Example, expected: str) -> Example:
    if len(row.texts or ()) != 2:
        raise DataError(
            f"{row.source}: expected {expected}; found {_found(row)}; leave the others out"
        )
    return row


def _found(row: Example) -> str:
    if row.texts is not None:
        return f"{_NUMBERS.get(len(row.texts), len(row.texts))} texts with {_label_of(row)}"
    if row.image is not None:
        return f"an image with {_label_of(row)}"
    what = "one text" if row.text is not None else "words"
    return f"{what} with {_label_of(row)}"


def _label_of(row: Example) -> str:
    if row.labels is not None:
        return f"labels of {name_list(row.labels, 4)}"
    if isinstance(row.label, tuple):
        return f"{len(row.label)} tags" if row.words is not None else f"{len(row.label)} numbers"
    return "no label" if row.label is None else f"the label {quoted(row.label, 60)}"
