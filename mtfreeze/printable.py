# SPDX-License-Identifier: Apache-2.0
"""Strangers' text on its way to people: labels, names, texts and paths may hold anything.

A terminal obeys ESC and the C1 controls, a newline breaks a row of a table in two, a bidirectional
override shows letters in another order than they have. Such characters are written as Python
writes them in a string, ``\\x1b`` or ``\\u202e``; all others stay as they are. Whatever is printed,
drawn, or put into HTML goes through here; `files.fields` does the same for files.
"""

from __future__ import annotations

import html
import re

__all__ = ["UNPRINTABLE", "escaped", "html_text", "printable", "printable_lines"]

UNPRINTABLE = (
    r"\x00-\x1f\x7f-\x9f"  # C0, DEL and C1 controls: terminals obey them
    r"\u2028\u2029"  # ends of lines and paragraphs
    r"\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of writing direction
    r"\ufeff"  # a byte order mark: readers drop it
    r"\ud800-\udfff"  # half surrogates: UTF-8 cannot hold them
)
"""Inside of a character class of `re`."""

_ANY = re.compile(f"[{UNPRINTABLE}]")
_IN_LINES = re.compile(f"(?![\n\t])[{UNPRINTABLE}]")


def escaped(found: re.Match[str]) -> str:
    """Return the characters of a match as Python writes them in a string."""
    return found[0].encode("unicode_escape").decode("ascii")


def printable(text: object) -> str:
    """Return a name or text for one place in a line: a cell, a label, a title.

    Examples
    --------
    >>> print(printable("two\\nlines"), printable("\\x1b[31mred"), printable("caf\\u00e9"))
    two\\nlines \\x1b[31mred café
    """
    return _ANY.sub(escaped, str(text))


def printable_lines(text: object) -> str:
    """Return a message or a whole page of text: newlines and TABs stay.

    Examples
    --------
    >>> print(printable_lines("one\\n\\x07two"))
    one
    \\x07two
    """
    return _IN_LINES.sub(escaped, str(text))


def html_text(text: object) -> str:
    """Return text for HTML, between tags or in an attribute's quotes.

    Examples
    --------
    >>> print(html_text("a<b\\x1b"))
    a&lt;b\\x1b
    """
    return html.escape(printable_lines(text))
