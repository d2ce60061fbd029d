# SPDX-License-Identifier: Apache-2.0
"""Values in messages: as `repr` writes them, and never more than 200 characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mtfreeze.closest import closest, name_list, unknown
from mtfreeze.quoting import LIMIT, cut, quoted
from support.process_state import within


class Broken:
    def __repr__(self) -> str:
        raise RuntimeError


def doubled(levels: int) -> list[Any]:
    """Return a list that stands for 2 ** levels values and costs `levels`."""
    value: list[Any] = [1]
    for _ in range(levels):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        "",
        "it's",
        'q"',
        b"a",
        0,
        -(10**50),
        True,
        None,
        1.5,
        float("nan"),
        [],
        (1,),
        (1, "a"),
        {3},
        set(),
        {"b": [1, (2,)], "a": {}},
        np.float32(1.5),
        "x" * 198,
    ],
)
def test_small_values_are_written_as_repr_does(value: object) -> None:
    assert quoted(value) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 199,
        "x" * 10**7,
        "\0" * 10**6,
        b"x" * 10**7,
        [0] * 10**6,
        {"x" * 10**6: "y" * 10**6},
        [["x" * 10**6]] * 10**5,
        doubled(100),
        np.zeros(900),
    ],
)
def test_large_values_are_cut_and_cost_little(value: object) -> None:
    with within(1):
        text = quoted(value)
    assert len(text) <= LIMIT
    assert "…" in text
    assert len(quoted(value, 20)) <= 20


def test_what_repr_refuses() -> None:
    assert quoted(10**5000) == "an int of about 5,000 digits"
    assert quoted([10**5000]) == "[an int of about 5,000 digits]"
    assert quoted(Broken()) == "<Broken>"
    loop: list[Any] = []
    loop.append(loop)
    assert quoted(loop) == "[[[[[[[…]]]]]]]"


def test_cut() -> None:
    assert cut("a" * 200) == "a" * 200
    assert cut("a" * 201) == "a" * 199 + "…"


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("x" * 10**6, ["x" * 10**6] * 50),
        ("label", [f"label {i}" for i in range(60_000)]),
        ("abcdefghij" * 10, ["jihgfedcba" * 9 + str(i) for i in range(60_000)]),
        ("x", (str(i) * 1000 for i in range(60_000))),
    ],
)
def test_names_of_strangers_are_compared_in_bounded_time(name: str, names: Any) -> None:
    with within(2):
        text = unknown("label", name, names)
    assert len(text) < 2_500
    assert "x" * (LIMIT + 1) not in text


def test_the_bounds_change_nothing_for_usual_names() -> None:
    names = [f"encoder.layer.{i}.attention.self.query.weight" for i in range(24)]
    assert closest("encoder.layer.7.attention.self.qurey.weight", names, 1) == [names[7]]
    assert closest("labl 4999", [f"label {i}" for i in range(60_000)], 1) == ["label 4999"]
    assert name_list(["x" * 500]) == "'" + "x" * 98 + "…"
