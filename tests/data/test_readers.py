# SPDX-License-Identifier: Apache-2.0
"""Readers of TSV, CSV, JSONL and CoNLL: what they return, and what they say of malformed files."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mtfreeze.data import read_conll, read_csv, read_file, read_jsonl, read_tsv
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.notices import UnusedDataWarning
from support.places import shared_file


def write(folder: Path, content: str | bytes, name: str = "data.txt") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# TSV


def test_tsv_label_is_the_last_field_and_quotes_mean_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, 'He said "no\tone\t0\n"quoted"\t1\n\t1\n')
    data = read_tsv(path)
    assert [row.text for row in data] == ['He said "no\tone', '"quoted"', ""]
    assert [row.label for row in data] == ["0", "1", "1"]
    assert data[1].source == f"{path}:2"


@pytest.mark.parametrize(
    "content", ["a\t1\nb\t0", "a\t1\r\nb\t0\r\n", "\ufeffa\t1\n\n  \nb\t0\n\n"]
)
def test_tsv_line_ends_bom_and_blank_lines(tmp_path: Path, content: str) -> None:
    data = read_tsv(write(tmp_path, content))
    assert [(row.text, row.label) for row in data] == [("a", "1"), ("b", "0")]


def test_tsv_characters_that_splitlines_would_cut_stay_in_the_text(tmp_path: Path) -> None:
    text = "one\x85two\u2028three\x0bfour\x1cfive"
    data = read_tsv(write(tmp_path, f"{text}\t1\n"))
    assert [row.text for row in data] == [text]


def test_tsv_header_and_label_map(tmp_path: Path) -> None:
    path = write(tmp_path, "sentence\tlabel\ngood\t1\nbad\t0\n")
    data = read_tsv(path, header=True, label_map={"0": "negative", "1": "positive"})
    assert [row.label for row in data] == ["positive", "negative"]
    with pytest.raises(DataError, match=re.escape(f"{path}:1: unknown label 'label'")):
        read_tsv(path, label_map={"0": "negative", "1": "positive"})


def test_tsv_real_files() -> None:
    for name in ("amazon_cells", "imdb", "yelp"):
        data = read_tsv(shared_file("reviews", f"{name}_labelled.txt"))
        assert data.labels() == {"0": 500, "1": 500}
    assert read_tsv(shared_file("sst2", "train.tsv")).labels() == {"0": 3310, "1": 3610}
    assert len(read_tsv(shared_file("sst2", "dev.tsv"))) == 872


# CSV


def test_csv_by_name_number_and_quoting(tmp_path: Path) -> None:
    path = write(tmp_path, 'id,text,label\n1,"a, ""b""\nc",pos\n2,d,neg\n')
    with pytest.warns(UnusedDataWarning, match=r"data.txt: 1 column is not read: 'id'"):
        data = read_csv(path)
    assert [(row.text, row.label) for row in data] == [('a, "b"\nc', "pos"), ("d", "neg")]
    assert [row.source for row in data] == [f"{path}:2", f"{path}:4"]
    with pytest.warns(UnusedDataWarning, match="'id'"):
        again = read_csv(path, text=1, label=-1)
    assert [row.text for row in again] == [row.text for row in data]


def test_csv_without_header_and_other_delimiter(tmp_path: Path) -> None:
    path = write(tmp_path, "good;1\nbad;0\n")
    data = read_csv(path, text=0, label=1, header=False, delimiter=";")
    assert [(row.text, row.label) for row in data] == [("good", "1"), ("bad", "0")]
    with pytest.raises(ConfigError, match=r"header=False leaves columns without names.*text=0"):
        read_csv(path, header=False)


def test_csv_real_file() -> None:
    path = shared_file("stsb", "dev.csv")
    with pytest.warns(UnusedDataWarning, match="1 column is not read: '1'"):
        data = read_csv(path, text=0, label=2, header=False)
    assert len(data) == 1500
    assert data[0].text == "A man with a hard hat is dancing."
    assert data[0].label == "5.0"


# JSONL


def test_jsonl_row_forms(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"text": "good", "label": "positive", "id": 7}\n\n{"text": "", "label": 0}\n'
        '{"text": "fine", "labels": {"classifier": "positive", "topic": null}}\n',
    )
    with pytest.warns(UnusedDataWarning, match=r"data.txt: 1 key is not read: 'id'"):
        texts = read_jsonl(path)
    assert [row.content for row in texts] == ["good", "", "fine"]
    assert [row.label_for("classifier") for row in texts] == ["positive", 0, "positive"]
    assert texts[2].label_for("topic") is None
    words = read_jsonl(
        write(
            tmp_path,
            '{"words": ["Anna", "left"], "tags": ["B-person", "O"]}\n'
            '{"tokens": ["He"], "ner_tags": [0]}\n{"words": [], "tags": []}\n'
            '{"words": ["Rome"], "labels": {"ner": ["B-place"], "topic": "travel"}}\n',
        )
    )
    assert [row.words for row in words] == [("Anna", "left"), ("He",), (), ("Rome",)]
    assert words[0].label == ("B-person", "O")
    assert words[3].label_for("ner") == ("B-place",)
    assert words[3].label_for("topic") == "travel"


def test_jsonl_label_maps(tmp_path: Path) -> None:
    path = write(tmp_path, '{"text": "a", "labels": {"x": 0, "y": "0"}}\n')
    flat = read_jsonl(path, label_map={"0": "zero"})
    assert flat[0].labels == {"x": "zero", "y": "zero"}
    by_task = read_jsonl(path, label_map={"y": {"0": "null"}})
    assert by_task[0].labels == {"x": 0, "y": "null"}
    single = write(tmp_path, '{"text": "a", "label": 0}\n', "single.jsonl")
    with pytest.raises(DataError, match="found maps by task 'y'"):
        read_jsonl(single, label_map={"y": {"0": "null"}})


# CoNLL


def test_conll_sentence_ends_and_separators(tmp_path: Path) -> None:
    content = (
        "-DOCSTART- -X- O O\n\nAnna\tB-person\nleft\tO\n\t\nRome NNP B-place\n \n\n\u00a0\tO\n"
    )
    data = read_conll(write(tmp_path, content))
    assert [row.words for row in data] == [("Anna", "left"), ("Rome",), ("\u00a0",)]
    assert [row.label for row in data] == [("B-person", "O"), ("B-place",), ("O",)]
    assert data[1].source.endswith(":6")


def test_conll_schemes_columns_and_label_map(tmp_path: Path) -> None:
    path = write(tmp_path, "Anna I-PER x\nSmith I-PER x\nBob B-PER x\nleft O x\n")
    data = read_conll(path, scheme="iob1", column=1)
    assert data[0].label == ("B-PER", "I-PER", "B-PER", "O")
    mapped = read_conll(
        path, column=1, label_map={"I-PER": "I-person", "B-PER": "B-person", "O": "O"}
    )
    assert mapped[0].label == ("I-person", "I-person", "B-person", "O")
    with pytest.raises(ConfigError, match=r"unknown tag scheme 'IOB-2'.*did you mean 'iob2'"):
        read_conll(path, scheme="IOB-2")


def test_conll_real_files() -> None:
    expected = {"train": (3394, 62730), "dev": (1009, 15733), "test": (1287, 23394)}
    for name, (sentences, words) in expected.items():
        data = read_conll(shared_file("wnut17", f"{name}.conll"))
        assert (len(data), sum(data.labels().values())) == (sentences, words)


# What is said of files that do not hold

Reader = Callable[..., Any]

MALFORMED: list[tuple[Reader, str | bytes, str]] = [
    (read_tsv, "good\t1\nno label here\n", r":2: expected text<TAB>label; found no TAB in 'no la"),
    (read_tsv, "good\t1\nbad\t \n", r":2: expected a label after the last TAB; found none"),
    (read_tsv, "", "the file is empty"),
    (read_tsv, " \n\n", "the file is empty"),
    (read_tsv, b"\xef\xbb\xbf", "the file is empty"),
    (read_tsv, b"good\t1\ncaf\xe9\t0\n", r":2: expected UTF-8; found byte 0xe9 at byte 4 of"),
    (read_tsv, "good\t1\n".encode("utf-16"), "expected UTF-8; found UTF-16"),
    (read_csv, "txet,label\na,b\n", r":1: unknown column 'text'.*did you mean 'txet'"),
    (read_csv, "text,label\nonly one\n", r":2: expected a column 1; found 1 fields"),
    (read_csv, "text,label\na,\n", r":2: expected a label; found an empty field"),
    (read_csv, 'text,label\n"a"b,c\n', r":2: expected CSV; found a row that is not"),
    (read_csv, 'text,label\na,b\n"open,c\nd,e\n', r"the row that begins at line 3"),
    (read_csv, "text,label\n", "expected rows of data; found none"),
    (read_jsonl, '{"text": "a", "label": 1}\n{"text"\n', r":2: expected a JSON object; found '{"),
    (read_jsonl, "[1, 2]\n", r":1: expected a JSON object; found '\[1, 2\]'"),
    (read_jsonl, "[" * 100000 + "\n", r":1: expected a JSON object"),
    (read_jsonl, '{"text": "a", "lable": 1}\n', r":1: .*found 'lable'; did you mean 'label'"),
    (read_jsonl, '{"txt": "a", "label": 1}\n', r":1: .*found 'txt'; did you mean 'text'"),
    (read_jsonl, '{"text": null, "label": 1}\n', r":1: expected a text \(str\); found None"),
    (read_jsonl, '{"text": 3, "label": 1}\n', r":1: expected a text \(str\); found int 3"),
    (read_jsonl, '{"text": "a", "label": 1e999}\n', r":1: expected a label name .*found float inf"),
    (read_jsonl, '{"text": "a", "label": NaN}\n', r":1: expected a label name .*found float nan"),
    (read_jsonl, '{"text": "a", "label": true}\n', r":1: expected a label name .*found bool True"),
    (read_jsonl, '{"text": "a", "labels": "x"}\n', r":1: expected 'labels' to map task names"),
    (read_jsonl, '{"text": "a", "label": ["x", null]}\n', r":1, label 1: expected a label name"),
    (read_jsonl, '{"text": "a", "label": 1, "labels": {}}\n', r":1: expected one of the keys"),
    (read_jsonl, '{"text": "a", "tags": ["O"]}\n', r":1: a list of tags needs a list of words"),
    (read_jsonl, '{"words": ["a"], "tags": ["O", "O"]}\n', r":1: .*found 1 words and 2 tags"),
    (read_jsonl, '{"words": ["a", "b"], "tags": ["O", 1]}\n', r":1: .*all names or all indices"),
    (read_jsonl, '{"words": "a b", "tags": ["O"]}\n', r":1: expected a list of words"),
    (read_jsonl, '{"words": ["a", 5], "tags": ["O", "O"]}\n', r":1: expected words.*word 1 is int"),
    (read_jsonl, '{"text": "a", "label": 1}\n{"words": ["a"], "tags": [1]}\n', "rows of one kind"),
    (read_conll, "Anna\tB-person\nleft\n", r":2: expected token<TAB>tag; found one field 'left'"),
    (read_conll, "Anna\tB-person\n\tO\n", r":2: .*found an empty token"),
    (read_conll, "Anna\tB-person\nleft\t\n", r":2: .*found an empty tag"),
    (read_conll, b"Anna\tB-person\n\xff\tO\n", r":2: expected UTF-8; found byte 0xff at byte 1"),
    (read_conll, "\n \n\t\n", "the file is empty"),
    (read_conll, "-DOCSTART-\tO\n\n", "expected rows of data; found none"),
]


@pytest.mark.parametrize(("reader", "content", "message"), MALFORMED)
def test_malformed_files_name_file_line_and_reason(
    tmp_path: Path, reader: Reader, content: str | bytes, message: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(DataError, match=message) as caught:
        reader(path)
    assert str(path) in str(caught.value) or path.name in str(caught.value)


def test_conll_column_out_of_range(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r":1: expected a tag in column 5"):
        read_conll(write(tmp_path, "Anna B-person\n"), column=5)


def test_missing_file_names_the_closest(tmp_path: Path) -> None:
    write(tmp_path, "a\t1\n", "train.tsv")
    with pytest.raises(FileNotFoundError, match=r"did you mean 'train.tsv'"):
        read_tsv(tmp_path / "trian.tsv")
    with pytest.raises(FileNotFoundError, match="no folder"):
        read_tsv(tmp_path / "nowhere" / "train.tsv")
    with pytest.raises(TypeError, match=r"path must be a path .*; found int 5"):
        read_tsv(5)  # type: ignore[arg-type]


def test_read_file_goes_by_suffix(tmp_path: Path) -> None:
    assert read_file(write(tmp_path, "a\t1\n", "a.TSV")).labels() == {"1": 1}
    assert read_file(write(tmp_path, "text,label\na,1\n", "a.csv")).labels() == {"1": 1}
    assert read_file(write(tmp_path, '{"text":"a","label":1}\n', "a.jsonl")).labels() == {1: 1}
    assert read_file(write(tmp_path, "a\tO\n", "a.conll"), scheme="iob1").kind == "words"
    with pytest.raises(ConfigError, match=r"found '.jsn'; did you mean '.json'"):
        read_file(write(tmp_path, "{}", "a.jsn"))


# rows that do not hold, left out

TWO_GOOD = [
    (read_tsv, "a\t1\nno tab\nb\t0\nc\t \n", [2, 4]),
    (read_csv, "text,label\na,1\nb\nc, \nd,0\n", [3, 4]),
    (
        partial(read_csv, text=0, label=1),
        "text,label,verdict\na,1,\nb,1,rejected\nc,1,2,3\nd,0,\n",
        [3, 4],
    ),
    (read_csv, 'text,label\na,1\nb,0\nc,"d"e\n', [4]),
    (
        read_jsonl,
        '{"text": "a", "label": 1}\n{"text"\n[1]\n{"text": 3, "label": 1}\n{"text": "a"}\n'
        '{"text": "b", "label": 0}\n',
        [2, 3, 4, 5],
    ),
    (
        read_jsonl,
        '{"words": ["a"], "tags": ["O"]}\n{"words": ["a"], "tags": ["O", "O"]}\n'
        '{"words": ["b"], "tags": ["O"]}\n',
        [2],
    ),
    (
        partial(read_jsonl, scheme="iobes"),
        '{"words": ["a"], "tags": ["O"]}\n{"words": ["a"], "tags": ["M-x"]}\n'
        '{"words": ["b"], "tags": ["S-x"]}\n',
        [2],
    ),
    (read_conll, "a\tO\n\nlost\tO\nalone\nlost too\tO\n\n\tO\n\nb\tB-x\n", [4, 7]),
    (partial(read_conll, scheme="bilou"), "a\tO\n\nb\tE-x\n\nc\tU-x\n", [3]),
]


@pytest.mark.parametrize(("reader", "content", "lines"), TWO_GOOD)
def test_rows_that_do_not_hold_are_handed_over_and_left_out(
    tmp_path: Path, reader: Reader, content: str, lines: list[int]
) -> None:
    path, faults = write(tmp_path, content), list[DataError]()
    data = reader(path, on_fault=faults.append)
    assert len(data) == 2
    assert [str(fault).partition(": ")[0] for fault in faults] == [f"{path}:{n}" for n in lines]
    with pytest.raises(DataError) as caught:
        reader(path)
    assert str(caught.value) == str(faults[0])


def test_a_file_of_nothing_but_faults_is_an_error_and_on_fault_is_a_function(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "no tab\n")
    with pytest.raises(DataError, match="expected rows of data; found none"):
        read_tsv(path, on_fault=list[DataError]().append)
    for reader in (read_tsv, read_csv, read_jsonl, read_conll):
        with pytest.raises(TypeError, match=r"on_fault must be a function .* found int 3"):
            reader(path, on_fault=3)  # type: ignore[arg-type]
