# SPDX-License-Identifier: Apache-2.0
"""Files of one row a line, TSV and JSON lines -> rows; where each stands is in its source."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from ..checks import check_each, check_flag
from ..checks import check_text as check_name
from ..closest import name_list, unknown
from ..errors import ConfigError, DataError
from ..files.json_files import check_json_size
from ..quoting import cut, quoted
from .example import Example
from .faults import OnFault, raised
from .files import filled_lines, read_lines, read_text
from .rows import example_from_row, is_list
from .unused import Unused, is_missing
from .white_space import BLANKS

__all__ = [
    "check_header",
    "json_object",
    "jsonl_row",
    "jsonl_rows",
    "named_keys",
    "renamed",
    "shown_line",
    "tsv_row",
    "tsv_rows",
]

PathLike = str | os.PathLike[str]

_HEADER_NAMES = 2
"""Of a TSV: its text and its label."""


def shown_line(line: str) -> str:
    """Return the beginning of a line, as a message shows it."""
    return quoted(line if len(line) <= 60 else line[:57] + "...")


def tsv_rows(path: PathLike, header: bool, on_fault: OnFault = raised) -> Iterator[Example]:
    """Yield the rows of a TSV; see `read_tsv` for what it raises.

    Without a header a TAB before the last belongs to the text. A header says how many fields there
    are: more in a line would make one column part of another.
    """
    header = check_flag("header", header)
    for number, line in enumerate(read_lines(path), start=1):
        where = f"{path}:{number}"
        if header and number == 1:
            check_header(line, where)
            continue
        if not line.strip(" "):
            continue
        try:
            row = tsv_row(line, where, header)
        except DataError as fault:
            on_fault(fault)
            continue
        yield row


def tsv_row(line: str, where: str, header: bool) -> Example:
    """Return the row of a line."""
    text, tab, label = line.rpartition("\t")
    if not tab:
        raise DataError(
            f"{where}: expected text<TAB>label; found no TAB in {shown_line(line)}; "
            "add the label, or read the file with read_csv(delimiter=...)"
        )
    if header and "\t" in text:
        raise DataError(
            f"{where}: expected {_HEADER_NAMES} fields, as the header names; found "
            f"{line.count(chr(9)) + 1} in {shown_line(line)}; take the TABs out of the text, "
            "or remove the header and leave header= out"
        )
    if not label.strip(BLANKS):
        raise DataError(
            f"{where}: expected a label after the last TAB; found none in {shown_line(line)}; "
            "add the label or remove the line"
        )
    return Example(text, None, label.strip(BLANKS), None, where)


def check_header(line: str, where: str) -> None:
    """Refuse a first line that does not hold two names."""
    names = line.split("\t")
    if len(names) != _HEADER_NAMES:
        raise DataError(
            f"{where}: expected a header of {_HEADER_NAMES} names, text<TAB>label; found "
            f"{len(names)} in {shown_line(line)}; choose columns with "
            'read_csv(path, delimiter="\\t", text=..., label=...)'
        )


Keys = tuple[tuple[str, ...], str | tuple[str, ...] | None]
"""Keys of the text or texts of a row, and of its label, or of its labels by task."""


def named_keys(text: object, label: object) -> Keys:
    """Return the keys that the user names for text or texts, and label or labels.

    Raises
    ------
    TypeError, ConfigError
        If they are no names, there is no text among them, or one stands for two things.
    """
    listed = [text] if isinstance(text, str) else text
    texts = tuple(check_each("text", listed, check_name, of="keys (str)", example='["a", "b"]'))
    labels: str | tuple[str, ...] | None = None
    if isinstance(label, list | tuple):
        example = '["sentiment", "topic"]'
        labels = tuple(check_each("label", label, check_name, of="keys (str)", example=example))
    elif label is not None:
        labels = check_name("label", label)
    if not texts or labels == () or (labels is None and len(texts) < 2):
        raise ConfigError(
            "expected keys of several texts, or of one text and a label; found "
            f"text={quoted(text)}, label={quoted(label)}; name them"
        )
    named = [*texts, *_each(labels)]
    if len(set(named)) < len(named):
        raise ConfigError(
            f"texts and labels must have different keys; found {name_list(named)}; pass another"
        )
    return texts, labels


def _each(labels: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the keys of labels as a tuple."""
    return (labels,) if isinstance(labels, str) else labels or ()


