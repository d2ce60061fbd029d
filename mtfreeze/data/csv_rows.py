# SPDX-License-Identifier: Apache-2.0
"""CSV files -> rows: as RFC 4180 has them, so that every line has the same number of fields.

A line with another number has a comma in a text without quotes, or a field too few: which field is
the label cannot be known. Where the file is separated by something else than was said, the message
says by what.
"""

from __future__ import annotations

import csv
import io
import os
import re
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import cast

from ..checks import LARGEST_INTEGER, as_integer, check_flag, check_integer, typed
from ..closest import name_list, unknown
from ..errors import ConfigError, DataError
from ..quoting import cut, quoted
from .example import Example
from .faults import OnFault, raised
from .files import filled_lines, read_text
from .row_files import shown_line
from .text_rows import check_texts
from .unused import Unused, check_verdict, is_verdict
from .white_space import BLANKS

__all__ = [
    "Column",
    "Columns",
    "FieldRows",
    "Labels",
    "broken_csv",
    "columns_of",
    "csv_records",
    "csv_rows",
    "fields_up_to",
    "row_of_fields",
    "tab_rows",
]

PathLike = str | os.PathLike[str]
Column = str | int
Columns = Column | Sequence[Column]
Labels = Column | Sequence[Column] | None
"""Column of a row's label; a list of them for labels of several tasks, by the columns' names."""

_SEPARATORS = (",", ";", "\t", "|")
_SEP_LINE = re.compile(r'"?sep=(.)"?[;,\t|]*', re.IGNORECASE)
"""The first line by which a spreadsheet is told the separator."""

_LIMIT = threading.Lock()
"""Held while the limit of fields is another: it is one for all of the process."""

_LONGEST_FIELD = 2**31 - 1


class FieldRows:
    """Records of fields -> rows, once the first record has said which columns there are.

    Parameters
    ----------
    path : path
        What messages call the file.
    text, label, header, delimiter
        See `read_csv`.
    quoting : bool
        Whether the file is a CSV; otherwise each TAB ends a field.

    Raises
    ------
    ConfigError, TypeError
        If columns or delimiter cannot be used.
    """

    def __init__(
        self,
        path: PathLike,
        text: Columns,
        label: Labels,
        header: object,
        delimiter: object = "\t",
        quoting: bool = True,
    ) -> None:
        self.header = check_flag("header", header)
        if not isinstance(delimiter, str) or len(delimiter) != 1 or delimiter in '\r\n"':
            raise ConfigError(
                f"delimiter must be one character, such as ';' or '\\t'; found {quoted(delimiter)}"
            )
        self.delimiter, self._quoting = delimiter, quoting
        self._text, self._label = text, label
        self._columns: tuple[int, ...] | None = None
        self._tasks: tuple[str, ...] | None = None if label is None else ()
        if not self.header:
            self._columns = columns_of(text, label, None, f"{path}:1", delimiter)
            if _several(label):
                raise ConfigError(
                    f"labels of several tasks have the names of their columns; found "
                    f"label={quoted(label)} and header=False; write a first line with names, and "
                    "pass these"
                )
        self._n_fields = 0
        self._verdicts: dict[int, str] = {}
        self.unused = Unused("column")

    def begins(self, fields: Sequence[str], where: str) -> bool:
        """Look at a record as long as none was a row; return whether it is none itself.

        Raises
        ------
        DataError
            If it is a header without the columns.
        """
        if self._n_fields:
            return False
        if self._quoting and _is_separator_line(fields, where, self.delimiter):
            return True
        self._n_fields = len(fields)
        chosen = self._columns or columns_of(self._text, self._label, fields, where, self.delimiter)
        if self._quoting or self.header:
            names = fields if self.header else [str(i) for i in range(len(fields))]
            verdicts = _look_at_the_rest(names, chosen, self.unused)
            self._verdicts = verdicts if self._quoting else {}
        self._columns = chosen
        if _several(self._label):
            n_labels = len(cast(Sequence[Column], self._label))
            self._tasks = tuple(fields[column] for column in chosen[-n_labels:])
        return self.header

    def row(self, fields: Sequence[str], where: str) -> Example:
        """Return the row of a record; DataError if it does not hold."""
        assert self._columns is not None  # since the first record
        _check_fields(fields, self._columns, self._n_fields, where, self.delimiter)
        for i, name in self._verdicts.items():
            check_verdict(name, fields[i], where)
        return row_of_fields([fields[column] for column in self._columns], self._tasks, where)


