# SPDX-License-Identifier: Apache-2.0
"""What rows hold beside a text and its label: refused where it changes the meaning, else said."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data import Examples, read_csv, read_file, read_jsonl, read_tsv, words_and_tags
from mtfreeze.data.unused import is_missing
from mtfreeze.errors import ConfigError, DataError


def jsonl(folder: Path, *rows: object) -> Path:
    path = folder / "rows.jsonl"
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    path.write_text("\n".join(lines), "utf-8")
    return path


def written(folder: Path, content: str | bytes, name: str = "rows.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


# Fields and columns of CSV and TSV


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("text,label\na,x\ngood, cheap,x\n", {}, r":3: expected 2 fields, .*found 3 .*quotes"),
        ("text,label,note\na,x\n", {}, r":2: expected 3 fields, as in the first line; found 2"),
        ("a,x\nb,c,x\n", {"header": False, "text": 0, "label": -1}, r":2: expected 2 fields"),
        ("text,label,text\na,x,b\n", {}, r":1: expected one column 'text'; found 2"),
        ("label,text,label\nx,a,y\n", {}, r":1: expected one column 'label'; found 2"),
        ("text;label\na;x\n", {}, r":1: .*separated by ';': pass delimiter=';'"),
        ("text\tlabel\na\tx\n", {}, r"pass delimiter='\\t'"),
        ('"text"|"label"\na|x\n', {}, r"pass delimiter='\|'"),
        ("text,label\na,x\n", {"delimiter": ";"}, r"pass delimiter=','"),
        ("a;x\n", {"header": False, "text": 0, "label": 1}, r":1: .*found 1 .*delimiter=';'"),
        ("sep=;\ntext;label\na;x\n", {}, r":1: .*names another separator; pass delimiter=';'"),
        ("text,label,answer\na,x,accept\nb,y,ignore\n", {}, r":3: .*'answer' is 'ignore'"),
        ("text,label\na,x\n".encode("utf-16"), {}, r"UTF-16; .*iconv -f utf-16 -t utf-8"),
        ("text,label\na,x\n".encode("utf-16-le"), {}, r"UTF-16LE; .*iconv -f utf-16le -t"),
        ("text,label\na,x\n".encode("utf-16-be"), {}, r"UTF-16BE; .*iconv -f utf-16be -t"),
        ("text,label\na,x\n".encode("utf-32"), {}, r"UTF-32; .*iconv -f utf-32 -t utf-8"),
    ],
)
def test_csv_is_refused(
    tmp_path: Path, content: str | bytes, options: dict[str, Any], message: str
) -> None:
    path = written(tmp_path, content)
    with pytest.raises(DataError, match=message):
        read_csv(path, **options)


def test_what_the_advice_says_works(tmp_path: Path) -> None:
    path = written(tmp_path, "sep=;\ntext;label\ngood, cheap;x\n")
    data = read_csv(path, delimiter=";")
    assert [(row.text, row.label, row.source) for row in data] == [
        ("good, cheap", "x", f"{path}:3")
    ]
    path = written(tmp_path, "text,label,text\na,x,b\n")
    with pytest.warns(mtf.UnusedDataWarning, match="'text'"):
        assert read_csv(path, text=2)[0].text == "b"


@pytest.mark.parametrize("columns", [(0, 0), (1, -1), ("text", 0), ("text", "text")])
def test_one_column_is_not_text_and_label(tmp_path: Path, columns: tuple[Any, Any]) -> None:
    path = written(tmp_path, "text,label\na,x\n")
    with pytest.raises(ConfigError, match="text and label must be two columns"):
        read_csv(path, text=columns[0], label=columns[1])


def test_long_fields_are_read(tmp_path: Path) -> None:
    text = 'a "book", ' * 30_000
    quoted = text.replace('"', '""')
    path = written(tmp_path, f'text,label\n"{quoted}",x\n')
    assert read_csv(path)[0].text == text
    assert read_tsv(written(tmp_path, f"{text}\tx\n"))[0].text == text
    assert read_jsonl(jsonl(tmp_path, {"text": text, "label": "x"}))[0].text == text


def test_tabs_of_a_tsv_belong_to_the_text_unless_a_header_counts_the_fields(tmp_path: Path) -> None:
    path = written(tmp_path, "7\tgood\tx\n", "a.tsv")
    assert read_tsv(path)[0].text == "7\tgood"
    path = written(tmp_path, "text\tlabel\na\tx\n7\tgood\tx\n", "a.tsv")
    with pytest.raises(DataError, match=r":3: expected 2 fields, as the header names; found 3"):
        read_tsv(path, header=True)
    path = written(tmp_path, "id\ttext\tlabel\n7\tgood\tx\n", "a.tsv")
    with pytest.raises(DataError, match=r":1: expected a header of 2 names.*found 3.*read_csv"):
        read_tsv(path, header=True)


def test_columns_that_are_not_read_are_said_once(tmp_path: Path) -> None:
    path = written(tmp_path, "id,text,label,,date\n1,a,x,,today\n2,b,y,,today\n")
    with pytest.warns(mtf.UnusedDataWarning) as caught:
        read_csv(path)
    assert len(caught) == 1
    assert "2 columns are not read: 'id', 'date'" in str(caught[0].message)
    assert caught[0].filename == __file__


# Keys of JSON lines and dictionaries

CHANGED = [
    ({"text": "a", "label": "x", "text_b": "b"}, "found a second one, 'text_b'"),
    ({"text": "a", "label": "x", "sentence2": "b"}, "found a second one, 'sentence2'"),
    ({"words": ["a"], "tokens": ["b"], "tags": ["O"]}, "one list of words; found 'words', 'tokens"),
    ({"text": "a", "label": "x", "answer": "reject"}, "'answer' is 'reject': an annotator"),
    ({"text": "a", "label": "x", "answer": "ignore"}, "'answer' is 'ignore': an annotator"),
    ({"text": "a", "label": "x", "status": "discarded"}, "'status' is 'discarded'"),
    ({"text": "a", "label": "x", "was_cancelled": True}, "'was_cancelled' is True"),
    ({"text": "a", "label": "x", "labels": {}}, "expected one of the keys"),
]


@pytest.mark.parametrize(("row", "message"), CHANGED)
def test_rows_that_mean_something_else_are_refused(
    tmp_path: Path, row: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=f":1: .*{message}"):
        read_jsonl(jsonl(tmp_path, row))
    with pytest.raises(DataError, match=f"row 0 of train: .*{message}"):
        mtf.Task(train=[row])


def test_two_texts_are_no_words() -> None:
    pair = Examples.from_rows([(("a man eats", "he is hungry"), "x")])[0]
    assert pair.texts == ("a man eats", "he is hungry") and pair.label == "x"
    assert Examples.from_rows([(("New", "York"), "x")])[0].words == ("New", "York")


def test_a_key_that_stands_twice(tmp_path: Path) -> None:
    path = jsonl(tmp_path, '{"text": "a", "label": "x", "label": "y"}')
    with pytest.raises(DataError, match=r":1: .*the key 'label' stands in it twice"):
        read_jsonl(path)
    path = jsonl(tmp_path, '{"text": "a", "labels": {"x": "1", "x": "2"}}')
    with pytest.raises(DataError, match=r":1: .*the key 'x' stands in it twice"):
        read_jsonl(path)


def test_keys_that_are_not_read_are_said_once(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "label": "x", "answer": "accept", "_input_hash": 1, "meta": {}},
        {"text": "b", "label": "y", "answer": "accept", "_input_hash": 2, "text_pair": None},
    ]
    for read in (lambda: read_jsonl(jsonl(tmp_path, *rows)), lambda: mtf.Task(train=rows)):
        with pytest.warns(mtf.UnusedDataWarning) as caught:
            read()
        assert len(caught) == 1
        assert "2 keys are not read: '_input_hash', 'meta'" in str(caught[0].message)


def test_rows_of_a_text_and_a_label_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Examples.from_rows([{"text": "a", "label": "x"}, {"text": "b", "labels": {"y": 1}}])


def test_a_text_beside_its_words(tmp_path: Path) -> None:
    row = {"text": "Anna went", "tokens": ["Anna", "went"], "ner_tags": ["B-PER", "O"]}
    with pytest.warns(mtf.UnusedDataWarning, match="'text'"):
        tagged = read_jsonl(jsonl(tmp_path, row))
    assert (tagged[0].words, tagged[0].label) == (("Anna", "went"), ("B-PER", "O"))
    with pytest.warns(mtf.UnusedDataWarning, match="'tokens'"):
        texts = Examples.from_rows([{"text": "Anna went", "tokens": ["Anna"], "label": "x"}])
    assert (texts[0].text, texts[0].label) == ("Anna went", "x")


# Exports of annotation tools: the line of the message converts them

PLAIN = ("Anna went", "pos")
TAGGED = (("Anna", "went"), ("B-PER", "O"))
SPAN = {"start": 0, "end": 4, "label": "PER"}
CHOICE = {"value": {"choices": ["pos"]}, "type": "choices"}
REGION = {"value": {"start": 0, "end": 4, "text": "Anna", "labels": ["PER"]}, "type": "labels"}
EXPORTS: list[tuple[dict[str, Any], Any]] = [
    ({"text": "Anna went", "label": [[0, 4, "PER"]]}, TAGGED),
    ({"text": "Anna went", "labels": [[0, 4, "PER"]]}, TAGGED),
    (
        {"text": "Anna went", "entities": [{"label": "PER", "start_offset": 0, "end_offset": 4}]},
        TAGGED,
    ),
    ({"data": "Anna went", "label": [[0, 4, "PER"]]}, TAGGED),
    ({"data": "Anna went", "label": ["pos"]}, PLAIN),
    ({"text": "Anna went", "spans": [SPAN], "tokens": [{"text": "Anna"}]}, TAGGED),
    ({"text": "Anna went", "options": [{"id": "pos"}], "accept": ["pos"]}, PLAIN),
    ({"text": "Anna went", "cats": {"pos": 1.0, "neg": 0.0}}, PLAIN),
    ({"data": {"text": "Anna went"}, "annotations": [{"result": [CHOICE]}]}, PLAIN),
    ({"data": {"text": "Anna went"}, "annotations": [{"result": [REGION]}]}, TAGGED),
    ({"text": "Anna went", "label": [REGION["value"]]}, TAGGED),
]


@pytest.mark.parametrize(("row", "wanted"), EXPORTS)
def test_exports_are_refused_with_the_line_that_converts(
    tmp_path: Path, row: dict[str, Any], wanted: Any
) -> None:
    with pytest.raises(DataError, match=r"; (a head labels words: )?write ") as caught:
        read_jsonl(jsonl(tmp_path, row))
    line = str(caught.value).rpartition("write ")[2]
    converted = eval(line, {"mtf": mtf, "row": row})
    assert (
        Examples.from_rows([converted])[0].content,
        Examples.from_rows([converted])[0].label,
    ) == wanted


def test_one_label_in_a_list_is_that_label(tmp_path: Path) -> None:
    assert read_jsonl(jsonl(tmp_path, {"text": "a", "label": ["pos"]}))[0].label == "pos"


@pytest.mark.parametrize("indent", [None, 2])
def test_a_json_array_is_given_as_rows(tmp_path: Path, indent: int | None) -> None:
    rows = [{"text": "a", "label": "x"}]
    path = jsonl(tmp_path, json.dumps(rows, indent=indent))
    with pytest.raises(DataError, match=r":1: .*json.load\(open\(path\)\), to Task"):
        read_file(path)
    assert Examples.from_rows(json.loads(path.read_text()))[0].label == "x"


def test_words_and_tags() -> None:
    words, tags = words_and_tags("In New York, Anna.", [(3, 12 - 1, "LOC"), (12, 17, "PER")])
    assert words == ("In", "New", "York", ",", "Anna", ".")
    assert tags == ("O", "B-LOC", "I-LOC", "O", "B-PER", "O")
    assert words_and_tags("", []) == ((), ())
    for spans, message in (
        ([(0, 2, "X")], "entities of whole words; found the span .* over 'An'"),
        ([(4, 5, "X")], "entities of whole words"),
        ([(0, 4, "X"), (0, 9, "Y")], "do not overlap"),
        ([(0, 99, "X")], "within the 9 characters"),
        ([(5, 5, "X")], "within the 9 characters"),
    ):
        with pytest.raises(DataError, match=message):
            words_and_tags("Anna went", spans)
    for wrong in (5, [(0, 4)], [(0.5, 4, "X")], ["ab"]):
        with pytest.raises(TypeError, match="span"):
            words_and_tags("Anna went", wrong)  # type: ignore[arg-type]


class Neither:
    """Is neither equal to itself nor not, as the mark of frames for nothing."""

    def __eq__(self, other: object) -> bool:
        raise TypeError("ambiguous")

    __hash__ = None  # type: ignore[assignment]


def test_what_cannot_be_compared_stands_for_nothing_unless_it_holds_something() -> None:
    assert is_missing(Neither()) and is_missing(float("nan")) and is_missing(None)
    assert not is_missing(np.zeros(2)) and not is_missing("") and not is_missing(0)
