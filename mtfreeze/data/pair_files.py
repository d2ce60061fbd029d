# SPDX-License-Identifier: Apache-2.0
"""Readers of the usual files of sentence pairs: semantic similarity (STS) and inference (NLI).

Both know their files by the names of columns or keys, in whatever order these stand. A file without
names is read where its form leaves no doubt.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..checks import as_integer, as_number, check_each, check_number, check_path, check_text
from ..closest import counted, name_list
from ..errors import DataError
from ..notices import UnusedDataWarning, warn
from ..quoting import cut, quoted
from .csv_rows import csv_records
from .example import Example
from .examples import Examples
from .files import filled_lines, read_text
from .row_files import json_object, shown_line
from .text_rows import check_texts
from .white_space import BLANKS

__all__ = ["read_nli", "read_sts"]

PathLike = str | os.PathLike[str]
Record = tuple[str, Mapping[str, Any]]

_PAIRS = (("sentence1", "sentence2"), ("premise", "hypothesis"), ("text1", "text2"))
_SCORES = ("score", "similarity_score", "relatedness_score", "label")
_LABELS = ("gold_label", "label")
_SHORT = ("sentence1", "sentence2", "score")
_LONG = ("genre", "file", "year", "number", "score", "sentence1", "sentence2")
"""Columns of STS files without names: a short form, and that of the original files."""

_MAX_SCORE = 5.0
_NO_LABEL = ("-", "-1", -1, "")


def read_sts(path: PathLike, *, divide_by: float = 1.0) -> Examples:
    """Read pairs of sentences with a score of their similarity, from 0 to 5.

    Files of the STS benchmark are read as they come: with TABs between and no quoting or as CSV,
    with a line of names (``sentence1``, ``sentence2``, ``score``) or without.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    divide_by : float
        What scores are divided by; 5 brings them to 0 to 1, as losses of cosines need.

    Returns
    -------
    Examples
        Two texts and a float a row.

    Raises
    ------
    DataError
        For a file in another form, a score that is no number from 0 to 5, an empty sentence, a file
        that is empty or not UTF-8; file, line and column are named.
    ConfigError, TypeError
        If `divide_by` is no number above 0.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> n = Path("sts.csv").write_text("A man eats.,Someone eats.,4.5\\nA dog.,A tax.,0\\n")
    >>> rows = read_sts("sts.csv", divide_by=5)
    >>> rows[0].texts, rows[0].label
    (('A man eats.', 'Someone eats.'), 0.9)
    """
    by = check_number("divide_by", divide_by, 0.0, above=True)
    rows = []
    for where, record in _sts_records(path):
        first, second = _pair_keys(record, where)
        key = next((one for one in _SCORES if one in record), None)
        if key is None:
            raise _no_key(record, _SCORES, where)
        texts = check_texts((record[first], record[second]), where)
        rows.append(Example(None, None, _score(record[key], key, where) / by, None, where, texts))
    return _finished(rows, path)


def read_nli(path: PathLike, *, labels: Sequence[str] | None = None) -> Examples:
    """Read pairs of sentences with what the second is to the first, such as ``"entailment"``.

    Files of SNLI and MultiNLI are read as they come, JSON lines (``gold_label``, ``sentence1``,
    ``sentence2``, or ``label``, ``premise``, ``hypothesis``) or columns of these names with TABs
    between. Pairs on which annotators did not agree (``-``) are left out and counted in an
    `UnusedDataWarning`.

    Parameters
    ----------
    path : path
        A UTF-8 file.
    labels : sequence of str, optional
        Names of the labels 0, 1, ... where the file has numbers. Their order differs between data
        sets, so it is never guessed.

    Returns
    -------
    Examples
        Two texts and a label name a row.

    Raises
    ------
    DataError
        For a file in another form, a number without `labels` or beyond them, an empty sentence, a
        file that is empty or not UTF-8; file, line and column are named.
    TypeError
        If `labels` are no names.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> row = '{"gold_label": "neutral", "sentence1": "A man eats.", "sentence2": "He is tall."}'
    >>> n = Path("nli.jsonl").write_text(row)
    >>> read_nli("nli.jsonl")
    Examples(1 pair, name='nli.jsonl', labels: neutral 1)
    """
    names = None
    if labels is not None:
        names = check_each("labels", labels, check_text, of="names", example="['entailment']")
    rows, n_left = [], 0
    for where, record in _nli_records(path):
        first, second = _pair_keys(record, where)
        key = next((one for one in _LABELS if one in record), None)
        if key is None:
            raise _no_key(record, _LABELS, where)
        if record[key] in _NO_LABEL:
            n_left += 1
            continue
        texts = check_texts((record[first], record[second]), where)
        rows.append(Example(None, None, _name(record[key], key, names, where), None, where, texts))
    if n_left:
        warn(
            f"{cut(str(path))}: {counted(n_left, 'pair')} of {len(rows) + n_left:,} without a "
            "label on which annotators agreed ('-') left out",
            UnusedDataWarning,
        )
    return _finished(rows, path)


def _finished(rows: Sequence[Example], path: PathLike) -> Examples:
    if not rows:
        raise DataError(f"{path}: expected pairs of texts; found none")
    return Examples(rows, check_path("path", path).name)


def _sts_records(path: PathLike) -> Iterator[Record]:
    """Yield where each row stands and its values by name."""
    text = read_text(path)
    fields = (
        _tab_records(path, text) if "\t" in _first(path, text) else csv_records(text, path, ",")
    )
    yield from _named(fields, path)


def _nli_records(path: PathLike) -> Iterator[Record]:
    text = read_text(path)
    if not _first(path, text).lstrip().startswith("{"):
        yield from _named(_tab_records(path, text), path)
        return
    for where, number, line in filled_lines(path, text):
        yield where, json_object(line, number, where)


def _first(path: PathLike, text: str) -> str:
    return next((line for _, _, line in filled_lines(path, text)), "")


def _tab_records(path: PathLike, text: str) -> Iterator[tuple[str, list[str]]]:
    for where, _, line in filled_lines(path, text):
        yield where, line.split("\t")


def _named(records: Iterator[tuple[str, list[str]]], path: PathLike) -> Iterator[Record]:
    """Give fields the names of the first line, or of a form that has none."""
    names: Sequence[str] = ()
    header = False
    for where, fields in records:
        if not names:
            header = any(set(pair) <= set(fields) for pair in _PAIRS)
            names = fields if header else _form_of(fields, where)
            if header:
                continue
        # The original files have columns of sources at the end of some lines.
        if len(fields) < len(names) or (len(fields) > len(names) and names is not _LONG):
            raise DataError(
                f"{where}: expected {len(names)} fields, as in the first line; found "
                f"{len(fields)} in {shown_line(' | '.join(fields))}; correct the line"
            )
        yield where, dict(zip(names, fields, strict=False))


def _form_of(fields: Sequence[str], where: str) -> Sequence[str]:
    """Return the names of fields of a file without names; DataError if its form is not known."""
    for form in (_SHORT, _LONG):
        fits = len(fields) == len(form) or (form is _LONG and len(fields) > len(form))
        if fits and _as_float(fields[form.index("score")]) is not None:
            return form
    raise DataError(
        f"{where}: expected columns named {name_list(_PAIRS[0])}, or {', '.join(_SHORT)} without "
        f"names; found {shown_line(' | '.join(fields))}; name the columns in the first line, or "
        "read the file with read_csv(path, text=[..., ...], label=...)"
    )


def _pair_keys(record: Mapping[str, Any], where: str) -> tuple[str, str]:
    for pair in _PAIRS:
        if all(key in record for key in pair):
            return pair
    raise _no_key(record, _PAIRS[0], where)


def _no_key(record: Mapping[str, Any], wanted: Sequence[str], where: str) -> DataError:
    return DataError(
        f"{where}: expected {name_list(wanted)}; found {name_list(record)}; name the columns so, "
        "or read the file with read_csv or read_jsonl and text=[..., ...], label=..."
    )


def _score(value: object, key: str, where: str) -> float:
    score = _as_float(value)
    if score is None or not 0 <= score <= _MAX_SCORE:
        raise DataError(
            f"{where}: expected {quoted(key)} to be a number from 0 to 5; found {quoted(value)}; "
            "correct the row, or read files of other scores with read_csv"
        )
    return score


def _as_float(value: object) -> float | None:
    """Return a number, or a text that is one, as a finite float; else None."""
    try:
        number = float(value) if isinstance(value, str) else as_number(value)
    except ValueError:
        return None
    return number if number is not None and math.isfinite(number) else None


def _name(value: object, key: str, names: Sequence[str] | None, where: str) -> str:
    """Return the name of a label, which the file has, or a number by the names that were given."""
    number = int(value) if isinstance(value, str) and value.isdigit() else as_integer(value)
    if number is None:
        if not isinstance(value, str):
            raise DataError(
                f"{where}: expected {quoted(key)} to be the name of a label; found "
                f"{quoted(value)}; correct the row"
            )
        return value.strip(BLANKS)
    if names is None:
        raise DataError(
            f"{where}: expected {quoted(key)} to be the name of a label; found the number "
            f"{number}, whose meaning differs between data sets; pass their names in order, as in "
            'labels=["entailment", "neutral", "contradiction"], if the data set says so'
        )
    if not 0 <= number < len(names):
        raise DataError(
            f"{where}: expected {quoted(key)} from 0 to {len(names) - 1}, for {name_list(names)}; "
            f"found {number}; name all labels"
        )
    return names[number]
