# SPDX-License-Identifier: Apache-2.0
"""Which columns of a file hold texts and labels, by their names, or else by what stands in them.

A text is the column with the longest fields; a label one whose few values come again. Readers are
told by the options found here, and what was guessed is said, so that it can be said otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ..closest import name_list
from ..data.csv_rows import csv_records
from ..data.files import read_text
from ..data.row_files import json_object
from ..data.text_rows import text_keys
from ..data.white_space import BLANKS, lines_of
from ..errors import DataError

__all__ = ["FoundColumns", "find_columns"]

_TEXTS = (
    *("text", "sentence", "review", "comment", "message", "content", "body", "tweet", "post"),
    *("question", "document", "description", "abstract", "title"),
)
_LABELS = (
    *("label", "labels", "class", "category", "sentiment", "stars", "rating", "score", "target"),
    *("topic", "intent", "emotion", "tag", "y"),
)
_READ_ALIKE = ("text", "texts", "words", "label", "labels", "tags")
"""Keys of JSON lines that their reader knows."""

_LOOKED_AT = 500
"""Rows by which a column is judged."""

_ALIKE = 2
"""How much longer one text of a pair may be than the other, all rows together."""

_SEPARATORS = (",", ";", "\t", "|")


class FoundColumns(NamedTuple):
    """What a reader has to be told of a file.

    Attributes
    ----------
    options : dict
        Its arguments.
    said : str
        What was found, in words; "" where the file's format leaves no choice.
    """

    options: dict[str, Any]
    said: str


def find_columns(
    path: str | os.PathLike[str], texts: Sequence[str] = (), label: str | None = None
) -> FoundColumns:
    """Return what tells a reader where the texts and labels of a file stand.

    Parameters
    ----------
    path : path
        A file of any format that has a reader, or a folder of images.
    texts : sequence of str
        Columns or keys that the user named.
    label : str, optional
        The same for the label.

    Raises
    ------
    DataError
        If no column can be one of labels; it names those that there are.
    OSError
        If the file cannot be read.
    """
    place = Path(path)
    finders: dict[str, Callable[[Path, list[str], str | None], FoundColumns]] = {
        ".csv": _of_csv,
        ".tsv": _of_tabs,
        ".txt": _of_tabs,
        ".jsonl": _of_json_lines,
    }
    find = None if place.is_dir() else finders.get(place.suffix.lower())
    if find is not None:
        return find(place, list(texts), label)
    given = {"text": list(texts) or None, "label": label}
    return FoundColumns({key: value for key, value in given.items() if value}, "")


def _of_csv(path: Path, texts: list[str], label: str | None) -> FoundColumns:
    content = read_text(path)
    names = next((line for line in lines_of(content) if not line.lower().startswith("sep=")), "")
    delimiter = max(_SEPARATORS, key=names.count)  # what cuts the names into most fields
    records = islice(csv_records(content, path, delimiter), _LOOKED_AT + 2)
    rows = [one for _, one in records if not one[0].lower().startswith("sep=")]
    options: dict[str, Any] = {} if delimiter == "," else {"delimiter": delimiter}
    if not texts and label is None and _is_data(rows):
        return _by_number(path, rows, options)
    return _chosen(path, rows[0] if rows else [], rows[1:], texts, label, options)


def _is_data(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the first record is a row as the others are: no names stand in it."""
    first = rows[0] if rows else []
    for at, name in enumerate(first):
        others = {row[at] for row in rows[1:] if at < len(row)}
        if _is_number(name) or (name in others and name.lower() not in (*_TEXTS, *_LABELS)):
            return True
    return False


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _by_number(path: Path, rows: Sequence[Sequence[str]], options: dict[str, Any]) -> FoundColumns:
    """Choose among columns without names: all that are about as long as the longest are texts."""
    columns = {str(at): [row[at] for row in rows if at < len(row)] for at in range(len(rows[0]))}
    lengths = {name: sum(map(len, values)) for name, values in columns.items()}
    texts = [name for name, n in lengths.items() if n * _ALIKE >= max(lengths.values())]
    label = _label_of(columns, texts)
    if label is None:
        raise DataError(
            f"{path}: expected a column of labels, with few values that come again; found "
            f"{len(columns)} columns without names; write a first line with names"
        )
    numbers = [int(name) for name in texts]
    what = f"no names, texts in column {name_list(numbers)}, labels in column {label}"
    text = numbers[0] if len(numbers) == 1 else numbers
    return FoundColumns({**options, "header": False, "text": text, "label": int(label)}, what)


