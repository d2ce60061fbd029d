# SPDX-License-Identifier: Apache-2.0
"""Readers of rows, drawn at random: what was written is what is read, or the reader refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtfreeze.data import Examples, read_csv, read_jsonl, read_tsv
from mtfreeze.errors import DataError

# A mark at the beginning of a file is none of its text, and a file full of zeros is no UTF-8 text.
CHARACTERS = st.one_of(
    st.sampled_from(" \t,;|\"'\\=\x0b\x0c\x1c\x85\u2028\u200b"),
    st.characters(exclude_characters="\0\r\n\ufeff", exclude_categories=["Cs"]),
)
TEXTS = st.text(CHARACTERS, max_size=12)
LABELS = st.text(st.sampled_from("abcdß\u0301éÅ0123-+.:;,\"'|/#"), min_size=1, max_size=6)
LONG = st.builds(lambda text, n: text * n, st.text(CHARACTERS, min_size=1), st.integers(1, 90_000))
ROWS = st.lists(st.tuples(TEXTS, LABELS), min_size=1, max_size=5)
quick = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows") / "rows.txt"


def pairs(examples: Examples) -> list[object]:
    return [(row.content, row.label) for row in examples]


@given(rows=ROWS, end=st.sampled_from(["\n", "\r\n"]), last=st.booleans(), mark=st.booleans())
@quick
def test_tsv(path: Path, rows: list[tuple[str, str]], end: str, last: bool, mark: bool) -> None:
    content = end.join(f"{text}\t{label}" for text, label in rows) + end * last
    path.write_bytes(content.encode("utf-8-sig" if mark else "utf-8"))
    assert pairs(read_tsv(path)) == rows


@given(
    rows=st.lists(
        st.tuples(st.one_of(TEXTS, st.text(st.sampled_from('a"\r\n,;')), LONG), LABELS, TEXTS),
        min_size=1,
        max_size=4,
    ),
    delimiter=st.sampled_from(",;\t|"),
    every=st.booleans(),
    header=st.booleans(),
)
@quick
@pytest.mark.filterwarnings("ignore::mtfreeze.UnusedDataWarning")
def test_csv(
    path: Path, rows: list[tuple[str, str, str]], delimiter: str, every: bool, header: bool
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        quoting = csv.QUOTE_ALL if every else csv.QUOTE_MINIMAL
        writer = csv.writer(file, delimiter=delimiter, quoting=quoting)
        writer.writerows([("body", "kind", "more")] * header + rows)
    columns: dict[str, str | int] = {"text": "body", "label": "kind"}
    if not header:
        columns = {"text": 0, "label": 1}
    before = csv.field_size_limit()
    found = read_csv(path, header=header, delimiter=delimiter, **columns)  # type: ignore[arg-type]
    assert pairs(found) == [row[:2] for row in rows]
    assert csv.field_size_limit() == before


@given(rows=ROWS, at=st.integers(0, 4), extra=st.sampled_from([-1, 1, 2]))
@quick
def test_csv_with_another_number_of_fields(
    path: Path, rows: list[tuple[str, str]], at: int, extra: int
) -> None:
    lines: list[list[str]] = [list(row) for row in rows]
    wrong = at % len(lines)
    lines[wrong] = lines[wrong][:1] if extra < 0 else lines[wrong] + ["more"] * extra
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["text", "label"], *lines])
    with pytest.raises(DataError, match=f":{wrong + 2}: expected .*; found {len(lines[wrong])} "):
        read_csv(path)


@given(
    rows=st.lists(
        st.tuples(
            st.one_of(TEXTS, LONG, st.text(st.sampled_from("a\r\n\0\ufeff"))),
            st.one_of(LABELS, st.integers(-(2**70), 2**70), st.floats(allow_nan=False, width=32)),
        ).filter(lambda row: abs(row[1]) < float("inf") if isinstance(row[1], float) else True),
        min_size=1,
        max_size=4,
    ),
    plain=st.booleans(),
)
@quick
def test_jsonl(path: Path, rows: list[tuple[str, object]], plain: bool) -> None:
    path.write_text(
        "".join(
            json.dumps({"text": text, "label": label}, ensure_ascii=plain) + "\n"
            for text, label in rows
        ),
        encoding="utf-8",
    )
    assert pairs(read_jsonl(path)) == rows


@given(rows=st.lists(st.lists(st.tuples(TEXTS, LABELS), max_size=5), min_size=1, max_size=4))
@quick
def test_jsonl_of_words(path: Path, rows: list[list[tuple[str, str]]]) -> None:
    wanted = [(tuple(w for w, _ in row), tuple(t for _, t in row)) for row in rows]
    path.write_text(
        "".join(json.dumps({"words": words, "tags": tags}) + "\n" for words, tags in wanted),
        encoding="utf-8",
    )
    assert pairs(read_jsonl(path)) == wanted


@given(rows=ROWS)
@quick
def test_columns_rows_and_files_are_one(path: Path, rows: list[tuple[str, str]]) -> None:
    texts, labels = map(list, zip(*rows, strict=True))
    wanted = pairs(Examples.from_rows(rows))
    assert pairs(Examples.from_rows({"text": texts, "label": labels})) == wanted
    dictionaries = [{"text": text, "label": label} for text, label in rows]
    assert pairs(Examples.from_rows(dictionaries)) == wanted == rows
