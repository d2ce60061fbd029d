# SPDX-License-Identifier: Apache-2.0
"""Formats of files by the record: where each lies, and the row that it holds.

What a record is and what row it gives is said where whole files are read (`row_files`, `csv_rows`,
`text_files`); here it is asked one record at a time, so that a row can be read alone.
"""

from __future__ import annotations

import csv
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from io import StringIO
from typing import Any, Generic, NamedTuple, TypeVar

from ..checks import check_choice
from ..closest import name_list
from ..errors import ConfigError
from ..metrics.entities import SCHEMES
from ..quoting import quoted
from .csv_rows import Columns, FieldRows, Labels, broken_csv, fields_up_to
from .example import Example
from .faults import OnFault
from .line_cursor import LONGEST_RECORD, LineCursor
from .row_files import check_header, jsonl_row, named_keys, tsv_row
from .text_files import UNITS
from .unused import Unused
from .white_space import BLANKS, lines_of

__all__ = ["FORMATS", "Found", "RowFormat"]

Content = TypeVar("Content")

_AS_WRITTEN = ("iob2", "bio", "words")
"""Schemes of tags in which every row is read by itself, without a word about the others."""

_BUNCH, _BUNCH_BYTES = 256, 1 << 20
"""Records, and bytes of them, that the csv module is asked for at a time."""


class Found(NamedTuple):
    """A record of a file.

    Attributes
    ----------
    content
        What the format makes a row of.
    begin, size : int
        Bytes before it, and of it.
    number : int
        Of its first line, from 1.
    checksum : int
        CRC-32 of its bytes.
    """

    content: Any
    begin: int
    size: int
    number: int
    checksum: int


def _found(cursor: LineCursor, content: object) -> Found:
    """Return what a cursor has given since the record began."""
    begin = cursor.begin
    return Found(content, begin, cursor.end - begin, cursor.first, cursor.checksum)


class RowFormat(ABC, Generic[Content]):
    """How the rows of one file are written; it learns from the file's beginning."""

    unused: Unused
    """What rows hold that nothing reads."""
    nothing: str = "expected rows of data; found none"
    """What is said of a file without a row."""
    check_tags: bool = False
    """Whether the tags of words are those of entities."""

    def __init__(self, path: str) -> None:
        self._path = path

    @abstractmethod
    def records(self, cursor: LineCursor, on_fault: OnFault) -> Iterator[Found]:
        """Yield the records that hold rows, of a cursor over a whole file.

        `on_fault` gets the error of one after which no other can be found.
        """

    @abstractmethod
    def content(self, record: str) -> Content:
        """Return what a row is made of; `record` is what stands in the file, ends of lines too."""

    @abstractmethod
    def row(self, content: Content, number: int) -> Example:
        """Return the row of a record that begins at line `number`.

        Raises
        ------
        DataError
            If it does not hold.
        """

    def where(self, number: int) -> str:
        """Return what messages call a line."""
        return f"{self._path}:{number}"