def csv_rows(
    path: PathLike,
    text: Columns,
    label: Labels,
    header: bool,
    delimiter: str,
    on_fault: OnFault = raised,
) -> list[Example]:
    """Return the rows of a CSV; see `read_csv` for arguments and what it raises."""
    table = FieldRows(path, text, label, header, delimiter)
    records = csv_records(read_text(path), path, delimiter, on_fault)
    return _rows_of(table, records, path, on_fault)


def tab_rows(
    path: PathLike,
    text: Columns,
    label: Labels,
    header: bool,
    on_fault: OnFault = raised,
) -> list[Example]:
    """Return the rows of columns with TABs between and no quoting; see `read_tsv`."""
    table = FieldRows(path, text, label, header, quoting=False)
    lines = filled_lines(path, read_text(path))
    records = ((where, line.split("\t")) for where, _, line in lines)
    return _rows_of(table, records, path, on_fault)


def _rows_of(
    table: FieldRows,
    records: Iterable[tuple[str, list[str]]],
    path: PathLike,
    on_fault: OnFault,
) -> list[Example]:
    rows = []
    for where, fields in records:
        if table.begins(fields, where):
            continue
        try:
            rows.append(table.row(fields, where))
        except DataError as fault:
            on_fault(fault)
    table.unused.say(cut(str(path)))
    return rows


def row_of_fields(fields: Sequence[str], tasks: Sequence[str] | None, where: str) -> Example:
    """Return a row of its text or texts, and what stands after them.

    Parameters
    ----------
    fields : sequence of str
        The text or texts, then the label, or one a task.
    tasks : sequence of str, optional
        Names of the tasks that have a label each, empty fields for none; without names there is one
        label, None stands for no label.
    where : str
        What messages call the row.

    Raises
    ------
    DataError
        If the label, all of several labels, or one of several texts is empty.
    """
    n_labels = 0 if tasks is None else len(tasks) or 1
    end = len(fields) - n_labels
    texts, found = fields[:end], [one.strip(BLANKS) for one in fields[end:]]
    if n_labels and not any(found):
        what = "a label; found an empty field" if n_labels == 1 else "a label; found empty fields"
        raise DataError(f"{where}: expected {what}; add it or drop the row")
    label = found[0] if found and not tasks else None
    labels = {task: one for task, one in zip(tasks, found, strict=True) if one} if tasks else None
    if len(texts) == 1:
        return Example(texts[0], None, label, labels, where)
    return Example(None, None, label, labels, where, check_texts(texts, where))


def csv_records(
    content: str, path: PathLike, delimiter: str, on_fault: OnFault = raised
) -> Iterator[tuple[str, list[str]]]:
    """Yield where each record begins and its fields; empty lines are left out."""
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    records = []
    fault = None
    start = 1
    with fields_up_to(min(len(content) + 1, _LONGEST_FIELD)):
        try:
            for fields in reader:
                where, start = f"{path}:{start}", reader.line_num + 1
                if fields:
                    records.append((where, fields))
        except csv.Error as error:
            other = next(
                (one for one in _SEPARATORS if one != delimiter and f'"{one}' in content), ""
            )
            fault = broken_csv(error, f"{path}:{reader.line_num}", start, other)
    yield from records
    if fault is not None:
        on_fault(fault)


@contextmanager
def fields_up_to(limit: int) -> Iterator[None]:
    """Let the csv module take fields of so many characters at least."""
    with _LIMIT:
        usual = csv.field_size_limit()
        csv.field_size_limit(max(usual, limit))
        try:
            yield
        finally:
            csv.field_size_limit(usual)


def broken_csv(error: csv.Error, where: str, first: int, other: str = "") -> DataError:
    """Return the error of a record that begins at line `first`; `other` may separate fields."""
    return DataError(
        f"{where}: expected CSV; found a row that is not ({error}); correct the quotes of the row "
        f"that begins at line {first}, or use read_tsv for a file without quoting"
        + (f", or pass delimiter={quoted(other)} if that separates fields" if other else "")
    )


def _is_separator_line(fields: Sequence[str], where: str, delimiter: str) -> bool:
    """Say whether a file begins with ``sep=;`` for spreadsheets; refuse another separator."""
    line = delimiter.join(fields)
    found = _SEP_LINE.fullmatch(line)
    if found is None:
        return False
    if found[1] != delimiter:
        raise DataError(
            f"{where}: expected fields with {quoted(delimiter)} between; found {shown_line(line)}, "
            f"which names another separator; pass delimiter={quoted(found[1])}"
        )
    return True


