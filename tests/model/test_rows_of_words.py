# SPDX-License-Identifier: Apache-2.0
"""A row that is a list: words where somebody says so, else an error that names both readings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf

PAIR = r"text 1: expected a text \(str\); found the .* pair of texts or one text's words.*words=Tr"


@pytest.mark.parametrize("row", [("the film", "good"), ["the", "film"], ("one",), [], ("a", 3)])
@pytest.mark.parametrize(
    "call",
    [
        lambda model, rows: model.encode(rows),
        lambda model, rows: model.forward(rows, ["hidden"]),
        lambda model, rows: model.forward(rows, ["classifier"]),
        lambda model, rows: model.predict("classifier", rows),
        lambda model, rows: model.predict_proba("classifier", rows),
        lambda model, rows: model.predict_all(rows, ["classifier"]),
    ],
)
def test_a_list_may_be_a_pair(
    two_head_model: mtf.MultiTaskModel, call: Callable[[Any, Any], Any], row: Any
) -> None:
    with pytest.raises(TypeError, match=PAIR):
        call(two_head_model, ["good", row])


def test_words_are_words_where_somebody_says_so(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [["the", "film"], ("good",), []]
    texts = ["the film", "good", ""]
    encoded = two_head_model.encode(rows, words=True)
    np.testing.assert_array_equal(encoded, two_head_model.encode(texts))
    found = two_head_model.forward(rows, ["pooled"], words=True)["pooled"]
    np.testing.assert_array_equal(found, two_head_model.forward(texts, ["pooled"])["pooled"])
    answers = two_head_model.predict("classifier", rows, words=True)
    assert answers == two_head_model.predict("classifier", texts)
    shares = two_head_model.predict_proba("classifier", rows, words=True)
    np.testing.assert_array_equal(shares, two_head_model.predict_proba("classifier", texts))


def test_a_head_that_takes_words_says_so(two_head_model: mtf.MultiTaskModel) -> None:
    rows = [["the", "film"], ["good"]]
    assert [len(tags) for tags in two_head_model.predict("ner_head", rows)] == [2, 1]
    assert set(two_head_model.predict_all(rows)) == {"classifier", "ner_head"}
    assert two_head_model.forward(rows, ["ner_head", "pooled"])["pooled"].shape[0] == 2


def test_texts_are_no_words(two_head_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(TypeError, match=r"sentence 0: expected a list of words .*split the text"):
        two_head_model.encode(["the film"], words=True)
    for call in (
        lambda rows: two_head_model.encode(rows, words=True),
        lambda rows: two_head_model.forward(rows, words=True),
        lambda rows: two_head_model.predict("classifier", rows, words=True),
        lambda rows: two_head_model.predict("ner_head", rows),
    ):
        with pytest.raises(TypeError, match=r"sentence 0: expected words .*; word 1 is int 3"):
            call([["good", 3]])
        with pytest.raises(TypeError, match="sentence 1: expected a list of words"):
            call([["good"], "good"])
    with pytest.raises(TypeError, match="words must be True or False; found 1"):
        two_head_model.encode([["the"]], words=1)  # type: ignore[arg-type]
