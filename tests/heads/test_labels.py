# SPDX-License-Identifier: Apache-2.0
"""Labels of rows -> class indices: ranges, unknown names, proposals, IOB2."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze.data import IGNORE, Example, Examples, read_conll
from mtfreeze.errors import DataError
from mtfreeze.heads.sequence_classification import encode_labels
from mtfreeze.heads.token_classification import encode_tags
from support.places import shared_file

SENTIMENT = ["negative", "positive"]
TAGS = ["O", "B-person", "I-person", "B-place", "I-place"]


def labels_of(rows: list[Any], names: list[str] = SENTIMENT, task: str = "classifier") -> Any:
    return encode_labels(Examples.from_rows(rows, "train"), task, names, "classifier")


def tags_of(rows: list[Any], names: list[str] = TAGS) -> Any:
    return encode_tags(Examples.from_rows(rows, "train"), "ner", names, "ner")


def test_names_and_indices() -> None:
    codes = labels_of([("a", "positive"), ("b", 0), ("c", np.int32(1))])
    assert codes.dtype == np.int32
    assert codes.tolist() == [1, 0, 1]


def test_a_name_made_of_digits_is_a_name() -> None:
    assert labels_of([("a", "1"), ("b", "0")], ["1", "0"]).tolist() == [0, 1]


def test_rows_without_the_label_are_ignored() -> None:
    rows = [
        {"text": "a", "labels": {"classifier": 1, "topic": "x"}},
        {"text": "b", "labels": {"topic": "x"}},
    ]
    assert labels_of(rows).tolist() == [1, IGNORE]
    assert labels_of(rows, ["x", "y"], task="topic").tolist() == [0, 0]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [("a", "positive"), ("b", "positve")],
            r"row 1 of train: unknown label 'positve' of head 'classifier'; expected one of "
            r"'negative', 'positive'; did you mean 'positive'\?$",
        ),
        (
            [("a", "1"), ("b", "0")],
            r"row 0 of train: unknown label .*read the data with "
            r"label_map=\{'0': 'negative', '1': 'positive'\}",
        ),
        ([("a", "2"), ("b", "1")], r"label_map=\{'1': 'negative', '2': 'positive'\}"),
        ([("a", 2)], r"row 0 of train: expected a label index .* from 0 to 1; found 2"),
        ([("a", -1)], r"from 0 to 1; found -1"),
        ([(["a"], ["O"])], r"row 0 of train: head 'classifier' labels whole texts.*TokenClassif"),
        (
            [{"text": "a", "labels": {"clasifier": 1}}],
            r"unknown task label 'classifier'; expected one of 'clasifier'; did you mean",
        ),
    ],
)
def test_label_errors(rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        labels_of(rows)


def test_data_without_any_label() -> None:
    data = Examples([Example("a", None, None, None, "row 0")], "train")
    with pytest.raises(DataError, match="train: expected rows with labels for 'classifier'; found"):
        encode_labels(data, "classifier", SENTIMENT, "classifier")


def test_no_proposal_where_numbers_do_not_fit_the_labels() -> None:
    with pytest.raises(DataError) as caught:
        labels_of([("a", "3"), ("b", "4"), ("c", "5")])
    assert "label_map" not in str(caught.value)


def test_tags() -> None:
    codes = tags_of([(["Anna", "left"], ["B-person", "O"]), (["x"], [2 - 2]), ([], [])])
    assert [code.tolist() for code in codes] == [[1, 0], [0], []]
    assert codes[0].dtype == np.int32


def test_rows_without_tags_are_ignored() -> None:
    rows = [
        {"words": ["a", "b"], "labels": {"topic": "x"}},
        {"words": ["c"], "labels": {"ner": ["O"]}},
    ]
    assert [code.tolist() for code in tags_of(rows)] == [[IGNORE, IGNORE], [0]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [(["a"], ["O"]), (["Anna", "ran"], ["B-persn", "O"])],
            r"row 1 of train: word 0 \('Anna'\): unknown label 'B-persn' of head 'ner'.*"
            r"did you mean 'B-person'",
        ),
        ([(["a", "b"], [0, 7])], r"word 1 \('b'\): expected a label index .* from 0 to 4; found 7"),
        ([(["a"], ["0"])], r"label_map=\{'0': 'O', '1': 'B-person'"),
        ([("a", "positive")], r"row 0 of train: head 'ner' labels words.*found a text"),
        ([(["a"], "positive")], r"found the label 'positive'; use a SequenceClassification head"),
        (
            [(["the", "Anna"], ["O", "I-person"])],
            r"word 1 \('Anna'\): expected IOB2, .*'B-person'; found 'I-person' after 'O'.*iob1",
        ),
        ([(["a", "b"], [1, 4])], r"found 'I-place' after 'B-person'"),
    ],
)
def test_tag_errors(rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        tags_of(rows)


def test_heads_that_are_not_about_entities_take_any_order() -> None:
    codes = tags_of([(["a", "b"], ["VERB", "NOUN"])], ["NOUN", "VERB"])
    assert codes[0].tolist() == [1, 0]


def test_real_tags_are_iob2_and_their_counts_survive() -> None:
    data = read_conll(shared_file("wnut17", "train.conll"))
    counts = data.labels()
    names = ["O", *sorted(str(tag) for tag in counts if tag != "O")]
    codes = np.concatenate(encode_tags(data, "ner", names, "ner"))
    found = np.bincount(codes, minlength=len(names))
    assert {name: int(n) for name, n in zip(names, found, strict=True)} == counts


def test_numbers_are_no_labels() -> None:
    """Rows may carry numbers; a head that chooses among labels refuses them."""
    for number in (1.0, 0.5):
        rows = [("b", 0), ("a", number)]
        message = f"row 1 of train: expected a label name .* found float {number}"
        with pytest.raises(DataError, match=message):
            labels_of(rows)
    with pytest.raises(DataError, match=r"row 0 of train: .* expected one label; found 2 numbers"):
        labels_of([("a", [0.5, 1])])


@pytest.mark.parametrize(("label", "n"), [(["negative", "positive"], "2 labels"), ([], "0 labels")])
def test_several_labels_are_not_one(label: list[str], n: str) -> None:
    """Rows may carry any number of labels; a head that chooses one says what takes them."""
    for row in (("a", label), {"text": "a", "label": label}, {"text": "a", "labels": label}):
        message = f"row 0 of train: .* expected one label; found {n}; use a MultiLabelClassif"
        with pytest.raises(DataError, match=message):
            labels_of([row])
