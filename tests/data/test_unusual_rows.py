# SPDX-License-Identifier: Apache-2.0
"""Rows and labels that are rare: answers as mappings, words without tags, labels of other kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.data.answers import Answer, where_not
from mtfreeze.data.example import Example
from mtfreeze.data.examples import as_examples
from mtfreeze.data.labels import LabelCodes
from mtfreeze.data.text_rows import as_pair, as_question


def test_one_answer_as_a_mapping_beside_two_texts() -> None:
    rows = [("Who?", "it was Ada", {"text": "Ada", "start": 7})]
    [row] = as_examples(rows, "rows")
    assert row.label == (Answer("Ada", 7),)
    with pytest.raises((TypeError, mtf.DataError), match="found"):
        as_examples([("Who?", "it was Ada", {"text": "Ada"})], "rows")


def test_an_answer_that_stands_nowhere() -> None:
    said = where_not(Answer("moon", 2), "it was Ada")
    assert said.endswith("; the context does not hold it")
    assert where_not(Answer("Ada", 2), "it was Ada").endswith("; it begins at 7")


def test_half_a_character_is_no_label() -> None:
    with pytest.raises(mtf.ConfigError, match=r"labels\[1\] with half of a character"):
        mtf.SequenceClassification(["good", "\ud800"])


def test_words_without_tags_have_no_types() -> None:
    words = Example(None, ("Ada", "slept"), None, None, "row 0")
    [row] = mtf.entity_types([words])
    assert (row.text, row.label) == ("Ada slept", None)


def test_an_answer_is_no_class() -> None:
    codes = LabelCodes(["good", "bad"], "classifier")
    with pytest.raises(mtf.DataError, match=r"row 3: .*found the answer of a question"):
        codes.of(Answer("Ada", 7), "row 3")


def test_boxes_of_an_image_are_no_class() -> None:
    codes = LabelCodes(["good", "bad"], "classifier")
    with pytest.raises(mtf.DataError, match=r"row 3: .*found boxes of an image; give the labels"):
        codes.of(mtf.Box("good", 0, 0, 4, 4), "row 3")


def test_a_box_of_a_number_that_no_label_has() -> None:
    assert mtf.Box(2**63 - 1, 0, 0, 4, 4).label == 2**63 - 1
    for label in (2**63, -(2**63) - 1):
        with pytest.raises(mtf.DataError, match="label must be an index of at most 64 bits; found"):
            mtf.Box(label, 0, 0, 4, 4)


def test_an_image_is_no_pair_of_texts() -> None:
    [row] = as_examples([(np.zeros((4, 4, 3), np.uint8), "good")], "rows")
    with pytest.raises(mtf.DataError, match=r"expected several texts.*; found an image with the"):
        as_pair(row)


def test_a_row_of_several_tasks_is_named_by_them() -> None:
    row = Example("Who?", None, None, {"mood": "good", "topic": "bank"}, "row 2")
    with pytest.raises(mtf.DataError, match=r"row 2: .* one text with labels of 'mood', 'topic'"):
        as_question(row)


def test_a_file_of_empty_lines_has_no_texts(tmp_path: Path) -> None:
    path = tmp_path / "empty.txt"
    path.write_text("\n\u00a0 \n\n", "utf-8")
    for rows in ("line", "document"):
        with pytest.raises(mtf.DataError, match=r"empty\.txt: expected lines of text; found none"):
            mtf.read_text(path, rows=rows)
