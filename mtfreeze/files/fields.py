# SPDX-License-Identifier: Apache-2.0
"""Text in the fields of TSV, CSV and JSON lines: what is read back is what was written.

In TSV and CSV a character that a terminal obeys or that ends a line, and the backslash, are written
with a backslash as in a Python string (`plain_field` reads them). CSV is opened in spreadsheets,
which take a cell that begins with ``=`` and the like as a formula: such a text gets an apostrophe
before it, as does one that begins with an apostrophe. Numbers are written as numbers.
"""

from __future__ import annotations

import json
import re

from ..printable import UNPRINTABLE, escaped

__all__ = ["csv_cell", "json_line", "plain_cell", "plain_field", "tsv_field"]

_TSV = re.compile(rf"[{UNPRINTABLE}\\]")
# In CSV a field in quotes may have several lines.
_CSV = re.compile(rf"(?!\n)[{UNPRINTABLE}\\]")
_JSON = re.compile(f"(?!\n)[{UNPRINTABLE}]")
_ESCAPE = re.compile(r"\\(?:[\\ntr]|x[0-9a-f]{2}|u[0-9a-f]{4})")
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20", "'")
"""How a formula begins in spreadsheets, in full width too; and the mark that says it is none."""


def tsv_field(text: str) -> str:
    """Return a text as one field of a line with TABs between fields.

    Examples
    --------
    >>> print(tsv_field("two\\nlines, C:\\\\path"))
    two\\nlines, C:\\\\path
    """
    return _TSV.sub(escaped, text)


def plain_field(field: str) -> str:
    """Return the text that `tsv_field` was given.

    Examples
    --------
    >>> plain_field(tsv_field("a\\tb\\\\n"))
    'a\\tb\\\\n'
    """
    return _ESCAPE.sub(lambda found: found[0].encode("ascii").decode("unicode_escape"), field)


def csv_cell(value: object) -> object:
    """Return a value for a writer of CSV: numbers as they are, text safe for spreadsheets.

    Examples
    --------
    >>> csv_cell("=1+1"), csv_cell(-0.5), csv_cell(None)
    ("'=1+1", -0.5, '')
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        return value
    text = _CSV.sub(escaped, value)
    # A newline at the begin would hide what follows it.
    return f"'{text}" if text.lstrip("\n ").startswith(_FORMULA) else text


def plain_cell(cell: str) -> str:
    """Return the text that `csv_cell` was given, from the cell that a reader of CSV gave."""
    marked = cell.startswith("'")
    return plain_field(cell[1:] if marked else cell)


def json_line(value: object) -> str:
    """Return a value as JSON in one line that a terminal shows as it is.

    Examples
    --------
    >>> print(json_line({"text": "caf\\u00e9 \\x9b"}))
    {"text": "café \\u009b"}
    """
    text = json.dumps(value, ensure_ascii=False)
    # Outside of its strings JSON is ASCII without controls.
    return _JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
