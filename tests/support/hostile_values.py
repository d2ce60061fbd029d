# SPDX-License-Identifier: Apache-2.0
"""Values that nobody means: wrong kinds, edges of kinds, objects whose own methods raise.

`VALUES` maps a name to a function that makes the value anew, so that a case gets one of its own.
"""

from __future__ import annotations

import decimal
import fractions
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["VALUES", "Boom"]


class Boom(Exception):
    """What hostile objects raise; where only they know why, it reaches the user as it is."""


class Text(str):
    """A text of a class of its own."""


class Whole(int):
    """A whole number of a class of its own."""


class Real(float):
    """A number of a class of its own."""


class Pairs(dict):  # type: ignore[type-arg]
    """A mapping of a class of its own."""


def raising(*methods: str) -> Any:
    """Return an object whose methods of these names raise."""

    def boom(*given: object, **named: object) -> Any:
        raise Boom

    return type("Raising", (), dict.fromkeys(methods, boom))()


def deep(depth: int = 50_000) -> list[Any]:
    """Return lists in lists, deeper than anything that calls itself can go."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def circle() -> list[Any]:
    """Return a list that holds itself."""
    found: list[Any] = ["a"]
    found.append(found)
    return found


def read_only() -> Any:
    array = np.ones(4, dtype=np.float32)
    array.flags.writeable = False
    return array


VALUES: dict[str, Callable[[], Any]] = {
    # what is nothing, and flags
    "None": lambda: None,
    "True": lambda: True,
    "False": lambda: False,
    "np.True_": lambda: np.True_,
    "array of False without axes": lambda: np.array(False),
    "...": lambda: ...,
    "NotImplemented": lambda: NotImplemented,
    # whole numbers
    "0": lambda: 0,
    "1": lambda: 1,
    "-1": lambda: -1,
    "2**31": lambda: 2**31,
    "-2**31 - 1": lambda: -(2**31) - 1,
    "2**63": lambda: 2**63,
    "2**64": lambda: 2**64,
    "2**70": lambda: 2**70,
    "10**400": lambda: 10**400,
    "10**5000": lambda: 10**5000,
    "-10**5000": lambda: -(10**5000),
    "int8": lambda: np.int8(3),
    "uint64": lambda: np.uint64(2**64 - 1),
    "array of 2 without axes": lambda: np.array(2),
    "int of a class of its own": lambda: Whole(2),
    # numbers
    "0.0": lambda: 0.0,
    "1.5": lambda: 1.5,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "-inf": lambda: -math.inf,
    "1e308": lambda: 1e308,
    "5e-324": lambda: 5e-324,
    "float32 nan": lambda: np.float32("nan"),
    "float16": lambda: np.float16(0.5),
    "array of 0.5 without axes": lambda: np.array(0.5),
    "float of a class of its own": lambda: Real(0.5),
    "Decimal": lambda: decimal.Decimal("1e-3"),
    "Decimal sNaN": lambda: decimal.Decimal("sNaN"),
    "Fraction": lambda: fractions.Fraction(1, 3),
    "complex": lambda: 1j,
    "complex64": lambda: np.complex64(1),
    "datetime64": lambda: np.datetime64("2020-01-01"),
    "timedelta64": lambda: np.timedelta64(1, "s"),
    # texts
    "empty text": lambda: "",
    "a space": lambda: " ",
    "x": lambda: "x",
    "text of a class of its own": lambda: Text("backbone"),
    "np.str_": lambda: np.str_("0.5"),
    "NUL": lambda: "a\0b",
    "half a character": lambda: "a\ud83d",
    "right to left": lambda: "\u202eabc\u0000",
    "a million characters": lambda: "x" * 1_000_000,
    "a million words": lambda: "x " * 100_000,
    "many brackets": lambda: "[" * 100_000,
    "re: that never ends": lambda: "re:(a+)+$",
    "digits": lambda: "9" * 5000,
    "layers[9..9]": lambda: f"layers[{'9' * 5000}]",
    "..": lambda: "../../..",
    # bytes
    "b''": lambda: b"",
    "b'x'": lambda: b"x",
    "bytes that are no UTF-8": lambda: b"\xff\x00",
    "bytearray": lambda: bytearray(b"x"),
    "memoryview": lambda: memoryview(b"x"),
    # lists and the like
    "[]": list,
    "()": lambda: (),
    "[[]]": lambda: [[]],
    "[None]": lambda: [None],
    "['a', None]": lambda: ["a", None],
    "[1, 'a']": lambda: [1, "a"],
    "['x', 'x']": lambda: ["x", "x"],
    "pair of lists": lambda: [["a"], ["b"]],
    "a tuple in a list": lambda: [("a",)],
    "(text, huge label)": lambda: [("a", 10**5000)],
    "(text, NaN)": lambda: [("a", math.nan)],
    "(words, deep tags)": lambda: [(["a"], [[[1]]])],
    "deep lists": deep,
    "list in itself": circle,
    "range": lambda: range(3),
    "endless range": lambda: range(2**62),
    "generator": lambda: (one for one in ("a", "b")),
    "generator that raises": lambda: (1 // 0 if one else "a" for one in (0, 1)),
    "set": lambda: {"a"},
    "frozenset": lambda: frozenset(("a", "b")),
    "bytes in a list": lambda: [b"a"],
    "million Nones": lambda: [None] * 1_000_000,
    # mappings
    "{}": dict,
    "{'a': 1}": lambda: {"a": 1},
    "{1: 2}": lambda: {1: 2},
    "{None: None}": lambda: {None: None},
    "{'classifier': None}": lambda: {"classifier": None},
    "{'classifier': [(a, b)]}": lambda: {"classifier": [("a", "b")]},
    "{'backbone': nan}": lambda: {"backbone": math.nan},
    "{'all': 10**400}": lambda: {"all": 10**400},
    "dict of a class of its own": lambda: Pairs(a=1),
    # arrays
    "no values": lambda: np.zeros(0),
    "array of one": lambda: np.array([1.0]),
    "big-endian": lambda: np.ones(4, dtype=">f4"),
    "read-only": read_only,
    "not contiguous": lambda: np.ones((4, 6))[::2, ::3],
    "array of objects": lambda: np.array([None, "a"], dtype=object),
    "array of texts": lambda: np.array(["a", "b"]),
    "array of records": lambda: np.zeros(2, dtype=[("a", "i4")]),
    "array of NaN": lambda: np.full((2, 2), np.nan),
    "array of many axes": lambda: np.zeros((1,) * 30),
    "masked array": lambda: np.ma.masked_all(3),
    # paths
    "Path": lambda: Path("."),
    "Path with NUL": lambda: Path("a\0b"),
    "path of nothing": lambda: Path("nothing/of/that/name.png"),
    "long path": lambda: Path("x" * 5000),
    # other objects
    "object": object,
    "a function": lambda: lambda *given, **named: None,
    "a type": lambda: int,
    "a module": lambda: math,
    "an exception": lambda: ValueError("x"),
    "raises as an index": lambda: raising("__index__"),
    "raises as a float": lambda: raising("__float__"),
    "raises as a path": lambda: raising("__fspath__"),
    "raises as an array": lambda: raising("__array__"),
    "raises as a text": lambda: raising("__str__", "__repr__"),
    "raises its length": lambda: raising("__len__", "__getitem__"),
    "raises as it is iterated": lambda: raising("__iter__"),
    "raises when compared": lambda: raising("__eq__", "__bool__", "__lt__"),
    "raises its hash": lambda: raising("__hash__"),
    "raises an attribute": lambda: raising("__getattr__"),
}
