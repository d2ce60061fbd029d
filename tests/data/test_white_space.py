# SPDX-License-Identifier: Apache-2.0
"""White space is what the format says: line ends, separators, and what belongs to a word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.data import read_conll, read_csv, read_jsonl, read_tsv
from mtfreeze.data.white_space import lines_of, words_of
from mtfreeze.errors import DataError

NO_BLANKS = "\x0b\x0c\x1c\x1d\x1e\x1f\x85\xa0\u2003\u2028\u2029\u202f\u3000\ufeff"
"""What ``str.split`` or ``str.splitlines`` or an editor may take for white space, and no format."""

FILES: dict[str, tuple[Callable[..., Any], str]] = {
    "tsv": (read_tsv, "good\tpos\nbad\tneg\n\nfine\tpos\n"),
    "csv": (read_csv, "text,label\ngood,pos\nbad,neg\n\nfine,pos\n"),
    "jsonl": (read_jsonl, '{"text": "a", "label": "x"}\n\n{"text": "b", "label": "y"}\n'),
    "conll": (read_conll, "Anna B-PER\nwent O\n\nHe O\n"),
}


@pytest.mark.parametrize("end", ["\r\n", "\r"])
@pytest.mark.parametrize("name", FILES)
def test_lines_end_at_lf_crlf_and_cr(tmp_path: Path, name: str, end: str) -> None:
    reader, content = FILES[name]
    path = tmp_path / "data"
    path.write_bytes(content.encode())
    expected = list(reader(path))
    assert len(expected) > 1
    path.write_bytes(content.replace("\n", end).encode())
    assert list(reader(path)) == expected  # the same rows, from the same line numbers


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_a_byte_that_is_not_utf8_is_found_on_its_line(tmp_path: Path, end: bytes) -> None:
    path = tmp_path / "data.tsv"
    path.write_bytes(end.join([b"a\t1", b"b\t1", b"caf\xe9\t0"]))
    with pytest.raises(DataError, match=r":3: expected UTF-8; found byte 0xe9 at byte 4 of"):
        read_tsv(path)


def test_lines() -> None:
    assert list(lines_of("a\rb\r\nc\n\rd\x85e\u2028f\x0cg")) == [
        *("a", "b", "c", "", "d\x85e\u2028f\x0cg")
    ]
    assert list(lines_of("")) == []


@pytest.mark.parametrize("space", NO_BLANKS, ids=ascii)
def test_other_spaces_belong_to_their_word(tmp_path: Path, space: str) -> None:
    words = ("costs", f"10{space}000", f"{space}", "euros")
    path = tmp_path / "data.conll"
    for blank in (" ", "\t", "  "):
        path.write_bytes("".join(f"{word}{blank}O\n" for word in words).encode())
        assert [row.words for row in read_conll(path)] == [words]
    assert words_of(" ".join(words)) == list(words)
    path.write_bytes(f"a{space}text{space}\t pos \n".encode())
    assert [(row.text, row.label) for row in read_tsv(path)] == [(f"a{space}text{space}", "pos")]


def test_a_line_of_other_spaces_is_not_empty(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes("a\tO\n\xa0\nb\tO\n".encode())
    with pytest.raises(DataError, match=r":2: expected token<TAB>tag; found one field"):
        read_conll(path)
    with pytest.raises(DataError, match=r":2: expected text<TAB>label; found no TAB"):
        read_tsv(path)
    path.write_bytes(b'{"text": "a", "label": "x"}\n\x0c\n')
    with pytest.raises(DataError, match=r":2: expected a JSON object"):
        read_jsonl(path)


def test_labels_of_tsv_and_csv_lose_the_same_spaces(tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_bytes("a\t pos\x85 \n".encode())
    (tmp_path / "a.csv").write_bytes("text,label\na, pos\x85 \n".encode())
    labels = [row[0].label for row in (read_tsv(tmp_path / "a.tsv"), read_csv(tmp_path / "a.csv"))]
    assert labels == ["pos\x85", "pos\x85"]
