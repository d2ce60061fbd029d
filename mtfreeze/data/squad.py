# SPDX-License-Identifier: Apache-2.0
"""SQuAD's JSON, versions 1.1 and 2.0 -> rows of (question, context) with answers.

    {"data": [{"paragraphs": [{"context": ..., "qas": [
        {"id": ..., "question": ..., "answers": [{"text": ..., "answer_start": ...}]}]}]}]}

Version 2.0 adds ``is_impossible``: such a question has no answer, and its ``plausible_answers`` are
none. A question without the key ``answers`` has no label, as in files that are only to be answered.
Questions of one context share its text in memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..checks import as_flag, check_flag, check_path, typed
from ..closest import counted
from ..errors import DataError
from ..files.json_files import check_json_size
from ..notices import UnusedDataWarning, warn
from ..quoting import cut, quoted
from .answers import Answers, check_answers, misplaced, stands, where_not
from .example import Example
from .examples import Examples
from .files import read_text
from .origin import came_from

__all__ = ["read_squad"]


def read_squad(path: Any, *, skip_misplaced: bool = False) -> Examples:
    """Read questions about contexts from SQuAD's JSON, version 1.1 or 2.0.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    skip_misplaced : bool
        Leave out answers that do not stand in their context at ``answer_start`` (counted in code
        points), and questions of which no answer is left, with a warning that counts both. By
        default they are an error.

    Returns
    -------
    Examples
        A row a question: `texts` is (question, context), `label` a tuple of answers, each
        (text, start); equal ones once, overlapping ones as they are, all of them right. ``()``: the
        question has no answer. None: the file has none for it. `id` is the question's.

    Raises
    ------
    DataError
        For a file that is no such JSON (the place in it is named), a question twice, answers of a
        question that is said to have none, answers that do not stand in their context (how many,
        and the first of them), an empty file, a file that is not UTF-8.
    OSError
        If the file cannot be read.

    Warns
    -----
    UnusedDataWarning
        If answers or questions were left out.

    Examples
    --------
    >>> import json
    >>> from pathlib import Path
    >>> question = {"id": "q1", "question": "Who won?",
    ...             "answers": [{"text": "Denver", "answer_start": 4}]}
    >>> paragraph = {"context": "The Denver Broncos won.", "qas": [question]}
    >>> n = Path("squad.json").write_text(json.dumps({"data": [{"paragraphs": [paragraph]}]}))
    >>> row = read_squad("squad.json")[0]
    >>> row.texts, row.label, row.id
    (('Who won?', 'The Denver Broncos won.'), (Answer(text='Denver', start=4),), 'q1')
    """
    skip = check_flag("skip_misplaced", skip_misplaced)
    name = check_path("path", path).name
    rows = list(_rows(_parsed(read_text(path), str(path)), str(path)))
    kept = _in_place(rows, str(path), skip)
    if not kept:
        raise DataError(f"{path}: expected questions; found none" + _all_left_out(len(rows)))
    made = Examples(kept, name)
    return came_from(made, read_squad, path, skip_misplaced=skip_misplaced)


def _all_left_out(n: int) -> str:
    return f" of {n} whose answers stand in their contexts; correct answer_start" if n else ""


def _parsed(text: str, where: str) -> Any:
    """Return the values of JSON text; a key twice in one object would drop what it held before."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            times = Counter(key for key, _ in pairs)
            twice = next(key for key, n in times.items() if n > 1)
            raise ValueError(f"the key {quoted(twice, 60)} stands in an object twice; remove one")
        return table

    try:
        check_json_size(text, None)
        return json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        hint = "; for one object a line call read_jsonl" if error.msg == "Extra data" else ""
        raise DataError(
            f"{where}:{error.lineno}: expected JSON as SQuAD has it; found an error in column "
            f"{error.colno} ({error.msg}){hint or '; correct the file or fetch it again'}"
        ) from None
    except RecursionError:
        raise DataError(
            f"{where}: expected JSON as SQuAD has it; found it nested too deeply; fetch it again"
        ) from None
    except ValueError as error:
        raise DataError(
            f"{where}: cannot be read as JSON: {cut(str(error))}; correct the file or fetch it "
            "again"
        ) from None


