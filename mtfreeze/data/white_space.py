# SPDX-License-Identifier: Apache-2.0
"""White space: what ends a line, what separates fields and words. One rule for all that is read.

Lines end at LF, CRLF or CR; SPACE and TAB separate. Every other character belongs to its text or
word: a no-break space, U+0085, U+2028, a form feed, at which ``str.split`` and ``str.splitlines``
would cut. What a reader of CoNLL takes for one word, `predict` takes for one word of a text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

__all__ = ["BLANKS", "lines_of", "words_of"]

BLANKS = " \t\r\n"
"""What separates words, and may stand around a label."""

_WORD = re.compile(r"[^ \t\r\n]+")


def lines_of(text: str) -> Iterator[str]:
    """Yield lines without their ends.

    One by one: a list of all lines of a file of empty lines is nine times that file.

    Examples
    --------
    >>> list(lines_of("one\\rtwo\\r\\n\\nthree"))
    ['one', 'two', '', 'three']
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    begin = 0
    while begin < len(text):
        end = text.find("\n", begin)
        end = len(text) if end < 0 else end
        yield text[begin:end]
        begin = end + 1


def words_of(text: str) -> list[str]:
    """Return the words of a text, which SPACE, TAB and the ends of lines separate.

    Examples
    --------
    >>> words_of(" costs 10\\u00a0000 euros\\n")
    ['costs', '10\\xa0000', 'euros']
    """
    return _WORD.findall(text)
