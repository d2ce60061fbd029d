# SPDX-License-Identifier: Apache-2.0
"""Plain rows -> `Example`: checks of types and shapes, shared by plain lists and the JSONL reader.

A wrong Python type is a ``TypeError``, a row that is incomplete or does not add up a `DataError`;
both begin with where the row is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import numpy as np

from ..checks import as_integer, as_number, typed
from ..closest import did_you_mean, name_list
from ..errors import DataError
from ..quoting import quoted
from .answers import check_answers, holds_answers
from .example import IGNORE, Example, Label, Tags
from .exports import conversion
from .image_rows import IMAGE_KEYS, as_boxes, as_picture, image_key, is_image
from .text_rows import check_texts, text_keys
from .unused import Unused, is_missing

__all__ = [
    "check_label",
    "check_tags",
    "check_text",
    "check_words",
    "example_from_row",
    "is_list",
]

_WORD_KEYS = ("words", "tokens")
_TAG_KEYS = ("tags", "ner_tags")
_LABEL_KEYS = ("label", "labels", *_TAG_KEYS)
_LISTED = ("texts",)
_ANSWERS, _ID = "answers", "id"
_TEXTS_LABEL_KEYS = ("label", "labels", "score", _ANSWERS)
_NEEDS_WORDS = "a list of tags needs a list of words beside it; found a text; give the row as words"


def check_text(value: object, where: str) -> str:
    """Return `value` if it is a str (``""`` is one).

    Raises
    ------
    TypeError
        For None, bytes, numbers and everything else, naming `where`.
    """
    if isinstance(value, str):
        return value
    advice = "decode it first" if isinstance(value, bytes | bytearray) else "leave the row out"
    if isinstance(value, list | tuple):
        advice = "give words together with tags, as (words, tags)"
    raise TypeError(f"{where}: expected a text (str); found {typed(value)}; {advice}")


def check_words(value: object, where: str) -> tuple[str, ...]:
    """Return a list, tuple or array of str as a tuple; the error names the place of a bad word."""
    if isinstance(value, np.ndarray) and value.ndim == 1:
        value = value.tolist()
    if not isinstance(value, list | tuple):
        raise TypeError(
            f"{where}: expected a list of words (str); found {typed(value)}; split the text first"
        )
    for position, word in enumerate(value):
        if is_image(word):
            raise TypeError(
                f"{where}: expected one image a row; found a {type(value).__name__} of "
                f"{len(value)}; give each image a row of its own"
            )
        if not isinstance(word, str):
            raise TypeError(
                f"{where}: expected words (str); word {position} is {typed(word)}; "
                "leave it out or write it as a str"
            )
    return tuple(value)


def check_label(value: object, where: str) -> str | int:
    """Return a label name (str) or index (any integer, as int)."""
    if isinstance(value, str):
        return value
    index = as_integer(value)
    if index is None:
        raise TypeError(
            f"{where}: expected a label name (str) or index (int); found {typed(value)}; "
            + (
                "leave the row out, or write the label's name"
                if is_missing(value)
                else "write the label's name"
            )
        )
    return index


def check_tags(value: object, n_words: int, where: str) -> Tags:
    """Return a list of `n_words` tags, all names or all indices, as a tuple.

    None, NaN and -100, with which data sets and frames mark words without a label, are None.
    """
    if not isinstance(value, list | tuple) and int(getattr(value, "ndim", 0)) != 1:
        raise TypeError(
            f"{where}: expected a list of tags, one per word; found {typed(value)}; "
            "write the tags as a list"
        )
    tags = tuple(
        None
        if is_missing(tag) or as_integer(tag) == IGNORE
        else check_label(tag, f"{where}, tag {i}")
        for i, tag in enumerate(cast(Any, value))
    )
    if len(tags) != n_words:
        raise DataError(
            f"{where}: expected one tag per word; found {n_words} words and {len(tags)} tags; "
            "correct the row"
        )
    if len({type(tag) for tag in tags if tag is not None}) > 1:
        raise DataError(f"{where}: expected tags that are all names or all indices; found both")
    return cast(Tags, tags)


def _as_float(value: object) -> float | None:
    """Return a finite float, Python's or NumPy's, None if it is none."""
    known = isinstance(value, float | np.floating) and np.isfinite(value)
    return float(cast(Any, value)) if known else None


def _as_numbers(values: Any) -> tuple[float, ...] | None:
    """Return numbers, whole ones among them, as floats; None if anything else is among them."""
    found = [_as_float(one) if as_integer(one) is None else as_integer(one) for one in values]
    floats = (None if one is None else as_number(one) for one in found)
    numbers = tuple(one for one in floats if one is not None and math.isfinite(one))
    return numbers if len(numbers) == len(found) > 0 else None


def is_list(value: object) -> bool:
    """Say whether a value is a list, a tuple or an array with axes."""
    return isinstance(value, list | tuple) or int(getattr(value, "ndim", 0)) > 0


def _label_set(values: Any, where: str) -> Label:
    """Return several labels of one text, names or positions; none of them is an empty tuple."""
    items = values.tolist() if isinstance(values, np.ndarray) else values
    return cast(
        Label, tuple(check_label(one, f"{where}, label {i}") for i, one in enumerate(items))
    )


def _any_label(value: object, words: tuple[str, ...] | None, where: str) -> Label:
    """Check a label of any kind: a list is tags of words, or numbers or labels of a text."""
    if is_list(value):
        if words is not None:
            return check_tags(value, len(words), where)
        numbers = _as_numbers(value)
        return _label_set(value, where) if numbers is None else numbers
    number = _as_float(value)
    return check_label(value, where) if number is None else number


def _from_pair(content: object, label: object, where: str) -> Example:
    if is_image(content):
        return _of_image(content, _image_label(label, None, where), None, where)
    if isinstance(content, list | tuple):
        words = check_words(content, where)
        if len(words) == 2 and not is_list(label) and any(" " in word for word in words):
            texts = check_texts(words, where)
            return Example(None, None, _any_label(label, None, where), None, where, texts)
        return Example(None, words, _any_label(label, words, where), None, where)
    return Example(check_text(content, where), None, _any_label(label, None, where), None, where)


def _content_key(row: Mapping[str, object], labels: object, where: str) -> str:
    """Return which key holds the content: words where labels are lists of tags, else the text."""
    words = [key for key in _WORD_KEYS if key in row]
    if len(words) > 1:
        raise DataError(
            f"{where}: expected one list of words; found {name_list(words)}; remove one of the keys"
        )
    if "text" not in row or not words:
        return "text" if "text" in row else words[0]
    several = labels.values() if isinstance(labels, Mapping) else (labels,)
    return words[0] if any(map(is_list, several)) else "text"


def _from_mapping(row: Mapping[str, object], where: str, unused: Unused) -> Example:
    for key in row:
        if not isinstance(key, str):
            raise TypeError(f"{where}: expected keys that are str; found {typed(key)}")
    image = image_key(row)
    if image:
        return _from_image(row, image, where, unused)
    texts = _LISTED if _LISTED[0] in row else text_keys(row)
    if texts:
        return _from_texts(row, texts, where, unused)
    given = [k for k in _LABEL_KEYS if k in row]
    has_content = any(key in row for key in ("text", *_WORD_KEYS))
    if not has_content or not given:
        raise DataError(
            f"{where}: "
            + (
                _converted(row)
                or (
                    _missing("label, tags or labels", _LABEL_KEYS, row)
                    if has_content
                    else _missing("text or words", ("text", "words"), row)
                )
            )
        )
    if len(given) > 1:
        raise DataError(
            f"{where}: expected one of the keys {name_list(_LABEL_KEYS)}; "
            f"found {name_list(given)}; "
            "put several labels into 'labels', by task name"
        )
    value = row[given[0]]
    content = _content_key(row, value, where)
    unused.of_row(row, (content, given[0]), where)
    text = check_text(row[content], where) if content == "text" else None
    words = None if content == "text" else check_words(row[content], where)
    if given[0] in _TAG_KEYS:
        if words is None:
            raise DataError(f"{where}: {_NEEDS_WORDS}")
        return Example(text, words, check_tags(value, len(words), where), None, where)
    if words is None and isinstance(value, list):
        value = _only_one(row, given[0], value, where)
    if given[0] != "labels" or (words is None and isinstance(value, list)):
        return Example(text, words, _any_label(value, words, where), None, where)
    return Example(text, words, None, _by_task(value, words, where), where)


def _of_image(
    image: object, label: Label | None, labels: dict[str, Label] | None, where: str
) -> Example:
    return Example(None, None, label, labels, where, image=as_picture(image, where))


def _image_label(value: object, words: None, where: str) -> Label:
    """Check the label of an image: boxes, or what a text has for a label."""
    boxes = as_boxes(value)
    return _any_label(value, words, where) if boxes is None else boxes


def _from_image(row: Mapping[str, object], key: str, where: str, unused: Unused) -> Example:
    """Read a row of an image under one of its keys and a label, or labels by task."""
    given = [one for one in ("label", "labels", "boxes") if row.get(one) is not None]
    if len(given) != 1:
        raise DataError(
            f"{where}: expected an image under one of {name_list(IMAGE_KEYS)} and one of the keys "
            f"'label', 'labels' and 'boxes'; found {name_list(row)}; "
            "give images without labels to Examples.from_images"
        )
    value = row[given[0]]
    unused.of_row(row, (key, given[0]), where)
    if given[0] == "labels" and isinstance(value, Mapping):
        return _of_image(row[key], None, _by_task(value, None, where, _image_label), where)
    if given[0] == "boxes" and value != [] and as_boxes(value) is None:
        raise TypeError(
            f"{where}: expected 'boxes' to be a list of Box; found {typed(value)}; make them with "
            "Box(label, left, top, right, bottom)"
        )
    return _of_image(row[key], _image_label(value, None, where), None, where)


def _by_task(
    value: object,
    words: tuple[str, ...] | None,
    where: str,
    checked: Callable[..., Label] = _any_label,
) -> dict[str, Label]:
    """Return the labels of a row by task, those that are there."""
    if not isinstance(value, Mapping):
        raise TypeError(
            f"{where}: expected 'labels' to map task names to labels; found {typed(value)}; "
            "for a single label use the key 'label', for tags 'tags'"
        )
    labels: dict[str, Label] = {}
    for task, label in value.items():
        if not isinstance(task, str):
            raise TypeError(f"{where}: expected task names (str) in 'labels'; found {typed(task)}")
        if label is not None:
            labels[task] = checked(label, words, f"{where}, label of {quoted(task, 60)}")
    return labels


def _from_texts(
    row: Mapping[str, object], keys: tuple[str, ...], where: str, unused: Unused
) -> Example:
    """Read a row of several texts, under one key as a list or each under its own; a label may be
    missing: pairs can stand for themselves."""
    values: object = [row[key] for key in keys]
    if keys == _LISTED:
        values = row[keys[0]]
        if not isinstance(values, list | tuple):
            raise TypeError(
                f"{where}: expected {quoted(keys[0])} to be a list of texts; found "
                f"{typed(values)}; give one text under 'text'"
            )
    given = [key for key in _TEXTS_LABEL_KEYS if not is_missing(row.get(key))]
    if len(given) > 1:
        raise DataError(
            f"{where}: expected one of the keys {name_list(_TEXTS_LABEL_KEYS)}; found "
            f"{name_list(given)}; put several labels into 'labels', by task name"
        )
    name = row.get(_ID) if isinstance(row.get(_ID), str) else None
    unused.of_row(row, (*keys, *given, *(() if name is None else (_ID,))), where)
    texts = check_texts(cast(Any, values), where)
    label = row[given[0]] if given else None
    if given == ["labels"]:
        return Example(None, None, None, _by_task(label, None, where), where, texts)
    if given == [_ANSWERS]:
        found = check_answers(label, texts[1], where)
        return Example(None, None, found, None, where, texts, cast(Any, name))
    known = None if label is None else _texts_label(label, texts, where)
    return Example(None, None, known, None, where, texts, cast(Any, name))


def _only_one(row: Mapping[str, object], key: str, values: list[object], where: str) -> object:
    """Return what a list under a text's label stands for: its one label, else itself."""
    converted = _converted(row)
    if converted:
        raise DataError(f"{where}: {converted}")
    if key == "labels" or len(values) != 1 or _as_numbers(values) is not None:
        return values
    return values[0]


