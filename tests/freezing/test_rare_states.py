# SPDX-License-Identifier: Apache-2.0
"""Freeze states of heads without parameters, and selectors that are no selectors."""

from __future__ import annotations

import pytest

import mtfreeze as mtf
from mtfreeze.freezing.unit_names import tensors_text


def test_a_head_without_parameters_trains_or_does_not(tiny_model: mtf.MultiTaskModel) -> None:
    model = tiny_model.add_head("alike", mtf.Similarity("cosine"))
    model.add_head("mood", mtf.SequenceClassification(["good", "bad"]))
    assert not [key for key in model.param_keys if key.startswith("alike.")]
    assert model.trainable("alike") is True
    model.freeze("alike", pin=False)
    assert model.trainable("alike") is False
    assert model.trainable("heads") == "partial"


def test_a_text_of_thousands_of_characters_is_no_selector(tiny_model: mtf.MultiTaskModel) -> None:
    with pytest.raises(
        mtf.SelectorError, match=r"at most [\d,]+ characters; found 20,000 that beg"
    ):
        tiny_model.freeze("backbone." + "x" * 19_991)
    assert tiny_model.trainable("backbone") is True


def test_heads_without_tensors_are_named() -> None:
    assert tensors_text(None, {"mood.weight"}, ["tone", "alike"]) == "alike, tone, 1 tensor"