def _rows(root: Any, path: str) -> Iterator[Example]:
    """Yield the questions of a file; their answers may stand elsewhere than they say."""
    seen: dict[str, str] = {}
    for article, where in _items(root, "data", path, path):
        for paragraph, inside in _items(article, "paragraphs", where, path):
            context = _text(paragraph, "context", inside)
            for question, place in _items(paragraph, "qas", inside, path):
                row = _question(question, context, place)
                if row.id is not None and seen.setdefault(row.id, place) != place:
                    raise DataError(
                        f"{place}: expected every question once; found the id {quoted(row.id, 60)} "
                        f"also at {seen[row.id]}; remove one"
                    )
                yield row


def _items(value: Any, key: str, where: str, path: str) -> Iterator[tuple[Any, str]]:
    """Yield the items of a list that an object must have, and where each stands."""
    root = where == path
    found = _member(value, key, where)
    if not isinstance(found, list):
        raise DataError(f"{where}: expected a list under {quoted(key)}; found {typed(found)}")
    for i, one in enumerate(found):
        yield one, f"{where}: {key}[{i}]" if root else f"{where}.{key}[{i}]"


def _member(value: Any, key: str, where: str) -> Any:
    if not isinstance(value, dict):
        raise DataError(
            f"{where}: expected an object with {quoted(key)}, as SQuAD's files have; found "
            f"{typed(value)}"
        )
    if key not in value:
        others = ", ".join(quoted(one, 30) for one in list(value)[:6]) or "nothing"
        raise DataError(
            f"{where}: expected the key {quoted(key)}, as SQuAD's files have; found {others}"
        )
    return value[key]


def _text(value: Any, key: str, where: str) -> str:
    found = _member(value, key, where)
    if not isinstance(found, str):
        raise DataError(f"{where}: expected text under {quoted(key)}; found {typed(found)}")
    return found


def _question(value: Any, context: str, where: str) -> Example:
    question = _text(value, "question", where)
    given = value.get("id")
    if given is not None and not isinstance(given, str | int):
        raise DataError(f"{where}: expected text under 'id'; found {typed(given)}")
    impossible = as_flag(value.get("is_impossible", False))
    if impossible is None:
        raise DataError(
            f"{where}: expected true or false under 'is_impossible'; found "
            f"{typed(value['is_impossible'])}"
        )
    label: Answers | None = () if impossible else None
    if value.get("answers") is not None:
        try:
            label = check_answers(value["answers"], context, where)
        except TypeError as error:
            raise DataError(str(error)) from None
        if impossible and label:
            raise DataError(
                f"{where}: expected no answers of a question that is_impossible; found "
                f"{quoted(label[0].text, 60)}; remove one of the two"
            )
    name = None if given is None else str(given)
    return Example(None, None, label, None, where, (question, context), name)


def _in_place(rows: list[Example], path: str, skip: bool) -> list[Example]:
    """Return the rows whose answers stand where they say; the others are counted, or refused."""
    kept, n_answers, first = [], 0, ""
    lost, touched = 0, 0
    for row in rows:
        context = (row.texts or ("", ""))[1]
        answers: Any = row.label or ()
        wrong = misplaced(answers, context)
        if not wrong:
            kept.append(row)
            continue
        first = first or f"{row.source}: {where_not(wrong[0], context)}"
        n_answers, touched = n_answers + len(wrong), touched + 1
        left = tuple(one for one in answers if stands(one, context))
        if left:
            kept.append(Example(None, None, left, None, row.source, row.texts, row.id))
        lost += not left
    if touched and not skip:
        raise DataError(
            f"{path}: expected every answer in its context at answer_start; found "
            f"{counted(n_answers, 'answer')} of {touched} of {counted(len(rows), 'question')} "
            f"elsewhere, the first at {first}; correct them, or pass skip_misplaced=True to leave "
            "them out"
        )
    if touched:
        warn(
            f"{path}: left out {counted(n_answers, 'answer')} that do not stand in their contexts, "
            f"and {counted(lost, 'question')} of {len(rows)} of which none is left; the first: "
            f"{first}",
            UnusedDataWarning,
        )
    return kept