def _converted(row: Mapping[str, object]) -> str:
    """Say what an export of an annotation tool holds and how it is converted; "" for others."""
    found = conversion(row)
    return f"expected a text with one label, or words with tags; found {found}" if found else ""


def _missing(what: str, keys: tuple[str, ...], row: Mapping[str, object]) -> str:
    """Say which key is missing and, if one is misspelt, which."""
    for present in islice(row, 20):
        hint = did_you_mean(present, keys)
        if hint:
            return f"expected the key {what}; found {quoted(present)}; {hint}"
    return f"expected the key {what}; found {name_list(row)}; add it"


def _of_several(row: Sequence[object], where: str) -> Example:
    """Read ``(text, text, label)`` or ``(text, text, text)``: the head tells them apart where the
    label is a str as well."""
    *first, last = row
    if isinstance(last, str):
        return Example(None, None, None, None, where, check_texts(row, where))
    texts = check_texts(first, where)
    label = None if last is None else _texts_label(last, texts, where)
    return Example(None, None, label, None, where, texts)


def _texts_label(value: object, texts: tuple[str, ...], where: str) -> Label:
    """Check a label of several texts: answers in the second of them, none of them, or any other."""
    if holds_answers(value) or (is_list(value) and not len(cast(Any, value))):
        return check_answers(value, texts[1], where)
    return _any_label(value, None, where)


def example_from_row(row: object, where: str, unused: Unused) -> Example:
    """Turn one plain row into an `Example`.

    Parameters
    ----------
    row : Example, pair or mapping
        See `Examples.from_rows`.
    where : str
        How messages name the row.
    unused : Unused
        Notes the keys of a mapping that nothing reads.

    Raises
    ------
    TypeError, DataError
        See the module's docstring.
    """
    if isinstance(row, Example):
        return row
    if isinstance(row, Mapping):
        return _from_mapping(row, where, unused)
    if isinstance(row, list | tuple):
        if len(row) == 2:
            return _from_pair(row[0], row[1], where)
        if len(row) < 2 or not isinstance(row[0], str) or as_number(row[1]) is not None:
            raise DataError(
                f"{where}: expected (text, label), (words, tags) or (text, text, label); found "
                f"{len(row)} fields; "
                "for several labels use {'text': ..., 'labels': {task: label}}"
            )
        return _of_several(row, where)
    raise TypeError(
        f"{where}: expected (text, label), (words, tags), (image, label) or a dictionary; found "
        f"{typed(row)}"
    )
