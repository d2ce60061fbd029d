# SPDX-License-Identifier: Apache-2.0
"""Measures: what a head is judged by, and that the metrics of a kind stand in one list."""

from __future__ import annotations

import pytest

import mtfreeze as mtf
from mtfreeze.heads.registry import METRICS, measure_named, usual_metric
from mtfreeze.metrics.scores import SEQUENCE_METRICS, TOKEN_METRICS
from support.texts import TAGS

TEXTS = mtf.SequenceClassification(["negative", "positive"]).measure
ENTITIES = mtf.TokenClassification(TAGS).measure
WORDS = mtf.TokenClassification(["NOUN", "VERB"]).measure


def test_what_a_task_is_judged_by() -> None:
    assert TEXTS.choose(None) == "accuracy"
    assert ENTITIES.choose(None) == "f1"
    assert TEXTS.choose("mcc") == "mcc"
    with pytest.raises(
        mtf.ConfigError, match=r"unknown metric 'f1' of a sequence head.*'f1_macro'"
    ):
        TEXTS.choose("f1")
    with pytest.raises(mtf.ConfigError, match="unknown metric 'f1' of a head of tags without"):
        WORDS.choose("f1")


def test_names_of_metrics() -> None:
    assert TEXTS.names == (*SEQUENCE_METRICS, "ece")
    assert ENTITIES.names == TOKEN_METRICS
    assert WORDS.names == ("accuracy",)
    assert METRICS["f1_macro"].words == "macro F1"
    assert not METRICS["loss"].greater


def test_names_of_measures_are_those_of_kept_results() -> None:
    known = [measure_named(name) for name in ("sequence", "token", "word")]
    assert known == [TEXTS, ENTITIES, WORDS]
    with pytest.raises(mtf.ConfigError, match=r"unknown measure of results 'words'.*'word'"):
        measure_named("words")


def test_figures_tell_what_a_task_is_usually_judged_by() -> None:
    assert usual_metric([*TOKEN_METRICS, "loss"]) == "f1"
    assert usual_metric([*SEQUENCE_METRICS, "loss"]) == "accuracy"
    assert usual_metric(["loss"]) is None
