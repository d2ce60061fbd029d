# SPDX-License-Identifier: Apache-2.0
"""Rows as annotation tools export them: what they are, and the line that makes them rows to read.

Known are doccano, Label Studio, Prodigy and spaCy, by what their rows hold. Spans of characters
become words with tags by `words_and_tags`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..checks import as_integer, as_items, check_text, typed
from ..errors import DataError
from ..metrics.entities import OUTSIDE
from ..quoting import quoted

__all__ = ["conversion", "words_and_tags"]

_WORD = re.compile(r"\w+|[^\w\s]")
"""A word is a run of letters and digits, or one other character."""

_SPANS = "mtf.words_and_tags"


def words_and_tags(
    text: str, spans: Iterable[Sequence[Any]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Cut a text into words and turn entities at characters into one IOB2 tag a word.

    Words are runs of letters and digits, and every other character that is no space. Surplus space
    at the ends of a span does not count.

    Parameters
    ----------
    text : str
        The text.
    spans : iterable of (int, int, str)
        First character of an entity, the one behind its last, and its type.

    Raises
    ------
    TypeError
        If the text is no str, or a span no such triple.
    DataError
        If a span lies outside of the text, ends within a word, or meets another.

    Examples
    --------
    >>> from mtfreeze.data import words_and_tags
    >>> words_and_tags("Anna went to New York.", [(0, 4, "PER"), (13, 21, "LOC")])
    (('Anna', 'went', 'to', 'New', 'York', '.'), ('B-PER', 'O', 'O', 'B-LOC', 'I-LOC', 'O'))
    """
    text = check_text("text", text)
    found = list(_WORD.finditer(text))
    tags = [OUTSIDE] * len(found)
    items = as_items(spans)
    if items is None:
        raise TypeError(f"spans must be a list of (begin, end, type); found {typed(spans)}")
    for span in items:
        begin, end, kind = _checked(span, len(text))
        inside = [i for i, one in enumerate(found) if one.start() < end and begin < one.end()]
        kept = text[begin:end]
        begin += len(kept) - len(kept.lstrip())
        end -= len(kept) - len(kept.rstrip())
        if not inside or found[inside[0]].start() != begin or found[inside[-1]].end() != end:
            raise DataError(
                f"expected entities of whole words; found the span {quoted(tuple(span))} over "
                f"{quoted(kept)}; correct its ends"
            )
        if any(tags[i] != OUTSIDE for i in inside):
            raise DataError(
                f"expected entities that do not overlap; found the span {quoted(tuple(span))} over "
                f"{quoted(kept)}, part of which has a tag; keep one of the two"
            )
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{kind}"
    return tuple(one[0] for one in found), tuple(tags)


def _checked(span: object, length: int) -> tuple[int, int, str]:
    if isinstance(span, list | tuple) and len(span) == 3 and isinstance(span[2], str):
        begin, end = as_integer(span[0]), as_integer(span[1])
        if begin is not None and end is not None:
            if 0 <= begin < end <= length:
                return begin, end, span[2]
            raise DataError(
                f"expected a span within the {length} characters of the text; found "
                f"{quoted(tuple(span))}; correct its ends"
            )
    raise TypeError(
        f"a span must be (begin, end, type), such as (0, 4, 'PER'); found {typed(span)}"
    )


def conversion(row: Mapping[str, object]) -> str:
    """Return what an export holds and the line that converts it; "" for rows of another kind.

    Examples
    --------
    >>> conversion({"text": "good", "cats": {"pos": 1.0, "neg": 0.0}})
    'scores of spaCy ("cats"); write {"text": row["text"], "label": max(row["cats"], ...
    """
    for key in ("label", "labels", "entities", "spans"):
        fields = _span_fields(row.get(key))
        if fields is not None:
            return _of_spans("row", "text" if "text" in row else "data", f'row["{key}"]', fields)
    if isinstance(row.get("cats"), Mapping):
        return (
            'scores of spaCy ("cats"); write '
            '{"text": row["text"], "label": max(row["cats"], key=row["cats"].get)}'
        )
    if isinstance(row.get("accept"), list):
        return (
            'choices of Prodigy ("accept"); write {"text": row["text"], "label": row["accept"][0]}'
        )
    if isinstance(row.get("data"), Mapping) and "annotations" in row:
        return _of_label_studio(row)
    if isinstance(row.get("data"), str) and "label" in row and "text" not in row:
        return (
            'a text under "data", as of doccano; write {"text": row["data"], "label": row["label"]}'
        )
    return ""


def _span_fields(value: object) -> tuple[str, str, str] | None:
    """Return how one of a list of spans gives begin, end and type; None if they are no spans."""
    first = value[0] if isinstance(value, list) and value else None
    if isinstance(first, list) and len(first) == 3:
        begin, end, kind = first
        if as_integer(begin) is not None and as_integer(end) is not None and isinstance(kind, str):
            return "s[0]", "s[1]", "s[2]"
    if isinstance(first, Mapping):
        for begin, end in (("start", "end"), ("start_offset", "end_offset")):
            if begin in first and end in first:
                kind = 's["labels"][0]' if "labels" in first else 's["label"]'
                return f's["{begin}"]', f's["{end}"]', kind
    return None


def _of_spans(row: str, text: str, spans: str, fields: tuple[str, str, str]) -> str:
    return (
        "spans of characters; a head labels words: write "
        f'{_SPANS}({row}["{text}"], [({", ".join(fields)}) for s in {spans}])'
    )


def _of_label_studio(row: Mapping[str, Any]) -> str:
    """Return the line for a task of Label Studio, with its first annotation."""
    result = 'row["annotations"][0]["result"]'
    try:
        value = row["annotations"][0]["result"][0]["value"]
        text = next(key for key, one in row["data"].items() if isinstance(one, str))
    except (LookupError, TypeError, StopIteration):
        return "a task of Label Studio without a label; leave the row out"
    if "choices" in value:
        return (
            'a task of Label Studio; write {"text": row["data"]'
            f'["{text}"], "label": {result}[0]["value"]["choices"][0]}}'
        )
    fields = ('s["value"]["start"]', 's["value"]["end"]', 's["value"]["labels"][0]')
    return _of_spans('row["data"]', text, result, fields)
