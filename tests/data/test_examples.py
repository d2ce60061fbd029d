# SPDX-License-Identifier: Apache-2.0
"""The container of rows: indexing, counting, splitting; plain rows and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtfreeze import Task
from mtfreeze.data import Examples, map_labels, read_csv, read_jsonl
from mtfreeze.errors import ConfigError, DataError

TEXTS = [(f"text {i}", "positive" if i % 4 else "negative") for i in range(40)]


def test_sequence_behaviour() -> None:
    data = Examples.from_rows(TEXTS, "train")
    assert len(data) == 40
    assert data[-1].text == "text 39"
    assert data[3].source == "row 3 of train"
    assert [row.text for row in data[1:3]] == ["text 1", "text 2"]
    assert [row.text for row in data.select(np.array([5, 2]))] == ["text 5", "text 2"]
    assert data.labels() == {"negative": 10, "positive": 30}
    assert repr(data) == "Examples(40 texts, name='train', labels: negative 10, positive 30)"
    both = data[:2] + data[5:6]
    assert [row.text for row in both] == ["text 0", "text 1", "text 5"]
    with pytest.raises(IndexError):
        data[40]
    with pytest.raises(TypeError):
        data + TEXTS  # type: ignore[operator]


def test_rows_that_are_examples_already_stay_as_they_are() -> None:
    data = Examples.from_rows(TEXTS[:2], "train")
    assert list(Examples.from_rows(list(data), "other")) == list(data)


def test_words_and_tags() -> None:
    data = Examples.from_rows([(["Anna", "left"], ["B-person", "O"]), (("He",), (0,))])
    assert data.kind == "words"
    assert data[0].words == ("Anna", "left")
    assert data.labels() == {0: 1, "B-person": 1, "O": 1}
    assert "2 sentences" in repr(data)


def test_rows_with_several_labels() -> None:
    rows = [
        {"text": "a", "labels": {"classifier": "positive", "topic": "film"}},
        {"text": "b", "labels": {"topic": "food", "classifier": None}},
    ]
    data = Examples.from_rows(rows)
    assert data.tasks == ("classifier", "topic")
    assert data.labels("topic") == {"film": 1, "food": 1}
    assert data.labels("classifier") == {"positive": 1}
    assert repr(data) == "Examples(2 texts, name='data', labels of classifier (1), topic)"
    with pytest.raises(ConfigError, match="'topics'; did you mean 'topic'"):
        data.labels("topics")
    with pytest.raises(ConfigError, match=r"pass labels\('classifier'\)"):
        data.labels()


def test_split_is_stratified_complete_and_repeatable() -> None:
    data = Examples.from_rows(TEXTS)
    first, second = data.split(0.3, seed=1)
    assert first.labels() == {"negative": 3, "positive": 9}
    assert second.labels() == {"negative": 7, "positive": 21}
    assert {row.text for row in first} | {row.text for row in second} == {t for t, _ in TEXTS}
    assert [row.text for row in first] == [row.text for row in data.split(0.3, seed=1)[0]]
    assert [row.text for row in first] != [row.text for row in data.split(0.3, seed=2)[0]]
    numbers = [int((row.text or "").split()[1]) for row in second]
    assert numbers == sorted(numbers)
    plain, _ = data.split(0.3, seed=1, stratify=False)
    assert len(plain) == 12


def test_split_keeps_sizes_where_strata_do_not_divide() -> None:
    data = Examples.from_rows([(str(i), i % 7) for i in range(33)])
    for seed in range(5):
        first, second = data.split(0.5, seed=seed)
        assert (len(first), len(second)) == (16, 17)
        for label, count in data.labels().items():
            assert abs(first.labels().get(label, 0) - count / 2) <= 1


def test_split_of_tagged_sentences_keeps_the_share_with_entities() -> None:
    rows = [([f"w{i}"], ["B-x" if i < 10 else "O"]) for i in range(30)]
    first, _ = Examples.from_rows(rows).split(0.5)
    assert first.labels() == {"B-x": 5, "O": 10}
    several: list[Any] = [{"text": str(i), "labels": {"a": i % 2, "b": i % 3}} for i in range(24)]
    part, _ = Examples.from_rows(several).split(0.5)
    assert part.labels("a") == {0: 6, 1: 6}
    assert part.labels("b") == {0: 4, 1: 4, 2: 4}


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_split_fraction_must_be_between_0_and_1(fraction: float) -> None:
    with pytest.raises(ConfigError, match="fraction must be between 0 and 1"):
        Examples.from_rows(TEXTS).split(fraction)


def test_split_must_leave_two_parts() -> None:
    with pytest.raises(DataError, match="would hold 0"):
        Examples.from_rows(TEXTS[:2]).split(0.1)


def test_numpy_and_int_labels_are_indices() -> None:
    data = Examples.from_rows([("a", np.int64(1)), ("b", 0)])
    assert [type(row.label) for row in data] == [int, int]
    words = Examples.from_rows([(["a", "b"], np.array([0, 2]))])
    assert words[0].label == (0, 2)


WRONG_TYPES: list[tuple[object, str]] = [
    ((None, 1), r"row 1 of train: expected a text \(str\); found None; leave the row out"),
    ((b"a", 1), r"row 1 of train: expected a text \(str\); found bytes b'a'; decode it first"),
    ((3.5, 1), r"row 1 of train: expected a text \(str\); found float 3.5"),
    (("a", None), r"row 1 of train: expected a label name .* found None"),
    (("a", float("inf")), r"row 1 of train: expected a label name .* found float inf"),
    (("a", True), r"row 1 of train: expected a label name .* found bool True"),
    (("a", np.bool_(True)), r"row 1 of train: expected a label name"),
    (((1, 2), ("O", "O")), r"row 1 of train: expected words \(str\); word 0 is int 1"),
    ((["a", None], ["O", "O"]), r"row 1 of train: expected words \(str\); word 1 is None"),
    ({"text": ["a"], "label": 1}, r"row 1 of train: .*give words together with tags"),
    ({"text": "a", "labels": "x"}, r"row 1 of train: expected 'labels' to map"),
    ({"text": "a", "labels": {1: "x"}}, r"row 1 of train: expected task names \(str\)"),
    ({1: "a"}, r"row 1 of train: expected keys that are str"),
    (
        {"words": ["a"], "tags": "O"},
        r"row 1 of train: expected a list of tags.*found str 'O'",
    ),
    ("just a text", r"row 1 of train: expected \(text, label\).*found str 'just a text'"),
    (None, r"row 1 of train: expected \(text, label\).*found None"),
    (7, r"row 1 of train: expected \(text, label\).*found int 7"),
]


@pytest.mark.parametrize(("row", "message"), WRONG_TYPES)
def test_wrong_types_are_type_errors_with_the_row(row: object, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Task(train=[("good", 0) if not isinstance(row, dict) else {"text": "b", "label": 0}, row])


WRONG_ROWS: list[tuple[object, str]] = [
    (("a", 1, 2), r"row 0 of train: expected \(text, label\), \(words, tags\) .*; found 3 fields"),
    ((["a", "b"], ["O"]), r"row 0 of train: expected one tag per word; found 2 words and 1 tags"),
    ({"text": "a", "tags": ["O"]}, r"row 0 of train: a list of tags needs a list of words"),
    ((["a", "b"], ["O", 1]), r"row 0 of train: expected tags that are all names or all indices"),
    ({"label": 1}, r"row 0 of train: expected the key text or words; found 'label'; add it"),
    ({"text": "a"}, r"row 0 of train: expected the key label, tags or labels; found 'text'"),
]


@pytest.mark.parametrize(("row", "message"), WRONG_ROWS)
def test_rows_that_do_not_hold_are_data_errors(row: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Task(train=[row])


def test_texts_and_words_do_not_mix() -> None:
    with pytest.raises(DataError, match="row 0 of train holds a text and row 1 of train holds wor"):
        Task(train=[("a", 1), (["b"], ["O"])])


def test_label_map_errors_name_row_and_closest() -> None:
    data = Examples.from_rows([("a", "pos"), ("b", "neg")], "train")
    with pytest.raises(DataError, match=r"row 0 of train: unknown label 'pos'.*mean 'poss'"):
        map_labels(data, {"poss": "positive", "neg": "negative"})
    with pytest.raises(TypeError, match="label_map: expected label names"):
        map_labels(data, {"pos": None, "neg": 1})  # type: ignore[dict-item]


def test_labels_may_be_numbers(tmp_path: Path) -> None:
    data = Examples.from_rows([("a", 0.5), ("b", np.float32(2)), ("c", 3), ("d", [1, 0.25])])
    assert [row.label for row in data] == [0.5, 2.0, 3, (1.0, 0.25)]
    path = tmp_path / "numbers.jsonl"
    path.write_text('{"text": "a", "label": 0.5}\n{"text": "b", "label": [1, 2]}\n', "utf-8")
    assert [row.label for row in read_jsonl(path)] == [0.5, (1.0, 2.0)]


@pytest.mark.parametrize("as_text", [False, True])
def test_numbers_are_split_at_random(as_text: bool) -> None:
    numbers = [i / 10 + 0.05 for i in range(40)]
    data = Examples.from_rows([("a", str(one) if as_text else one) for one in numbers])
    first, second = data.split(0.5)
    means = [np.mean([float(str(row.label)) for row in part]) for part in (first, second)]
    assert abs(means[0] - means[1]) < 1.0, "the halves in order would be 2 apart"


def test_examples_are_made_of_examples() -> None:
    with pytest.raises(TypeError, match=r"rows must be Example objects; found tuple.*from_rows"):
        Examples([("a text", "a label")])  # type: ignore[list-item]


def test_a_data_set_with_named_labels_has_dictionaries_as_rows() -> None:
    class Names:
        names = ("negative", "positive")

    class DataSet(list[Any]):
        features = {"label": Names()}  # noqa: RUF012

    rows = DataSet([{"text": "good", "label": 1}])
    assert [row.label for row in Examples.from_rows(rows)] == ["positive"]
    with pytest.raises(TypeError, match="expected a data set of dictionaries; found tuple"):
        Examples.from_rows(DataSet([("good", 1)]))


def test_a_share_is_a_number() -> None:
    with pytest.raises(TypeError, match="fraction must be a number between 0 and 1; found str"):
        Examples.from_rows([("a", "b"), ("c", "d")]).split("half")  # type: ignore[arg-type]


@pytest.mark.parametrize("delimiter", ["", ";;", "\n", '"', 3])
def test_a_delimiter_is_one_character(tmp_path: Path, delimiter: Any) -> None:
    with pytest.raises(ConfigError, match="delimiter must be one character"):
        read_csv(tmp_path / "rows.csv", delimiter=delimiter)


def test_columns_are_names_or_numbers(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,label\na,b\n", "utf-8")
    for text in (0.5, [0.5, 1]):
        with pytest.raises(TypeError, match="text must be the name or the number of a column"):
            read_csv(tmp_path / "rows.csv", text=text)  # type: ignore[arg-type]


def test_a_task_that_nobody_annotated() -> None:
    row = {"data": {"text": "good"}, "annotations": []}
    with pytest.raises((TypeError, DataError), match="a task of Label Studio without a label"):
        Examples.from_rows([row])