class _Lines(RowFormat[str]):
    """A record is a line."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.unused = Unused()

    def records(self, cursor: LineCursor, on_fault: OnFault) -> Iterator[Found]:
        while True:
            cursor.begin_record()
            line = next(cursor, None)
            if line is None:
                return
            line = line.rstrip("\r\n")
            if not self.is_passed_over(line, cursor.number):
                yield _found(cursor, line)

    def is_passed_over(self, line: str, number: int) -> bool:
        """Say whether a line holds no row."""
        return not line.strip(BLANKS)

    def content(self, record: str) -> str:
        return record.rstrip("\r\n")


class JsonLines(_Lines):
    """See `read_jsonl`."""

    def __init__(
        self, path: str, *, text: Any = None, label: Any = None, scheme: str = "iob2"
    ) -> None:
        super().__init__(path)
        self.check_tags = check_choice("tag scheme", scheme, SCHEMES) != "words"
        if scheme not in _AS_WRITTEN:
            raise ConfigError(
                f"stream reads tags as they are written, in {name_list(_AS_WRITTEN)}; found "
                f"scheme={quoted(scheme)}; read the file with read_jsonl(scheme={quoted(scheme)}) "
                "and write what it gives, which is IOB2"
            )
        self._keys = None if text is None and label is None else named_keys(text, label)

    def row(self, content: str, number: int) -> Example:
        return jsonl_row(content, number, self.where(number), self._keys, self.unused)


class TextAndLabel(_Lines):
    """See `read_tsv` without columns."""

    def __init__(self, path: str, *, header: bool = False) -> None:
        super().__init__(path)
        self._header = header

    def is_passed_over(self, line: str, number: int) -> bool:
        if self._header and number == 1:
            check_header(line, self.where(1))
            return True
        return not line.strip(" ")

    def row(self, content: str, number: int) -> Example:
        return tsv_row(content, self.where(number), self._header)


class TabColumns(_Lines):
    """See `read_tsv` with columns."""

    def __init__(
        self, path: str, *, text: Columns, label: Labels = None, header: bool = False
    ) -> None:
        super().__init__(path)
        self._table = FieldRows(path, text, label, header, quoting=False)
        self.unused = self._table.unused

    def is_passed_over(self, line: str, number: int) -> bool:
        if super().is_passed_over(line, number):
            return True
        return self._table.begins(line.split("\t"), self.where(number))

    def row(self, content: str, number: int) -> Example:
        return self._table.row(content.split("\t"), self.where(number))


class PlainText(_Lines):
    """See `read_text`."""

    nothing = "expected lines of text; found none that is not empty"

    def __init__(self, path: str, *, rows: str = "line") -> None:
        super().__init__(path)
        self._documents = check_choice("rows", rows, UNITS) == "document"

    def is_passed_over(self, line: str, number: int) -> bool:
        return not line.strip()

    def records(self, cursor: LineCursor, on_fault: OnFault) -> Iterator[Found]:
        if not self._documents:
            yield from super().records(cursor, on_fault)
            return
        lines: list[str] = []
        found = None
        while True:
            if not lines:
                cursor.begin_record()
            line = next(cursor, None)
            text = "" if line is None else line.strip()
            if text:
                lines.append(text)
                found = _found(cursor, "")
            elif found is not None:
                yield found._replace(content=" ".join(lines))
                lines, found = [], None
            if line is None:
                return

    def content(self, record: str) -> str:
        return " ".join(line.strip() for line in lines_of(record)) if self._documents else record

    def row(self, content: str, number: int) -> Example:
        text = content if self._documents else content.strip()
        return Example(text, None, None, None, self.where(number))


class Csv(RowFormat[list[str]]):
    """See `read_csv`."""

    def __init__(
        self,
        path: str,
        *,
        text: Columns = "text",
        label: Labels = "label",
        header: bool = True,
        delimiter: str = ",",
    ) -> None:
        super().__init__(path)
        self._table = FieldRows(path, text, label, header, delimiter)
        self.unused = self._table.unused

    def records(self, cursor: LineCursor, on_fault: OnFault) -> Iterator[Found]:
        reader = csv.reader(cursor, delimiter=self._table.delimiter, strict=True)
        fault: csv.Error | None = None
        done = False
        while not done:
            bunch: list[Found] = []
            begin = cursor.end
            with fields_up_to(LONGEST_RECORD):
                try:
                    while not done and len(bunch) < _BUNCH and cursor.end - begin < _BUNCH_BYTES:
                        cursor.begin_record()
                        fields = next(reader, None)
                        done = fields is None
                        bunch.append(_found(cursor, fields or []))
                except csv.Error as error:
                    fault, done = error, True
            if done and not cursor.filled:  # nothing but white space, which is no header either
                return
            for one in bunch:  # an empty line has no fields
                if one.content and not self._table.begins(one.content, self.where(one.number)):
                    yield one
        if fault is not None:
            on_fault(broken_csv(fault, self.where(cursor.number), cursor.first))

    def content(self, record: str) -> list[str]:
        lines = StringIO(record, newline="")
        reader = csv.reader(lines, delimiter=self._table.delimiter, strict=True)
        if len(record) <= csv.field_size_limit():
            return next(reader)
        with fields_up_to(LONGEST_RECORD):
            return next(reader)

    def row(self, content: list[str], number: int) -> Example:
        return self._table.row(content, self.where(number))


def _tsv(path: str, *, text: Any = None, label: Any = None, header: Any = False) -> RowFormat[str]:
    if text is not None:
        return TabColumns(path, text=text, label=label, header=header)
    if label is not None:
        raise ConfigError(
            f"label= names a column beside those of text=; found label={quoted(label)} alone; pass "
            "text= as well, or leave both out: the label is then the last field"
        )
    return TextAndLabel(path, header=header)


FORMATS: Mapping[str, Callable[..., RowFormat[Any]]]
FORMATS = {"jsonl": JsonLines, "csv": Csv, "tsv": _tsv, "text": PlainText}
"""Formats by what `stream` calls them."""
