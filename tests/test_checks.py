# SPDX-License-Identifier: Apache-2.0
"""What counts as a number, a flag, a path, wherever one is asked, and what is said of the rest."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mtfreeze as mtf
from mtfreeze.checks import (
    as_flag,
    as_integer,
    as_items,
    as_number,
    check_each,
    check_integer,
    check_path,
    check_seed,
    check_text,
)
from support.hostile_values import VALUES, raising
from support.small_tasks import ROWS, quick_fit, two_tasks


@pytest.mark.parametrize(
    ("value", "flag", "whole", "number"),
    [
        (True, True, None, None),
        (np.True_, True, None, None),
        (np.array(False), False, None, None),
        (3, None, 3, 3.0),
        (np.int8(3), None, 3, 3.0),
        (np.uint64(2**64 - 1), None, 2**64 - 1, float(2**64)),
        (np.array(2), None, 2, 2.0),
        (np.float32(0.5), None, None, 0.5),
        (np.array(0.5), None, None, 0.5),
        (10**400, None, 10**400, math.inf),
        (-(10**400), None, -(10**400), -math.inf),
        (np.array([1.0]), None, None, None),
        (np.str_("1"), None, None, None),
        (np.datetime64("2020-01-01"), None, None, None),
        (np.complex64(1), None, None, None),
        ("1", None, None, None),
        (b"1", None, None, None),
        (None, None, None, None),
        (raising("__index__"), None, None, None),
        (raising("__float__"), None, None, None),
    ],
)
def test_what_counts_as_what(
    value: Any, flag: bool | None, whole: int | None, number: float | None
) -> None:
    assert (as_flag(value), as_integer(value), as_number(value)) == (flag, whole, number)


def test_a_number_of_any_size_is_named_in_the_message() -> None:
    with pytest.raises(mtf.ConfigError, match="at most 9223372036854775807; found an int of about"):
        check_integer("n", 10**5000, 1)
    with pytest.raises(mtf.ConfigError, match=r"n must be at least 1; found an int of about 5,000"):
        check_integer("n", -(10**5000), 1)


def test_seeds_are_those_of_the_core() -> None:
    assert check_seed("seed", np.uint64(2**64 - 1)) == 2**64 - 1
    for seed in (-1, 2**64, 2**70, 10**5000):
        with pytest.raises(mtf.ConfigError, match="seed must be at"):
            check_seed("seed", seed)


@pytest.mark.parametrize("value", ["a/b", b"a/b", Path("a/b"), np.str_("a/b")])
def test_paths_of_every_kind(value: Any) -> None:
    assert check_path("path", value) == Path("a/b")


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ("a\0b", mtf.ConfigError, "with a NUL character in it"),
        ("a\ud83d", mtf.ConfigError, "with half of a character in it"),
        ("x" * 5000, mtf.ConfigError, "more than 4,095 characters"),
        (3, TypeError, "found int 3"),
        (None, TypeError, "found None"),
        (raising("__fspath__"), TypeError, "which raises Boom"),
    ],
)
def test_what_is_no_path(value: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        check_path("path", value)


def test_items_are_checked_as_they_come() -> None:
    assert check_each("names", np.array(["a", "b"]), check_text, of="names", example="[]") == [
        "a",
        "b",
    ]
    with pytest.raises(TypeError, match=r"names\[0\] must be a text \(str\); found int 0"):
        check_each("names", range(2**62), check_text, of="names", example="[]")
    for value in ("ab", {"a": 1}, 3, None, np.array(2)):
        with pytest.raises(TypeError, match="names must be a list of names; found"):
            check_each("names", value, check_text, of="names", example="['a']")


class Table:
    """What frames of pandas and polars have in common."""

    def __init__(self, *columns: str) -> None:
        self.columns = columns

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"a", "b"}, "set .*, which has no order; write a list"),
        (frozenset("ab"), "frozenset .*, which has no order; write a list"),
        (Table("text", "label"), "Table .*, which gives the names of its columns; give one"),
    ],
)
def test_what_gives_items_without_a_meaning_is_no_list(values: Any, why: str) -> None:
    assert as_items(values) is None
    with pytest.raises(TypeError, match=f"names must be a list of names; found {why}"):
        check_each("names", values, check_text, of="names", example="['a']")


def test_what_keeps_its_order_is_a_list() -> None:
    mapping = {"b": 1, "a": 2}
    for values in (mapping.keys(), mapping, mapping.values(), iter("ba"), np.array(["b", "a"])):
        items = as_items(values)
        assert (items is None) == (values is mapping)
    assert list(as_items(mapping.keys()) or ()) == ["b", "a"]


@pytest.mark.parametrize("name", VALUES)
def test_checkers_know_every_value(name: str) -> None:
    for check in (as_flag, as_integer, as_number):
        check(VALUES[name]())  # returns, whatever it is


def test_scalars_of_other_libraries_wherever_one_is_asked(
    two_head_model: mtf.MultiTaskModel,
) -> None:
    run = quick_fit(
        two_head_model,
        epochs=np.int64(1),
        learning_rate=np.float32(1e-3),
        group_by_length=np.False_,
        cache=np.False_,
        betas=np.array([0.9, 0.99]),
        seed=np.uint64(7),
    )
    assert run.n_steps == 5
    plain = {"learning_rate": {"all": float(np.float32(1e-3))}, "cache": False, "seed": 7}
    assert quick_fit(two_head_model, epochs=1, betas=(0.9, 0.99), **plain).n_steps == 5
    head = mtf.SequenceClassification(["a", "b"], hidden=np.array([4]), dropout=np.float32(0.5))
    assert head == mtf.SequenceClassification(["a", "b"], hidden=(4,), dropout=0.5)


@pytest.mark.parametrize("seed", [2**64, 2**70, 10**5000, -1], ids=["64", "70", "digits", "-1"])
def test_seeds_beyond_the_core_are_refused_everywhere(
    seed: int, two_head_model: mtf.MultiTaskModel
) -> None:
    head = mtf.SequenceClassification(["a", "b"])
    calls = (
        lambda: quick_fit(two_head_model, seed=seed),
        lambda: two_head_model.add_head("new", head, seed=seed),
        lambda: two_head_model.step({"classifier": ROWS}, learning_rate=1e-3, seed=seed),
        lambda: mtf.compare(two_head_model, two_tasks(), seeds=[seed]),
        lambda: mtf.Examples.from_rows(ROWS).split(0.5, seed=seed),
    )
    for call in calls:
        with pytest.raises(mtf.ConfigError, match="must be at"):
            call()


def test_a_model_is_asked_for_by_name() -> None:
    for call in (mtf.fit, mtf.estimate, mtf.evaluate, mtf.compare, mtf.recommend):
        for value in (None, "x", mtf.MultiTaskModel):
            with pytest.raises(TypeError, match="model must be a MultiTaskModel; found"):
                call(value, {})  # type: ignore[operator]


def test_labels_that_files_cannot_hold_are_refused_at_once() -> None:
    with pytest.raises(mtf.ConfigError, match=r"labels\[1\] with half of a character"):
        mtf.SequenceClassification(["good", "bad \ud83d"])
    with pytest.raises(TypeError, match="in an order, that of the outputs; found set"):
        mtf.SequenceClassification({"good", "bad"})  # type: ignore[arg-type]