def _several(label: object) -> bool:
    """Say whether labels of several tasks are asked for."""
    return isinstance(label, list | tuple)


def columns_of(
    text: Columns,
    label: Labels,
    names: Sequence[str] | None,
    where: str,
    delimiter: str,
) -> tuple[int, ...]:
    """Return the numbers of the text columns, and of the labels', if there are any, at the end."""
    wanted = [*text] if isinstance(text, list | tuple) else [cast(Column, text)]
    labels = [*cast(Sequence[Column], label)] if _several(label) else [cast(Column, label)]
    labels = [] if label is None else labels
    if not wanted or (not labels and (len(wanted) < 2 or label is not None)):
        raise ConfigError(
            "expected columns of several texts, or one text and a label; found "
            f"text={quoted(text)}, label={quoted(label)}; name them"
        )
    named = [("text", one) for one in wanted] + [("label", one) for one in labels]
    found = [_column(argument, one, names, where, delimiter) for argument, one in named]
    n = len(names or ()) or LARGEST_INTEGER
    places = [number if names is None else number % n for number in found]
    for at, place in enumerate(places):
        if place in places[:at]:
            what, first = named[at], named[places.index(place)]
            raise ConfigError(
                f"{'text and label must be two' if what[0] != first[0] else f'{what[0]}s must be'} "
                f"columns; found {quoted(first[1])} and {quoted(what[1])}, which are one; pass "
                "another"
            )
    return tuple(found)


def _column(
    argument: str, column: Column, names: Sequence[str] | None, where: str, delimiter: str
) -> int:
    number = as_integer(column)
    if number is not None:
        return check_integer(argument, number, -LARGEST_INTEGER, hint="give the number of a column")
    if not isinstance(column, str):
        raise TypeError(
            f"{argument} must be the name or the number of a column; found {typed(column)}"
        )
    if names is None:
        raise ConfigError(
            f"header=False leaves columns without names; found {argument}={quoted(column)}; "
            "pass numbers, for instance text=0, label=1"
        )
    if names.count(column) > 1:
        raise DataError(
            f"{where}: expected one column {quoted(column)}; found {names.count(column)} in "
            f"{name_list(names)}; rename the others, or pass {argument}= with the number of one"
        )
    if column not in names:
        other = _separator(delimiter.join(names), delimiter, column)
        raise DataError(
            f"{where}: {unknown('column', column, names)}; "
            + (
                f"the names are separated by {quoted(other)}: pass delimiter={quoted(other)}"
                if other
                else f"pass {argument}=, or header=False with column numbers"
            )
        )
    return names.index(column)


def _separator(line: str, delimiter: str, name: str) -> str:
    """Return what separates a header that has the name of a column, "" if nothing else does."""
    for other in _SEPARATORS:
        if other != delimiter and name in [one.strip(' "') for one in line.split(other)]:
            return other if other in line else ""
    return ""


def _look_at_the_rest(
    names: Sequence[str], columns: tuple[int, ...], unused: Unused
) -> dict[int, str]:
    """Note the columns that are not read; return those with verdicts of annotation tools."""
    used = {column % len(names) for column in columns}
    left = {i: name for i, name in enumerate(names) if i not in used and name}
    for name in left.values():
        if not is_verdict(name):
            unused.add(name)
    return {i: name for i, name in left.items() if is_verdict(name)}


def _check_fields(
    fields: Sequence[str], columns: tuple[int, ...], n_fields: int, where: str, delimiter: str
) -> None:
    """Refuse a record with more or fewer fields than the first one has."""
    other = next((one for one in _SEPARATORS if len(fields) == 1 and one in fields[0]), "")
    advice = f"pass delimiter={quoted(other)}" if other else "correct the row or the delimiter"
    if any(not -len(fields) <= column < len(fields) for column in columns):
        raise DataError(
            f"{where}: expected a column {max(columns, key=abs)}; found {len(fields)} fields; "
            f"{advice}"
        )
    if len(fields) != n_fields:
        if len(fields) > n_fields:
            advice = f"put a text that holds {quoted(delimiter)} into double quotes"
        raise DataError(
            f"{where}: expected {n_fields} fields, as in the first line; found {len(fields)} in "
            f"{shown_line(delimiter.join(fields))}; {advice}"
        )
