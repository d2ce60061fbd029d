# SPDX-License-Identifier: Apache-2.0
"""`read_table` and readers of columns: frames, data sets, columns and files by named columns."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mtfreeze as mtf
from mtfreeze.data.table_rows import label_order
from mtfreeze.errors import ConfigError, DataError

COLUMNS = {
    "review": ["good", "bad", "so so"],
    "mood": ["glad", "sad", None],
    "topic": ["a", "", "b"],
}
TWO = 'review,mood,topic\ngood,glad,a\nbad,sad,\n"so, so",,b\n'


class Named:
    """A feature of a data set whose numbers have names."""

    names = ("sad", "glad")


class DataSet:
    """Rows with features, as the package datasets has them: no columns, no method for rows."""

    def __init__(self, rows: list[dict[str, Any]], key: str = "label") -> None:
        self.features = {key: Named()}
        self._rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._rows)


def plain(rows: mtf.Examples) -> list[tuple[object, object]]:
    return [(row.content, dict(row.labels) if row.labels else row.label) for row in rows]


def test_two_tasks_in_one_csv(tmp_path: Path) -> None:
    path = tmp_path / "two.csv"
    path.write_text(TWO)
    rows = mtf.read_csv(path, text="review", label=["mood", "topic"])
    assert plain(rows) == [
        ("good", {"mood": "glad", "topic": "a"}),
        ("bad", {"mood": "sad"}),
        ("so, so", {"topic": "b"}),
    ]
    assert repr(rows) == "Examples(3 texts, name='two.csv', labels of mood (2), topic (2))"
    assert plain(rows["topic"]) == [("good", "a"), ("so, so", "b")]
    streamed = mtf.stream(path, text="review", label=["mood", "topic"])
    assert plain(streamed) == plain(rows)
    assert plain(streamed["mood"]) == plain(rows["mood"])
    numbered = mtf.read_csv(path, text=0, label=[1, -1])
    assert numbered.tasks == ("mood", "topic")
    moods = {"mood": {"glad": "+", "sad": "-"}}
    mapped = mtf.read_csv(path, text="review", label=["mood", "topic"], label_map=moods)
    assert mapped.labels("mood") == {"+": 1, "-": 1} and mapped.labels("topic") == {"a": 1, "b": 1}


def test_two_tasks_in_tsv_and_json_lines(tmp_path: Path) -> None:
    tabs = tmp_path / "two.tsv"
    tabs.write_text("review\tmood\ttopic\ngood\tglad\ta\nbad\t\tb\n")
    rows = mtf.read_tsv(tabs, text="review", label=["mood", "topic"], header=True)
    assert plain(rows) == [("good", {"mood": "glad", "topic": "a"}), ("bad", {"topic": "b"})]
    lines = tmp_path / "two.jsonl"
    found = [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)]
    lines.write_text("\n".join(map(json.dumps, found)))
    rows = mtf.read_jsonl(lines, text="review", label=["mood", "topic"])
    assert plain(rows) == plain(mtf.read_table(COLUMNS, text="review", label=["mood", "topic"]))
    assert rows.labels("mood") == {"glad": 1, "sad": 1}


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (TWO + "none,,\n", {}, r"two.csv:5: expected a label; found empty fields"),
        (TWO, {"label": ["mood", "topics"]}, r"unknown column 'topics'.*did you mean 'topic'"),
        (TWO, {"label": ["mood", "mood"]}, r"labels must be columns; found 'mood' and 'mood'"),
        (TWO, {"label": ["mood", "review"]}, r"text and label must be two columns"),
        (TWO, {"label": []}, r"expected columns of several texts, or one text and a label"),
        ("a,b,c\n", {"text": 0, "label": [1, 2], "header": False}, r"names of their columns"),
    ],
)
def test_several_labels_that_cannot_be_read(
    tmp_path: Path, content: str, arguments: dict[str, Any], message: str
) -> None:
    path = tmp_path / "two.csv"
    path.write_text(content)
    with pytest.raises((DataError, ConfigError), match=message):
        mtf.read_csv(path, **{"text": "review", "label": ["mood", "topic"], **arguments})


def test_rows_of_a_task_are_those_with_its_label() -> None:
    rows = mtf.read_table(COLUMNS, text="review", label=["mood", "topic"])
    with pytest.raises(ConfigError, match=r"unknown task 'topics'.*did you mean 'topic'"):
        rows["topics"]
    with pytest.raises(ConfigError, match=r"found one label a row, and the task 'mood'"):
        rows["mood"]["mood"]
    model_of_both = {name: mtf.Task(train=rows[name]) for name in rows.tasks}
    assert {name: len(task.train or ()) for name, task in model_of_both.items()} == {
        "mood": 2, "topic": 2,
    }  # fmt: skip


def test_frames_columns_rows_and_data_sets_give_the_same() -> None:
    expected = [("good", "glad"), ("bad", "sad")]
    columns: dict[str, Any] = {"review": ["good", "bad"], "mood": ["glad", "sad"]}
    of_rows = [{"review": a, "mood": b} for a, b in expected]
    numbered = DataSet([{"review": a, "mood": int(b == "glad")} for a, b in expected], "mood")
    for table in (columns, pd.DataFrame(columns), of_rows, iter(of_rows), numbered):
        assert plain(mtf.read_table(table, text="review", label="mood")) == expected
    assert label_order(numbered, "mood") == ("sad", "glad")
    assert label_order(columns, "mood") is None


def test_columns_with_usual_names_need_none() -> None:
    pairs = {"premise": ["a b"], "hypothesis": ["c"], "label": ["yes"]}
    assert mtf.read_table(pairs)[0].texts == ("a b", "c")
    assert mtf.read_table(pd.DataFrame(pairs))[0].label == "yes"
    named = mtf.read_table({"q": ["a"], "d": ["b"]}, text=["q", "d"], label=None)
    assert (named[0].texts, named[0].label) == (("a", "b"), None)


def test_a_column_of_lists_is_words_with_tags() -> None:
    table = pd.DataFrame({"tokens": [["Anna", "went"]], "pos": [["NOUN", "VERB"]]})
    row = mtf.read_table(table, text="tokens", label="pos")[0]
    assert (row.words, row.label) == (("Anna", "went"), ("NOUN", "VERB"))


def test_of_a_stream_no_more_is_asked_for_than_the_limit() -> None:
    endless = ({"text": f"text {n}", "label": n % 2} for n in count())
    assert len(mtf.read_table(endless, limit=3)) == 3
    assert next(endless)["text"] == "text 3"


def test_files_by_their_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\ngood,x\nbad,y\n")
    (tmp_path / "a.tsv").write_text("good\tx\nbad\ty\n")
    (tmp_path / "named.tsv").write_text("text\tlabel\ngood\tx\nbad\ty\n")
    (tmp_path / "a.conll").write_text("Anna\tB-person\n\n")
    expected = [("good", "x"), ("bad", "y")]
    assert plain(mtf.read_table(tmp_path / "a.csv")) == expected
    assert plain(mtf.read_table(str(tmp_path / "a.tsv"))) == expected
    assert plain(mtf.read_table(tmp_path / "named.tsv", text="text")) == expected
    assert len(mtf.read_table(tmp_path / "a.csv", limit=1, name="one")) == 1
    assert mtf.read_table(tmp_path / "a.csv", limit=1, name="one").name == "one"
    assert mtf.read_table(tmp_path / "a.conll").kind == "words"
    with pytest.raises(ConfigError, match=r"one for read_conll, which has none; leave text="):
        mtf.read_table(tmp_path / "a.conll", text="words")
    assert label_order(str(tmp_path / "a.csv"), "label") is None


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        ({"reviews": ["a"], "mood": ["x"]}, DataError, r"row 0 of table: unknown column 'review'.*"
         r"did you mean 'reviews'\?; pass its name"),
        (pd.DataFrame({"review": ["a", None], "mood": ["x", "y"]}), TypeError,
         r"row 1 of table: expected a text \(str\); found (None|float nan)"),
        (pd.DataFrame({"review": ["a", "b"], "mood": ["x", float("nan")]}), TypeError,
         r"row 1 of table: expected a label name .* found (None|float nan); leave the row out"),
        ([("a", "x")], DataError, r"row 0 of table: expected columns by name; found tuple"),
        (3, TypeError, r"table: expected a frame, a data set, columns by name, rows or the path"),
        ({"train": [{"review": "a", "mood": "x"}]}, ConfigError, r"of the parts 'train'"),
        ([], DataError, r"table: expected at least one row"),
    ],
)  # fmt: skip
def test_tables_that_cannot_be_read(table: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        mtf.read_table(table, text="review", label="mood")


def test_a_limit_is_a_number_of_rows() -> None:
    with pytest.raises(ConfigError, match="limit must be at least 1"):
        mtf.read_table(COLUMNS, text="review", label="mood", limit=0)


def test_without_pyarrow_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(
        ImportError, match=r"a\.parquet: reading it needs pyarrow; .*mtfreeze\[data\]"
    ):
        mtf.read_parquet(path)


def test_parquet(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "a.parquet"
    features = {
        "label": {"names": ["sad", "glad"], "_type": "ClassLabel"},
        "text": {"dtype": "string"},
    }
    metadata = {b"huggingface": json.dumps({"info": {"features": features}}).encode()}
    table = arrow.table({"text": ["good", "bad"], "label": [1, 0]})
    parquet.write_table(table.replace_schema_metadata(metadata), path)
    assert plain(mtf.read_parquet(path)) == [("good", "glad"), ("bad", "sad")]
    assert plain(mtf.read_table(path, limit=1)) == [("good", "glad")]
    assert label_order(path, "label") == ["sad", "glad"]
    parquet.write_table(arrow.table({"text": ["good", None], "label": ["x", "y"]}), path)
    faults: list[DataError] = []
    assert len(mtf.read_parquet(path, on_fault=faults.append)) == 1
    assert str(faults[0]).startswith(f"{path}, row 1: expected a text (str); found None")
    with pytest.raises(DataError, match=r"row 0: unknown column 'review'"):
        mtf.read_parquet(path, text="review", label="label")
    parquet.write_table(arrow.table({"text": ["good", "bad"], "label": ["x", "y"]}), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + bytes(20) + whole[24:])  # in the rows alone
    with pytest.raises(DataError, match=r"expected a Parquet file; found one that pyarrow cannot"):
        mtf.read_parquet(path)
    path.write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"expected a Parquet file; found one that pyarrow cannot"):
        mtf.read_parquet(path)


def test_what_offers_columns_to_arrow_alone() -> None:
    arrow = pytest.importorskip("pyarrow")
    reader = arrow.table({"text": ["good"], "label": ["x"]}).to_reader()
    assert plain(mtf.read_table(reader)) == [("good", "x")]


def test_polars() -> None:
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"review": ["good"], "mood": ["glad"]})
    assert plain(mtf.read_table(frame, text="review", label="mood")) == [("good", "glad")]


def test_columns_that_stand_for_two_things(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "good", "mood": null, "topic": null}\n')
    with pytest.raises(ConfigError, match="must have different keys; found 'a', 'a'"):
        mtf.read_jsonl(path, text="a", label="a")
    with pytest.raises(DataError, match="a label under one of 'mood', 'topic'; found none"):
        mtf.read_jsonl(path, text="a", label=["mood", "topic"])
