# SPDX-License-Identifier: Apache-2.0
"""What was written is what is read: rows of any text, through every reader."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mtfreeze.data import Examples, read_conll, read_csv, read_jsonl, read_tsv

ENDS = st.sampled_from(["\n", "\r\n", "\r"])
ANY = st.characters(codec="utf-8")
SPACES = st.sampled_from(" \t\x0b\x0c\x1c\x1f\x85\xa0\u2028\u3000#-_\"',\\")
INLINE = st.text(st.one_of(ANY, SPACES).filter(lambda one: one not in "\r\n"), max_size=8)
"""Any text of one line."""

LABEL = st.text(ANY.filter(lambda one: one not in " \t\r\n"), min_size=1, max_size=4)
some = settings(max_examples=60, deadline=None, database=None)


def read(reader: Callable[..., Examples], content: str, **options: Any) -> Examples:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        path.write_bytes(content.encode("utf-8"))
        return reader(path, **options)


@some
@given(st.lists(st.tuples(INLINE, LABEL), min_size=1, max_size=4), ENDS)
def test_tsv(rows: list[tuple[str, str]], end: str) -> None:
    # A byte-order mark at the very beginning of a file is one, and no part of its text.
    content = "\ufeff" + "".join(f"{text}\t{label}{end}" for text, label in rows)
    assert [(row.text, row.label) for row in read(read_tsv, content)] == rows


@some
@given(st.lists(st.tuples(st.text(ANY, max_size=8), LABEL), min_size=1, max_size=4), ENDS)
def test_csv(rows: list[tuple[str, str]], end: str) -> None:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    assert [(row.text, row.label) for row in read(read_csv, out.getvalue())] == rows


@some
@given(st.lists(st.tuples(st.text(ANY, max_size=8), LABEL), min_size=1, max_size=4), ENDS)
def test_jsonl_texts(rows: list[tuple[str, str]], end: str) -> None:
    content = end.join(
        json.dumps({"text": text, "label": label}, ensure_ascii=False) for text, label in rows
    )
    assert [(row.text, row.label) for row in read(read_jsonl, content)] == rows


TAGS = st.one_of(LABEL, st.none(), st.sampled_from(["-", "_", "-100"]))
WORDS = st.lists(st.tuples(st.text(ANY, max_size=5), TAGS), min_size=1, max_size=4)


@some
@given(st.lists(WORDS, min_size=1, max_size=3), ENDS)
def test_jsonl_words(rows: list[list[tuple[str, str | None]]], end: str) -> None:
    content = end.join(
        json.dumps({"words": [word for word, _ in row], "tags": [tag for _, tag in row]})
        for row in rows
    )
    found = read(read_jsonl, content, scheme="words")
    assert [list(zip(row.words or (), row.label, strict=True)) for row in found] == rows


TOKEN = st.text(
    st.one_of(ANY, SPACES).filter(lambda one: one not in " \t\r\n"), min_size=1, max_size=5
).filter(lambda word: not word.startswith("-DOCSTART-"))
PARTS = ("NOUN", "VERB", "#", "B-x", "O", "\u3000")
SENTENCES = st.lists(
    st.lists(st.tuples(TOKEN, st.sampled_from(PARTS)), min_size=1, max_size=4),
    min_size=1,
    max_size=3,
)


@some
@given(SENTENCES, ENDS, st.sampled_from([" ", "\t", "   "]), st.booleans(), st.booleans())
def test_conll(
    sentences: list[list[tuple[str, str]]], end: str, blank: str, swapped: bool, comments: bool
) -> None:
    lines = []
    for number, sentence in enumerate([[("one", "word")], *sentences]):
        lines += [f"# sent_id = {number}", "# text O, of more than three fields"] * comments
        for word, tag in sentence:
            # The tag of every word is one that a word other than # has.
            lines.append(blank.join((tag, "-", word) if swapped else (word, "-", tag)))
        lines.append("")
    known = [blank.join((tag, "-", "x") if swapped else ("x", "-", tag)) for tag in PARTS]
    content = end.join(["-DOCSTART- -X- O", "", *lines, *known])
    places = {"word_column": 2, "column": 0} if swapped else {}
    found = read(read_conll, content, scheme="words", **places)
    assert [list(zip(row.words or (), row.label, strict=True)) for row in found[1:-1]] == sentences