def renamed(row: Mapping[str, Any], keys: Keys, where: str, what: str = "key") -> dict[str, Any]:
    """Return a row with what the user named under the keys that are read.

    Parameters
    ----------
    row : mapping
        The row.
    keys
        From `named_keys`. A list under the only text's key is words, and its label their tags.
    where, what : str
        What messages call the row, and its keys.

    Raises
    ------
    DataError
        If a key is missing (names the closest), or no task has a label.
    """
    texts, labels = keys
    for key in (*texts, *_each(labels)):
        if key not in row:
            advice = "write it into the row" if what == "key" else "pass its name"
            raise DataError(f"{where}: {unknown(what, key, row)}; {advice}")
    rest = {key: value for key, value in row.items() if key not in (*texts, *_each(labels))}
    of_words = len(texts) == 1 and not isinstance(row[texts[0]], str) and is_list(row[texts[0]])
    content = {"texts": [row[k] for k in texts]}
    if len(texts) == 1:
        content = {"words" if of_words else "text": row[texts[0]]}
    if labels is None:
        return rest | content
    if isinstance(labels, str):
        return rest | content | {"tags" if of_words else "label": row[labels]}
    found = {key: row[key] for key in labels if not _is_none(row[key])}
    if not found:
        raise DataError(
            f"{where}: expected a label under one of {name_list(labels)}; found none; add it or "
            "leave the row out"
        )
    return rest | content | {"labels": found}


def _is_none(label: object) -> bool:
    """Say whether a task has no label here: nothing, or an empty field."""
    return is_missing(label) or label == ""


def jsonl_rows(
    path: PathLike, keys: Keys | None = None, on_fault: OnFault = raised
) -> Iterator[Example]:
    """Yield the rows of JSON lines; see `read_jsonl` for arguments and what it raises."""
    unused = Unused()
    for where, number, line in filled_lines(path, read_text(path)):
        try:
            row = jsonl_row(line, number, where, keys, unused)
        except DataError as error:
            on_fault(error)
            continue
        yield row
    unused.say(cut(str(path)))


def jsonl_row(line: str, number: int, where: str, keys: Keys | None, unused: Unused) -> Example:
    """Return the row of a line, which is number `number` of its file.

    Raises
    ------
    DataError
        If it does not hold.
    """
    try:
        given = json_object(line, number, where)
        given = given if keys is None else renamed(given, keys, where)
        row = example_from_row(given, where, unused)
    except TypeError as error:
        raise DataError(str(error)) from None
    if row.image is not None:
        raise DataError(
            f"{where}: expected a text or words; found an image; read the file with read_images, "
            "for which paths count from its folder"
        )
    return row


def json_object(line: str, number: int, where: str) -> dict[str, Any]:
    """Return the object of a line; DataError if it holds none, or a key twice."""
    try:
        check_json_size(line)
        row = json.loads(line, object_pairs_hook=_each_key_once)
    except (ValueError, RecursionError) as error:
        fault = cut(str(error))
        if line.lstrip().startswith(("[", "{")) and number == 1:
            fault += "; if the file is one JSON array, give its rows, json.load(open(path)), to "
            fault += "Task or Examples.from_rows"
        raise DataError(
            f"{where}: expected a JSON object; found {shown_line(line)} ({fault}); "
            "write one object a line"
        ) from None
    if not isinstance(row, dict):
        raise DataError(
            f"{where}: expected a JSON object; found {shown_line(line)}; "
            + (
                "give the rows of a JSON array, json.load(open(path)), to Task or "
                "Examples.from_rows"
                if isinstance(row, list) and row and isinstance(row[0], dict)
                else 'write {"text": ..., "label": ...}'
            )
        )
    return row


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; ValueError if a key stands in it twice, of which one would be dropped."""
    row = dict(pairs)
    if len(row) != len(pairs):
        times = Counter(key for key, _ in pairs)
        twice = next(key for key, n in times.items() if n > 1)
        raise ValueError(f"the key {quoted(twice, 60)} stands in it twice; remove one")
    return row
