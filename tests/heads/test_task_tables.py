# SPDX-License-Identifier: Apache-2.0
"""`Task.from_table`, the labels of a task, and the head that is made for its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import mtfreeze as mtf
from mtfreeze.errors import ConfigError, DataError

TABLE: dict[str, Any] = {
    "review": [f"text {n}" for n in range(20)],
    "mood": (["sad"] * 3 + ["glad"] * 2) * 4,
}


def from_table(table: object = TABLE, **others: Any) -> mtf.Task:
    return mtf.Task.from_table(table, text="review", label="mood", **others)


def sources(task: mtf.Task) -> tuple[list[str], list[str]]:
    assert task.train is not None and task.eval is not None
    return [row.source for row in task.train], [row.source for row in task.eval]


def test_a_share_is_drawn_by_label_and_seed() -> None:
    task = from_table()
    assert task.train is not None and task.eval is not None
    assert task.train.labels() == {"glad": 6, "sad": 10}
    assert (len(task.train), len(task.eval)) == (16, 4)
    assert task.train.name == "table, first 80 %" and task.eval.name == "table, other 20 %"
    assert sources(task) == sources(from_table(pd.DataFrame(TABLE)))
    assert sources(task) != sources(from_table(seed=1))
    assert repr(task) == "Task(train=16 rows, eval=4 rows, weight=1.0, labels=('glad', 'sad'))"
    half = from_table(eval=0.5, weight=2.0, metric="mcc")
    assert half.eval is not None and half.eval.labels() == {"glad": 4, "sad": 6}
    assert (half.weight, half.metric) == (2.0, "mcc")


def test_other_rows_to_judge_by(tmp_path: Path) -> None:
    path = tmp_path / "eval.csv"
    path.write_text("review,mood\nnew,glad\n")
    for judged in (path, str(path), pd.DataFrame({"review": ["new"], "mood": ["glad"]})):
        task = from_table(eval=judged)
        assert task.train is not None and len(task.train) == 20
        assert task.eval is not None and task.eval[0].text == "new"
    assert from_table(eval=None).eval is None
    rows = mtf.Examples.from_rows([("new", "glad")])
    assert from_table(eval=rows).eval is rows
    from_file = mtf.Task.from_table(path, text="review", label="mood", eval=None)
    assert from_file.train is not None and from_file.train.name == "eval.csv"


def test_parts_of_a_data_set_by_name() -> None:
    parts = {
        "train": pd.DataFrame(TABLE),
        "test": {"review": ["t"], "mood": ["glad"]},
        "validation": [{"review": "v", "mood": "sad"}],
    }
    task = from_table(parts)
    assert task.train is not None and task.eval is not None
    assert (len(task.train), task.train.name) == (20, "train")
    assert (task.eval[0].text, task.eval.name) == ("v", "validation")
    assert sources(from_table(parts, eval="test"))[1] == ["row 0 of test"]
    share = from_table(parts, eval=0.25)
    assert share.train is not None and len(share.train) == 15
    alone = from_table({"train": parts["train"]})
    assert alone.eval is not None and len(alone.eval) == 4
    with pytest.raises(
        ConfigError, match=r"unknown part of the data set 'tst'.*did you mean 'test'"
    ):
        from_table(parts, eval="tst")


class DataSet(list[dict[str, Any]]):
    """Rows with features, whose numbers of moods have names in an order that is not sorted."""

    key = "mood"

    @property
    def features(self) -> dict[str, Any]:
        return {self.key: type("ClassLabel", (), {"names": ["sad", "glad", "wild"]})()}


def test_a_data_set_keeps_the_order_of_its_labels() -> None:
    rows = DataSet({"review": f"text {n}", "mood": n % 2} for n in range(10))
    task = from_table(rows)
    assert task.labels == ("sad", "glad", "wild") == task.head().labels
    of_words = DataSet({"tokens": ["a"], "tags": [n % 2]} for n in range(4))
    of_words.key = "tags"
    assert mtf.Task.from_table(of_words, eval=None).labels == ("sad", "glad", "wild")
    mapped = from_table(rows, label_map={"sad": "down", "glad": "up"})
    assert mapped.labels == ("down", "up")


def test_labels_come_from_all_rows_in_order() -> None:
    assert mtf.Task([("a", "b"), ("b", "a")], [("c", "c")]).labels == ("a", "b", "c")
    assert mtf.Task([("a", "10"), ("b", "9"), ("c", "x")]).labels == ("9", "10", "x")
    assert mtf.Task([("a", 1), ("b", 0)]).labels == ("0", "1")
    assert mtf.Task([("a", 0.5), ("b", 1.5)]).labels == ()
    both = mtf.read_table(
        {"text": ["a", "b"], "mood": ["x", "y"], "topic": ["p", ""]}, label=["mood", "topic"]
    )
    assert mtf.Task(both, label="topic").labels == ("p",)
    with pytest.raises(ConfigError, match=r"labels of 'mood', 'topic'; pass Task\(label"):
        _ = mtf.Task(both).labels


@pytest.mark.parametrize(
    ("rows", "kind"),
    [
        ([("a", "x"), ("b", "y")], mtf.SequenceClassification),
        ([(["a"], ["O"]), (["b"], ["B-x"])], mtf.TokenClassification),
        ([("a", ["x", "y"]), ("b", [])], mtf.MultiLabelClassification),
        ([("a", "b", 1), ("b", "c", 0)], mtf.PairClassification),
        ([("a", 0.5), ("b", 1.5)], mtf.Regression),
        ([("a", "b", 0.5)], mtf.Similarity),
    ],
)
def test_the_head_is_of_the_kind_that_the_rows_are_for(rows: list[Any], kind: type[Any]) -> None:
    task = mtf.Task(rows)
    spec = task.head()
    assert type(spec) is kind
    if task.labels:
        assert spec.labels == task.labels
        assert task.head(dropout=0.3).dropout == 0.3


def test_it_learns(tiny_model: mtf.MultiTaskModel) -> None:
    model, task = tiny_model.copy(), from_table()
    model.add_head("mood", task.head()).freeze("backbone")
    run = mtf.fit(model, {"mood": task}, epochs=1, progress=False)
    assert 0.0 <= run.metrics["eval_mood_accuracy"] <= 1.0


def test_labels_that_are_named_hold_every_row() -> None:
    assert from_table(labels=["sad", "glad"]).head().labels == ("sad", "glad")
    with pytest.raises(DataError, match=r"row \d+ of table: unknown label 'glad'.*'gladd'"):
        from_table(labels=["sad", "gladd"])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"eval": 1.0}, ConfigError, "eval must be a share of the rows between 0 and 1"),
        ({"eval": True}, TypeError, "eval must be a share of the rows, a table, or None"),
        ({"eval": 3j}, TypeError, r"eval: expected a frame, .*found complex"),
        ({"label": ["mood", "review"]}, ConfigError, "a task learns one label; found label="),
        ({"label": "mod"}, DataError, r"unknown column 'mod'.*did you mean 'mood'"),
        ({"colour": 1}, TypeError, "colour"),
        ({"labels": "mood"}, TypeError, "labels must be a list of names"),
    ],
)
def test_arguments_that_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        mtf.Task.from_table(TABLE, **{"text": "review", "label": "mood", **arguments})


def test_heads_that_cannot_be_made() -> None:
    with pytest.raises(DataError, match="expected rows with labels that a head learns; found tri"):
        mtf.Task([{"texts": ["a", "b", "c"], "label": "x"}]).head()
    with pytest.raises(ConfigError, match=r"unknown argument .* 'hiden'.*mean 'hidden'"):
        from_table().head(hiden=(4,))
    for kind in (mtf.SequenceClassification, mtf.TokenClassification):
        with pytest.raises(ConfigError, match=r"found 'auto'; .*task.head\(\)\)"):
            kind("auto")  # type: ignore[arg-type]
