# SPDX-License-Identifier: Apache-2.0
"""The "did you mean" helper and the exception tree that carries its messages."""

from __future__ import annotations

import pytest

from mtfreeze import errors
from mtfreeze.closest import closest, did_you_mean, name_list, unknown


def test_closest_ignores_case_and_orders_by_likeness() -> None:
    assert closest("Backbone", ["heads", "backbones", "backbone"]) == ["backbone", "backbones"]
    assert closest("bakcbone", ["backbone", "heads"]) == ["backbone"]
    assert closest("xyz", ["backbone", "heads"]) == []
    assert closest("aa", ["ab", "ac", "ad"], limit=3) == ["ab", "ac", "ad"]
    assert closest("a", []) == []


def test_messages() -> None:
    assert did_you_mean("ner", ["ner_head", "near"]) == "did you mean 'near' or 'ner_head'?"
    assert did_you_mean("qqq", ["ner_head"]) == ""
    assert name_list([]) == "(none)"
    assert name_list(["a", "b", "c"], limit=1) == "'a' and 2 more"
    assert unknown("head", "q", ["ner"]) == "unknown head 'q'; expected one of 'ner'"
    assert unknown("label", "pos", ["poss"], of="head 'h'") == (
        "unknown label 'pos' of head 'h'; expected one of 'poss'; did you mean 'poss'?"
    )


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.DataError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.SelectorError, LookupError),
        (errors.TrainingError, RuntimeError),
        (errors.ConcurrencyError, RuntimeError),
    ],
)
def test_exceptions_are_of_both_trees(kind: type[errors.Error], builtin: type[Exception]) -> None:
    assert issubclass(kind, errors.Error)
    assert issubclass(kind, builtin)
    assert kind.__doc__
    assert str(kind("what 'is' wrong")) == "what 'is' wrong"


def test_every_exception_is_exported() -> None:
    defined = {n for n, v in vars(errors).items() if isinstance(v, type)}
    assert defined == set(errors.__all__)
