# SPDX-License-Identifier: Apache-2.0
"""Answers of questions: parts of a context, each a text and the character at which it begins.

The label of a question is a tuple of them, any of which is right; ``()`` says that the context
holds no answer. Positions count code points, as indices of a Python str do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ..checks import as_integer, typed
from ..errors import DataError
from ..quoting import quoted

__all__ = [
    "Answer",
    "Answers",
    "check_answer",
    "check_answers",
    "holds_answers",
    "misplaced",
    "stands",
    "where_not",
]


class Answer(NamedTuple):
    """One answer.

    Attributes
    ----------
    text : str
        What it says.
    start : int
        At which character of the context it begins.

    Examples
    --------
    >>> answer = Answer("Denver Broncos", 4)
    >>> "The Denver Broncos won."[answer.start :].startswith(answer.text)
    True
    """

    text: str
    start: int


Answers = tuple[Answer, ...]


def check_answer(value: object, context: str, where: str) -> Answer:
    """Return one answer.

    Parameters
    ----------
    value : Answer, (str, int), mapping or str
        A mapping has the keys ``text`` and ``answer_start`` or ``start``. A str alone must stand in
        the context once.
    context : str
        What it is a part of; whether it stands where it says is not checked here.
    where : str
        How messages call it.

    Raises
    ------
    TypeError
        If it is something else.
    DataError
        If its text is empty, or stands in the context never or several times and has no position.
    """
    if isinstance(value, str):
        return _found(value, context, where)
    if isinstance(value, Mapping):
        key = "start" if "start" in value and "answer_start" not in value else "answer_start"
        missing = next((one for one in ("text", key) if one not in value), None)
        if missing:
            raise DataError(
                f"{where}: expected an answer with the keys 'text' and 'answer_start'; found no "
                f"{quoted(missing)}; add it"
            )
        value = (value["text"], value[key])
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise TypeError(
            f"{where}: expected an answer as (text, start); found {typed(value)}; write its text "
            "and the character of the context at which it begins"
        )
    text, start = value[0], as_integer(value[1])
    if not isinstance(text, str):
        raise TypeError(f"{where}: expected the text of an answer (str); found {typed(text)}")
    if start is None:
        raise TypeError(
            f"{where}: expected the character at which the answer {quoted(text, 60)} begins (int); "
            f"found {typed(value[1])}"
        )
    if not text.strip():
        raise DataError(
            f"{where}: expected the text of an answer; found {quoted(text, 60)}; for a question "
            "without an answer leave the list of answers empty"
        )
    return Answer(text, start)


def _found(text: str, context: str, where: str) -> Answer:
    n = context.count(text) if text.strip() else 0
    if n != 1:
        times = f"it stands there {n} times" if n else "it does not stand there"
        raise DataError(
            f"{where}: expected an answer that stands in the context once; found "
            f"{quoted(text, 60)}: {times}; give (text, start)"
            + ("" if text.strip() else ", or () for a question without an answer")
        )
    return Answer(text, context.index(text))


def check_answers(value: object, context: str, where: str) -> Answers:
    """Return the answers of a question, equal ones once; see `check_answer`.

    Parameters
    ----------
    value
        One answer, a list or tuple of them, or columns ``{"text": [...], "answer_start": [...]}``.
        Empty: the context holds no answer.
    """
    if isinstance(value, Mapping) and isinstance(value.get("text"), Sequence):
        texts, starts = value["text"], value.get("answer_start")
        if not isinstance(texts, str):
            if not isinstance(starts, Sequence) or len(starts) != len(texts):
                raise DataError(
                    f"{where}: expected as many positions as answers; found {len(texts)} texts "
                    f"and 'answer_start' {quoted(starts, 60)}"
                )
            value = list(zip(texts, starts, strict=True))
    if isinstance(value, str | Mapping) or _is_one(value):
        value = [value]
    if not isinstance(value, list | tuple):
        raise TypeError(
            f"{where}: expected answers such as [(text, start)], or () where there is none; found "
            f"{typed(value)}"
        )
    found = (check_answer(one, context, f"{where}, answer {i}") for i, one in enumerate(value))
    return tuple(dict.fromkeys(found))


def _is_one(value: Any) -> bool:
    """Say whether a value is one answer as (text, start) and not several."""
    return (
        isinstance(value, tuple | list)
        and len(value) == 2
        and isinstance(value[0], str)
        and not isinstance(value[1], str | tuple | list | Mapping)
    )


def holds_answers(value: object) -> bool:
    """Say whether a label is answers with their positions, and nothing else that a label may be."""
    if isinstance(value, Mapping):
        return "text" in value and ("start" in value or "answer_start" in value)
    if not isinstance(value, tuple | list) or not value:
        return False
    return _is_one(value) or all(isinstance(one, Mapping) or _is_one(one) for one in value)


def stands(answer: tuple[str, int], context: str) -> bool:
    """Say whether an answer stands in the context where it says."""
    text, start = answer
    return start >= 0 and context.startswith(text, start)


def misplaced(answers: Iterable[tuple[str, int]], context: str) -> list[Answer]:
    """Return those answers that do not stand in the context where they say."""
    return [Answer(*one) for one in answers if not stands(one, context)]


def where_not(answer: Answer, context: str) -> str:
    """Say what stands in the context instead of an answer, and where it does stand."""
    text, start = answer
    there = quoted(context[start : start + len(text)], 60) if 0 <= start < len(context) else ""
    said = f"{quoted(text, 60)} at character {quoted(start, 40)}, where " + (
        f"{there} stands" if there else f"the context of {len(context)} characters has none"
    )
    if not 0 <= start <= 4 * len(context):
        return said
    at = context.find(text)
    for unit, coded in (("bytes", "utf-8"), ("UTF-16 units", "utf-16-le")):
        size = 2 if coded == "utf-16-le" else 1
        before = context[: max(at, 0)].encode(coded, "surrogatepass")
        if at >= 0 and len(before) == start * size and at != start:
            return f"{said}; it begins at {at}: the position counts {unit}, not characters"
    if at < 0:
        return f"{said}; the context does not hold it"
    nearest = min(_places(text, context), key=lambda place: abs(place - start))
    return f"{said}; it begins at {nearest}"


def _places(text: str, context: str) -> Iterable[int]:
    at = context.find(text)
    while at >= 0:
        yield at
        at = context.find(text, at + 1)
