# SPDX-License-Identifier: Apache-2.0
"""Values as messages show them: as `repr` does, never more than 200 characters of anything.

What is quoted may be a stranger's: a text of a gigabyte, a list that contains itself a billion
times over, a number whose digits Python refuses to print. So a value is written piece by piece,
and no further than what is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["LIMIT", "cut", "quoted"]

LIMIT = 200
"""Characters of one value in a message."""

_DEPTH = 6
_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    dict: ("{", "}"),
}


def cut(text: str, limit: int = LIMIT) -> str:
    """Return a text, or its beginning with an ellipsis: `limit` characters at most.

    Examples
    --------
    >>> cut("backbone"), cut("backbone", 5)
    ('backbone', 'back…')
    """
    return text if len(text) <= limit else text[: limit - 1] + "…"


def quoted(value: object, limit: int = LIMIT) -> str:
    """Return ``repr(value)``, or its beginning with an ellipsis: `limit` characters at most.

    Examples
    --------
    >>> quoted("backbone"), quoted({"a": [1, None]})
    ("'backbone'", "{'a': [1, None]}")
    >>> quoted("x" * 1_000_000, limit=10)
    "'xxxxxxxx…"
    """
    text = ""
    for piece in _pieces(value, limit, _DEPTH):
        text += piece
        if len(text) > limit:
            break
    return cut(text, limit)


def _pieces(value: Any, limit: int, depth: int) -> Iterator[str]:
    """Yield the parts of a value's `repr`; each costs no more than what is shown of it."""
    kind = type(value)
    if kind is str or kind is bytes:
        yield repr(value if len(value) <= limit else value[: limit + 1])
    elif kind is int and value.bit_length() > 4 * limit:
        yield f"an int of about {value.bit_length() * 30103 // 100000:,} digits"
    elif kind in _BRACKETS and value:
        begin, end = _BRACKETS[kind]
        yield begin
        if depth == 0:
            yield "…"
        else:
            yield from _items(value, limit, depth - 1)
        yield ",)" if kind is tuple and len(value) == 1 else end
    else:
        try:
            yield repr(value)
        except Exception:  # what cannot be shown is named by its type
            yield f"<{kind.__name__}>"


def _items(value: Any, limit: int, depth: int) -> Iterator[str]:
    """Yield the items of a container, or its pairs, with what stands between them."""
    for number, item in enumerate(value):
        if number:
            yield ", "
        yield from _pieces(item, limit, depth)
        if type(value) is dict:
            yield ": "
            yield from _pieces(value[item], limit, depth)
