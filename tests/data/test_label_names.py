# SPDX-License-Identifier: Apache-2.0
"""Labels are names: numbers that are names, ids with names in either direction, names that look
alike, data sets that name their numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.closest import did_you_mean
from mtfreeze.data import Examples, map_labels
from mtfreeze.data.labels import encode_labels
from mtfreeze.errors import ConfigError, DataError
from mtfreeze.heads.token_classification import encode_tags

STARS = ["1", "2", "3", "4", "5"]
SENTIMENT = ["negative", "positive"]


def codes(labels: list[Any], names: list[str]) -> list[int]:
    rows = Examples.from_rows([(f"text {i}", label) for i, label in enumerate(labels)], "train")
    return encode_labels(rows, "stars", names, "stars").tolist()


# Integers


@pytest.mark.parametrize("kind", [int, np.int64, str, np.str_])
def test_a_number_is_the_name_that_is_written_so(kind: Any) -> None:
    assert codes([kind(1), kind(4), kind(3)], STARS) == [0, 3, 2]
    assert codes([kind(0), kind(1)], ["1", "0"]) == [1, 0]
    assert codes([kind(-1), kind(1)], ["-1", "0", "1"]) == [0, 2]


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (0, STARS),
        (6, STARS),
        (2**80, STARS),
        (1, ["1.0", "2.0"]),
        (0, ["none", "1", "2"]),
        (1, ["01", "02"]),
    ],
)
def test_a_number_is_no_position_where_names_are_numbers(label: int, names: list[str]) -> None:
    with pytest.raises(DataError, match=r"row 0 of train: .*whose labels are numbers.*is a name"):
        codes([label], names)
    words = Examples.from_rows([(["a", "b"], [label, label])])
    with pytest.raises(DataError, match=r"word 0 \('a'\): .*whose labels are numbers"):
        encode_tags(words, "stars", names, "stars")


def test_a_number_that_begins_another_name_is_refused() -> None:
    names = ["1 star", "2 stars", "3 stars"]
    with pytest.raises(DataError, match=r"position of '2 stars' or stand for '1 star'"):
        codes([1], names)
    assert codes(["1 star", "3 stars"], names) == [0, 2]
    assert codes([0, 1], ["0 = bad", "1 = good"]) == [0, 1], "both readings are one"
    assert codes([0, 1], ["2D", "1D"]) == [0, 1], "a word that begins with a digit"


def test_positions_where_no_name_is_a_number() -> None:
    assert codes([1, 0], SENTIMENT) == [1, 0]
    assert codes([1, 0], ["nan", "inf"]) == [1, 0]
    assert codes([1, 0], ["LABEL_0", "LABEL_1"]) == [1, 0]


# Names of a head


@pytest.mark.parametrize(
    "labels",
    [
        {0: "negative", 1: "positive"},
        {1: "positive", 0: "negative"},
        {"0": "negative", "1": "positive"},
        {"positive": 1, "negative": 0},
        {np.int64(1): "positive", np.int64(0): "negative"},
        {"negative": 0, "positive": 1}.keys(),
        {0: "negative", 1: "positive"}.values(),
    ],
)
def test_ids_with_names_are_labels(labels: Any) -> None:
    assert mtf.SequenceClassification(labels).labels == tuple(SENTIMENT)
    assert mtf.TokenClassification(labels).labels == tuple(SENTIMENT)


@pytest.mark.parametrize(
    "labels",
    [
        {"negative": 210, "positive": 190},  # counts
        {1: "negative", 2: "positive"},
        {0: "negative", 2: "positive"},
        {"negative": 0, "positive": 0},
        {0: 0, 1: 1},
        {"0": 1, "1": 0},
        {"a": "b"},
        {},
    ],
)
def test_other_mappings_are_no_labels(labels: Any) -> None:
    with pytest.raises((TypeError, ConfigError), match=r"labels"):
        mtf.SequenceClassification(labels)


def test_what_has_no_order_is_refused() -> None:
    for labels in ({"a", "b"}, frozenset("ab")):
        with pytest.raises(TypeError, match="labels must be in an order"):
            mtf.SequenceClassification(labels)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"train: expected rows in an order; found set.*sorted"):
        mtf.Task(train={("a", "x"), ("b", "y")})


# Maps

FORMS: list[tuple[str, Any, list[Any], list[Any]]] = [
    ("ids of {id: name}", {0: "neg", 1: "pos"}, [0, 1], ["neg", "pos"]),
    ("ids as text", {0: "neg", 1: "pos"}, ["0", "1"], ["neg", "pos"]),
    ("names of {id: name}", {0: "neg", 1: "pos"}, ["neg", "pos"], ["neg", "pos"]),
    ("ids of {name: id}", {"neg": 0, "pos": 1}, [0, 1], ["neg", "pos"]),
    ("ids as text of {name: id}", {"neg": 0, "pos": 1}, ["0", "1"], ["neg", "pos"]),
    ("ids of {name: id text}", {"neg": "0", "pos": "1"}, [0, 1], ["neg", "pos"]),
    ("names of {name: id}", {"neg": 0, "pos": 1}, ["neg", "pos"], [0, 1]),
    ("a list", ["neg", "pos"], [0, 1], ["neg", "pos"]),
    ("names of a list", ["neg", "pos"], ["neg"], ["neg"]),
    ("two into one", {"1": "neg", "2": "neg", "3": "pos"}, [1, 2, 3], ["neg", "neg", "pos"]),
    ("ids that change places", {"0": "1", "1": "0"}, [0, 1], ["1", "0"]),
    ("names that change places", {"a": "b", "b": "a"}, ["a", "b"], ["b", "a"]),
]


@pytest.mark.parametrize(
    ("table", "given", "wanted"), [f[1:] for f in FORMS], ids=[f[0] for f in FORMS]
)
def test_a_map_is_taken_as_what_it_is(table: Any, given: list[Any], wanted: list[Any]) -> None:
    rows = Examples.from_rows([("a", label) for label in given])
    assert [row.label for row in map_labels(rows, table)] == wanted
    words = Examples.from_rows([(["a"] * len(given), given)])
    assert map_labels(words, table)[0].label == tuple(wanted)
    several = Examples.from_rows([{"text": "a", "labels": {"x": one, "y": "z"}} for one in given])
    assert [row.label_for("x") for row in map_labels(several, {"x": table})] == wanted


@pytest.mark.parametrize(
    ("table", "given"),
    [
        ({"neg": 0, "pos": 0}, [0]),
        ({"neg": "negative"}, ["negative"]),
        ({0: "neg", 1: "pos"}, ["neg", 1]),
        ({0: "neg"}, [1]),
    ],
)
def test_a_map_that_does_not_fit_is_refused(table: Any, given: list[Any]) -> None:
    with pytest.raises(DataError, match=r"row . of data: unknown label"):
        map_labels(Examples.from_rows([("a", label) for label in given]), table)


def test_a_map_that_says_two_things() -> None:
    with pytest.raises(ConfigError, match="must say one thing of a label; found '0'"):
        map_labels(Examples.from_rows([("a", 0)]), {0: "a", "0": "b"})  # type: ignore[dict-item]


@pytest.mark.parametrize("table", ["neg", 5, {"neg"}, ["neg", 1], None])
def test_maps_of_the_wrong_kind(table: Any) -> None:
    with pytest.raises(TypeError, match="label_map must map labels of the data to label names"):
        map_labels(Examples.from_rows([("a", 0)]), table)


# Names that look alike


@pytest.mark.parametrize(
    ("wrong", "right", "what"),
    [
        ("cafe\u0301", "caf\u00e9", "the Unicode form of their characters"),
        ("\u00e9", "e\u0301", "the Unicode form of their characters"),
        ("Positive", "positive", "upper and lower case"),
        ("positive ", "positive", "spaces"),
        ("very  good", "very good", "spaces"),
        ("very\u00a0good", "very good", "spaces"),
        ("posi\u200btive", "positive", "characters that are not seen"),
        ("Very  good", "very good", "upper and lower case and spaces"),
        ("\uff11", "1", "the Unicode form of their characters"),
    ],
)
def test_names_that_look_alike_are_said_to_differ(wrong: str, right: str, what: str) -> None:
    hint = did_you_mean(wrong, ["else", right])
    assert hint.startswith(f"did you mean {right!r}? The two differ in {what}")
    with pytest.raises(DataError, match=f"unknown label .*differ in {what}"):
        codes([wrong], ["else", right])
    with pytest.raises(DataError, match=f"unknown label .*differ in {what}"):
        map_labels(Examples.from_rows([("a", wrong)]), {right: "x"})


# Tables of other libraries


class Feature:
    def __init__(self, names: Any = None, feature: Any = None) -> None:
        if names is not None:
            self.names = names
        if feature is not None:
            self.feature = feature


class DataSet(list[Any]):
    """Rows with features, as those of the package datasets."""

    def __init__(self, rows: Any, features: Any) -> None:
        super().__init__(rows)
        self.features = features


def test_names_of_a_data_set_are_matched_by_name() -> None:
    """The head has them in another order."""
    features = {"text": Feature(), "label": Feature(["pos", "neg"])}
    rows = DataSet([{"text": "good", "label": 0}, {"text": "bad", "label": np.int64(1)}], features)
    for data in (Examples.from_rows(rows), mtf.Task(train=rows).train):
        assert data is not None
        assert encode_labels(data, "x", ["neg", "pos"], "x").tolist() == [1, 0]
    hidden = Examples.from_rows(DataSet([{"text": "good", "label": -1}], features))
    with pytest.raises(DataError, match="found -1"):
        encode_labels(hidden, "x", ["neg", "pos"], "x")


def test_names_of_tags_of_a_data_set() -> None:
    features = {"tokens": Feature(feature=Feature()), "ner_tags": Feature(feature=Feature(TAGS))}
    rows = DataSet([{"tokens": ["Anna", "went"], "ner_tags": [1, 0]}], features)
    assert Examples.from_rows(rows)[0].label == ("B-PER", "O")


TAGS = ["O", "B-PER", "I-PER"]


def test_frames_and_columns() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"text": ["good", "bad"], "label": ["x", "y"]})
    wanted = [("good", "x"), ("bad", "y")]
    forms: list[Any] = [
        frame,
        {"text": frame["text"], "label": frame["label"]},
        {"text": frame["text"].to_numpy(), "label": ("x", "y")},
        frame.astype({"label": "category"}),
        frame.to_dict("list"),
        frame.to_dict("records"),
    ]
    for data in forms:
        for read in (Examples.from_rows(data), mtf.Task(train=data).train):
            assert read is not None
            assert [(row.text, row.label) for row in read] == wanted
    words = pd.DataFrame({"words": [np.array(["a", "b"], object)], "tags": [np.array([0, 1])]})
    row = Examples.from_rows(words)[0]
    assert (row.words, row.label) == (("a", "b"), (0, 1))
    frame["date"] = "today"
    with pytest.warns(mtf.UnusedDataWarning, match="train: 1 key is not read: 'date'"):
        mtf.Task(train=frame)


def test_frames_that_do_not_hold() -> None:
    pd = pytest.importorskip("pandas")
    twice = pd.DataFrame([["a", "x", "y"]], columns=["text", "label", "label"])
    with pytest.raises(DataError, match="different names; found 'label' more than once"):
        mtf.Task(train=twice)
    for missing in (None, float("nan"), pd.NA, pd.NaT):
        frame = pd.DataFrame({"text": ["a", "b"], "label": pd.Series(["x", missing], dtype=object)})
        with pytest.raises(
            TypeError, match=r"row 1 of train: expected a label .*leave the row out"
        ):
            mtf.Task(train=frame)
    with pytest.raises(DataError, match="columns of one length"):
        mtf.Task(train={"text": ["a", "b"], "label": ["x"]})
    parts: Any = {"train": frame, "test": frame}
    with pytest.raises(TypeError, match=r"with the keys 'train', 'test'.*pass one of them"):
        mtf.Task(train=parts)


class Table:
    """As of pyarrow: columns without names, and rows by `to_pylist`."""

    columns = (object(), object())
    column_names = ("text", "label")

    def to_pylist(self) -> list[dict[str, str]]:
        return [{"text": "good", "label": "x"}]


def test_tables_of_other_libraries() -> None:
    assert Examples.from_rows(Table())[0].label == "x"  # type: ignore[arg-type]
