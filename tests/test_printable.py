# SPDX-License-Identifier: Apache-2.0
"""Text on its way to people: nothing that a terminal obeys is left, all else is what it was."""

from __future__ import annotations

import html
import re
import unicodedata
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mtfreeze as mtf
from mtfreeze.notices import warn
from mtfreeze.printable import html_text, printable, printable_lines
from support.nasty import BIDI, NASTY, assert_printable
from support.places import PACKAGE

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\n\t\r\x1b\x7f\x85\x9b\u2028" + BIDI)))


@given(TEXTS)
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_terminal_obeys_is_left(text: str) -> None:
    for shown in (printable(text), printable_lines(text), html_text(text)):
        assert_printable(shown)
        shown.encode("utf-8")
    assert len(printable(text).splitlines()) <= 1 and "\t" not in printable(text)
    assert printable_lines(text).count("\n") == text.count("\n")


@given(st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp"))))
@settings(max_examples=100, deadline=None)
def test_other_text_is_what_it_was(text: str) -> None:
    assert printable(text) == printable_lines(text) == text
    assert html.unescape(html_text(text)) == text


@pytest.mark.parametrize("text", ["👩‍👩‍👧", "می‌خواهم", "e\u0301", "\u00ad", "a\u200fb", "日本語"])
def test_joiners_and_marks_of_living_scripts_stay(text: str) -> None:
    assert printable(text) == text


def test_each_control_has_its_escape() -> None:
    for code in [*range(0x20), *range(0x7F, 0xA0), *map(ord, BIDI), 0x2028, 0x2029, 0xFEFF, 0xD800]:
        shown = printable(chr(code))
        assert shown == chr(code).encode("unicode_escape").decode(), hex(code)
        assert all(unicodedata.category(one) != "Cc" for one in shown)


@pytest.mark.parametrize("text", NASTY)
def test_errors_and_warnings(text: str) -> None:
    error = mtf.DataError(f"row 3: {text}")
    assert_printable(str(error))
    assert error.args == (f"row 3: {text}",)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn(f"row 3: {text}", UserWarning)
    assert_printable(str(caught[0].message))


ONLY_PLACES = {
    "click.echo(": {"cli/echo.py"},
    "import escape": set(),
    "html.escape(": {"printable.py"},
    "print(": {"runtime/progress.py", "runtime/threads.py"},
}


@pytest.mark.parametrize("call", ONLY_PLACES)
def test_there_is_one_way_out(call: str) -> None:
    """What writes to people goes through `printable`; a new way would be forgotten above."""
    pattern = re.compile(rf"^(?!\s*(>>>|\.\.\.)).*(?<![\w.`]){re.escape(call)}", re.MULTILINE)
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if pattern.search(path.read_text("utf-8"))
    }
    # Examples in docstrings that have no prompt are no calls.
    assert found - {"training/callbacks.py"} == ONLY_PLACES[call]
