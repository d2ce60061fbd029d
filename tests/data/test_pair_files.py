# SPDX-License-Identifier: Apache-2.0
"""Files of pairs and triplets: columns and keys by name, STS and NLI files as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, DataError
from support.places import shared_file

A, B, C = "A man eats.", "Someone eats.", "A dog."


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def contents(rows: mtf.Examples) -> list[tuple[Any, Any]]:
    return [(row.texts, row.label) for row in rows]


def test_columns_of_several_texts(tmp_path: Path) -> None:
    table = f"id,premise,hypothesis,label\n1,{A},{B},yes\n2,{A},{C},no\n"
    path = written(tmp_path, "rows.csv", table)
    expected = [((A, B), "yes"), ((A, C), "no")]
    with pytest.warns(mtf.UnusedDataWarning, match="'id'"):
        rows = mtf.read_csv(path, text=["premise", "hypothesis"])
    assert contents(rows) == expected and rows[1].source == f"{path}:3"
    tabs = written(tmp_path, "rows.tsv", table.replace(",", "\t"))
    with pytest.warns(mtf.UnusedDataWarning, match="'id'"):
        rows = mtf.read_tsv(tabs, text=["premise", "hypothesis"], label="label", header=True)
    assert contents(rows) == expected
    rows = mtf.read_tsv(written(tmp_path, "a.tsv", f'{A}\t{B}\t"x\n'), text=[0, 1], label=2)
    assert contents(rows) == [((A, B), '"x')]
    rows = mtf.read_csv(
        written(tmp_path, "b.csv", f"{A},{B},{C}\n"), text=[0, 1, 2], label=None, header=False
    )
    assert contents(rows) == [((A, B, C), None)]
    names = {"1": "x", "2": "y"}
    with pytest.warns(mtf.UnusedDataWarning, match="'label'"):
        rows = mtf.read_csv(path, text=["premise", "hypothesis"], label="id", label_map=names)
    assert [row.label for row in rows] == ["x", "y"]


def test_keys_of_several_texts(tmp_path: Path) -> None:
    lines = f'{{"q": "{A}", "d": "{B}", "y": 1, "n": 3}}\n'
    path = written(tmp_path, "rows.jsonl", lines)
    with pytest.warns(mtf.UnusedDataWarning, match="'n'"):
        rows = mtf.read_jsonl(path, text=["q", "d"], label="y")
    assert contents(rows) == [((A, B), 1)]
    with pytest.warns(mtf.UnusedDataWarning, match="'y', 'n'"):
        assert contents(mtf.read_jsonl(path, text=["q", "d"])) == [((A, B), None)]
    with pytest.warns(mtf.UnusedDataWarning):
        assert mtf.read_jsonl(path, text="q", label="y")[0].text == A
    row = f'{{"anchor": "{A}", "positive": "{B}", "negative": "{C}"}}'
    assert contents(mtf.read_jsonl(written(tmp_path, "c.jsonl", row))) == [((A, B, C), None)]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"text": ["a", "a"]}, ConfigError, "texts must be two columns|texts must be columns"),
        ({"text": ["a", "b"], "label": "a"}, ConfigError, "text and label must be two columns"),
        ({"text": [0, -3], "label": "label"}, ConfigError, "found 0 and -3, which are one"),
        ({"text": ["a"], "label": None}, ConfigError, "columns of several texts, or one text and"),
        ({"text": []}, ConfigError, "columns of several texts, or one text and"),
        ({"text": ["a", "bb"]}, DataError, r":1: unknown column 'bb'"),
        ({"text": ["a", "b"], "label": "label"}, DataError, r":3: .*2 texts .* text 2 is empty"),
    ],
)
def test_columns_that_do_not_hold(
    tmp_path: Path, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    path = written(tmp_path, "rows.csv", "a,b,label\nx,y,1\nx,,0\n")
    with pytest.raises(error, match=message):
        mtf.read_csv(path, **arguments)


def test_what_readers_are_told_must_fit(tmp_path: Path) -> None:
    path = written(tmp_path, "rows.jsonl", '{"a": "x", "b": "y", "label": 1}\n')
    with pytest.raises(DataError, match=r":1: unknown key 'c'"):
        mtf.read_jsonl(path, text=["a", "c"])
    with pytest.raises(ConfigError, match="keys of several texts, or of one text and a label"):
        mtf.read_jsonl(path, text="a")
    with pytest.raises(TypeError, match=r"text must be a list of keys"):
        mtf.read_jsonl(path, text=3, label="label")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r":1: .*text 2 of 2 is int 1"):
        mtf.read_jsonl(path, text=["a", "label"])
    with pytest.raises(ConfigError, match="pass text= as well"):
        mtf.read_tsv(path, label=0)


STS = [((A, B), 4.2), ((A, C), 0.0)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", f"{A},{B},4.2\n{A},{C},0\n"),
        ("a.tsv", f"{A}\t{B}\t4.2\n{A}\t{C}\t0\n"),
        ("b.csv", f"score,sentence1,sentence2\n4.2,{A},{B}\n0.0,{A},{C}\n"),
        (
            "b.tsv",
            f"index\tgenre\tsentence1\tsentence2\tscore\n0\tnews\t{A}\t{B}\t4.2\n1\tx\t{A}\t{C}\t0\n",
        ),
        (
            "sts-dev.csv",
            f"main\tMSR\t2012\t1\t4.2\t{A}\t{B}\nmain\tMSR\t2012\t2\t0\t{A}\t{C}\tsource\tother\n",
        ),
    ],
)
def test_sts_files_are_read_as_they_come(tmp_path: Path, name: str, text: str) -> None:
    path = written(tmp_path, name, text)
    assert contents(mtf.read_sts(path)) == STS
    assert [row.label for row in mtf.read_sts(path, divide_by=5)] == [4.2 / 5, 0.0]


def test_the_benchmark_itself() -> None:
    rows = mtf.read_sts(shared_file("stsb", "dev.csv"))
    assert len(rows) == 1500 and rows[1].label == 4.75


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{A},{B},5.1\n", r":1: expected 'score' to be a number from 0 to 5; found '5.1'"),
        (f"{A},{B},4\n{A},{B},high\n", r":2: expected 'score' .* found 'high'"),
        (f"{A},{B},nan\n", r":1: expected columns named .*; found 'A man eats. \| "),
        (f"{A},{B}\n", r":1: expected columns named 'sentence1', 'sentence2', or sentence1, sen"),
        (f"{A},,4\n", r":1: expected 2 texts .* text 2 is empty"),
        (f"{A},{B},4\n{A},{B},{C},4\n", r":2: expected 3 fields, as in the first line; found 4"),
        ("sentence1,sentence2\na,b\n", r":2: expected 'score', .* found 'sentence1', 'sentence2'"),
        ("", "the file is empty"),
    ],
)
def test_what_is_no_sts_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mtf.read_sts(written(tmp_path, "sts.csv", text))


@pytest.mark.parametrize("by", [0, -1, "5", None])
def test_scores_are_divided_by_a_number(tmp_path: Path, by: Any) -> None:
    with pytest.raises((ConfigError, TypeError), match="divide_by"):
        mtf.read_sts(tmp_path / "none.csv", divide_by=by)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "snli.jsonl",
            '{"gold_label": "%s", "sentence1": "%s", "sentence2": "%s", "annotator_labels": []}\n',
        ),
        ("hub.jsonl", '{"label": "%s", "premise": "%s", "hypothesis": "%s"}\n'),
        ("snli.txt", "%s\t%s\t%s\n"),
    ],
)
def test_nli_files_are_read_as_they_come(tmp_path: Path, name: str, text: str) -> None:
    lines = [("entailment", A, B), ("-", A, A), ("neutral", A, C)]
    header = "gold_label\tsentence1\tsentence2\n" if name.endswith("txt") else ""
    path = written(tmp_path, name, header + "".join(text % line for line in lines))
    with pytest.warns(mtf.UnusedDataWarning, match=r"1 pair of 3 without a label .*left out"):
        rows = mtf.read_nli(path)
    assert contents(rows) == [((A, B), "entailment"), ((A, C), "neutral")]


def test_numbers_of_nli_labels_are_never_guessed(tmp_path: Path) -> None:
    line = f'{{"label": 2, "premise": "{A}", "hypothesis": "{B}"}}\n'
    path = written(tmp_path, "nli.jsonl", line)
    with pytest.raises(DataError, match=r":1: .*the number 2, whose meaning differs .*labels="):
        mtf.read_nli(path)
    rows = mtf.read_nli(path, labels=["entailment", "neutral", "contradiction"])
    assert rows[0].label == "contradiction"
    with pytest.raises(DataError, match=r":1: expected 'label' from 0 to 1, .*found 2"):
        mtf.read_nli(path, labels=["contradiction", "entailment"])
    with pytest.raises(TypeError, match="labels must be a list of names"):
        mtf.read_nli(path, labels=3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"premise": "a", "label": "x"}', r":1: expected 'sentence1', 'sentence2'; found 'premi"),
        ('{"premise": "a", "hypothesis": "b"}', r":1: expected 'gold_label', 'label'; found"),
        ('{"premise": "a", "hypothesis": "b", "label": 0.5}', r":1: .*name of a label; found 0.5"),
        ('{"premise": "a", "hypothesis": "", "label": "x"}', r":1: .*text 2 is empty"),
        (
            '{"premise": "a", "hypothesis": "b", "label": "-"}',
            "expected pairs of texts; found none",
        ),
        ('{"premise": "a"\n', r":1: expected a JSON object"),
        ("a\tb\tc\n", r":1: expected columns named"),
        ("sentence1\tsentence2\tgold_label\na\tb\n", r":2: expected 3 fields, .*; found 2"),
    ],
)
@pytest.mark.filterwarnings("ignore::mtfreeze.UnusedDataWarning")
def test_what_is_no_nli_file(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        mtf.read_nli(written(tmp_path, "nli.jsonl", text))