def _of_tabs(path: Path, texts: list[str], label: str | None) -> FoundColumns:
    rows = [line.split("\t") for line in _first_lines(path, _LOOKED_AT + 1)]
    names = rows[0] if rows else []
    known = {one.lower() for one in names} & {*_TEXTS, *_LABELS}
    if texts or label is not None or len(known) > 1 or text_keys(dict.fromkeys(names, "")):
        return _chosen(path, names, rows[1:], texts, label, {"header": True})
    return FoundColumns({}, "")  # text<TAB>label, as its reader has it


def _of_json_lines(path: Path, texts: list[str], label: str | None) -> FoundColumns:
    first = [
        json_object(line, number, f"{path}:{number}")
        for number, line in enumerate(_first_lines(path, _LOOKED_AT), start=1)
    ]
    keys = list(first[0]) if first else []
    told = texts or label is not None
    alike = text_keys(first[0]) if first else ()
    if not told and (alike or {"text", "texts", "words"} & {*keys} & {*_READ_ALIKE}):
        others = [key for key in keys if key in _LABELS and key not in _READ_ALIKE]
        if "text" not in keys or {"label", "labels"} & {*keys} or not others:
            return FoundColumns({}, "")
    plain = [key for key in keys if isinstance(first[0][key], str | int | float)]
    rows = [[str(row.get(key, "")) for key in plain] for row in first]
    return _chosen(path, plain, rows, texts, label, {})


def _first_lines(path: Path, n: int) -> list[str]:
    lines = (line for line in lines_of(read_text(path)) if line.strip(BLANKS))
    return list(islice(lines, n))


def _chosen(
    path: Path,
    names: Sequence[str],
    rows: Sequence[Sequence[str]],
    texts: list[str],
    label: str | None,
    options: dict[str, Any],
) -> FoundColumns:
    """Choose among columns with names what the user has not."""
    columns = {
        name: [row[at] for row in rows if at < len(row)] for at, name in enumerate(names) if name
    }
    if not texts:
        texts = list(text_keys(dict.fromkeys((one for one in columns if one != label), "")))
    if not texts:
        texts = [_text_of({name: one for name, one in columns.items() if name != label}, path)]
    label = _label_of(columns, texts) if label is None else label
    if label is None and len(texts) < 2:
        raise DataError(
            f"{path}: expected a column of labels, with few values that come again; found "
            f"{name_list(names)}; name it with --label"
        )
    text: str | list[str] = texts[0] if len(texts) == 1 else texts
    what = f"texts in {name_list(texts)}, " + (
        "no labels" if label is None else f"labels in {name_list([label])}"
    )
    return FoundColumns({**options, "text": text, "label": label}, what)


def _known(columns: dict[str, list[str]], names: Sequence[str]) -> str | None:
    lower = {name.lower(): name for name in reversed(columns)}
    return next((lower[one] for one in names if one in lower), None)


def _text_of(columns: dict[str, list[str]], path: Path) -> str:
    known = _known(columns, _TEXTS)
    if known is not None:
        return known
    if not columns:
        raise DataError(f"{path}: expected columns with names in the first line; found none")
    return max(columns, key=lambda name: sum(map(len, columns[name])))


def _label_of(columns: dict[str, list[str]], texts: Sequence[str]) -> str | None:
    others = {name: values for name, values in columns.items() if name not in texts}
    known = _known(others, _LABELS)
    if known is not None:
        return known
    few = {name: len({*values}) for name, values in others.items()}
    apart = [name for name, n in few.items() if 1 < n <= max(2, len(others[name]) // 2)]
    return min(apart, key=lambda name: few[name], default=None)
