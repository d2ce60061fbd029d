# SPDX-License-Identifier: Apache-2.0
"""Fields of TSV, CSV and JSON lines: what is read back is what was written."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtfreeze.files.fields import csv_cell, json_line, plain_cell, plain_field, tsv_field
from support.nasty import BIDI, NASTY, assert_printable

TEXTS = st.one_of(
    st.sampled_from(NASTY),
    st.text(st.one_of(st.characters(), st.sampled_from("\n\t\r\\\x1b\x85,;\"'=+-@\u2028" + BIDI))),
)
quick = settings(max_examples=200, deadline=None)


@given(st.lists(TEXTS, min_size=1, max_size=4))
@quick
def test_a_line_of_tsv(texts: list[str]) -> None:
    line = "\t".join(map(tsv_field, texts))
    assert_printable(line)
    assert len(line.splitlines()) <= 1
    assert [plain_field(field) for field in line.split("\t")] == texts


@given(st.lists(st.one_of(TEXTS, st.integers(), st.none()), min_size=2, max_size=4))
@quick
def test_a_row_of_csv(values: list[Any]) -> None:
    out = io.StringIO(newline="")
    csv.writer(out).writerow([csv_cell(value) for value in values])
    assert_printable(out.getvalue().replace("\r\n", "\n"))
    (cells,) = csv.reader(io.StringIO(out.getvalue(), newline=""), strict=True)
    for value, cell in zip(values, cells, strict=True):
        if isinstance(value, str):
            assert plain_cell(cell) == value
            assert not cell.lstrip(" \n").startswith(("=", "+", "-", "@", "\t", "\r"))
        else:  # numbers stay numbers
            assert cell == ("" if value is None else str(value))


@given(st.dictionaries(TEXTS, st.one_of(TEXTS, st.lists(TEXTS), st.floats(allow_nan=False))))
@quick
def test_a_json_line(value: dict[str, Any]) -> None:
    line = json_line(value)
    assert_printable(line)
    assert len(line.splitlines()) == 1
    assert json.loads(line) == value


@pytest.mark.parametrize("value", [-0.5, -3, 0.0, 1e-9, True])
def test_numbers_are_numbers(value: float) -> None:
    assert csv_cell(value) is value


def test_ordinary_text_is_written_as_it_is() -> None:
    for text in ("backbone[:3]", "the food was great", "it's 3-1 = 2", "日本語", "a, b", ""):
        assert tsv_field(text) == csv_cell(text) == text
