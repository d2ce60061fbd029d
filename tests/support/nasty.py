# SPDX-License-Identifier: Apache-2.0
"""Strings that break output: controls, overrides of direction, formulas, markup, mathtext."""

from __future__ import annotations

import re

BIDI = "".join(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]))
"""Embeddings, overrides and isolates of writing direction."""

NASTY = (
    "\x1b[31mred\x1b[0m",
    "\x9b2J",
    "two\nlines",
    "one\r\x1b[Kother",
    "tab\tulator",
    "\x00nul\x7f\x08",
    "\u202egnp.exe",
    "iso\u2067late\u2069",
    "line\u2028separator\x85next",
    "=cmd|' /C calc'!A0",
    "+1-2",
    "-3",
    "@sum(A1)",
    "\t=1",
    "\r=1",
    "'quoted",
    "C:\\new\\table",
    'say "hi", twice',
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(2)'>",
    "&amp;",
    "$x^2$",
    "US$ or $\\frac{1}{$",
    "_underscore",
    "%s {0} {name}",
    "日本語 🙂 é",
    "",
    " space ",
)

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff" + BIDI + "]")


def assert_printable(text: str) -> None:
    """Assert that text holds nothing, beside newline and TAB, that a terminal would obey."""
    found = _OBEYED.search(text)
    assert found is None, repr(text[max(0, found.start() - 40) : found.end() + 40])
