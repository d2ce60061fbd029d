# SPDX-License-Identifier: Apache-2.0
"""What users get wrong about tables and tasks made of them; part of `bad_input_cases`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mtfreeze as mtf

__all__ = ["TABLE_CASES"]

TABLE: dict[str, list[Any]] = {"review": ["good", "bad"], "mood": ["glad", "sad"]}


def from_table(table: object = TABLE, **arguments: Any) -> mtf.Task:
    """Make a task of a small table."""
    return mtf.Task.from_table(table, **{"text": "review", "label": "mood", **arguments})


TABLE_CASES: dict[str, Callable[[Any], object]] = {
    "table without its column": lambda _: mtf.read_table(TABLE, text="reviews", label="mood"),
    "table with a text that is missing": lambda _: mtf.read_table(
        {**TABLE, "review": ["good", float("nan")]}, text="review", label="mood"
    ),
    "table that is a number": lambda _: mtf.read_table(3),
    "columns of a file of words": lambda p: mtf.read_table(
        p.file("data.conll", "anna\tO\n"), text="words"
    ),
    "task of two labels": lambda _: from_table(label=["mood", "review"]),
    "share of all rows": lambda _: from_table(eval=1.0),
    "part that a data set has not": lambda _: from_table(
        table={"train": TABLE, "test": TABLE}, eval="tests"
    ),
    "label that is none of those named": lambda _: from_table(eval=None, labels=["glad", "sat"]),
    "labels of a head from no data": lambda _: mtf.SequenceClassification("auto"),  # type: ignore[arg-type]
    "argument that a head has not": lambda _: from_table(eval=None).head(hiden=(4,)),
    "rows of an unknown task": lambda _: mtf.read_table(
        {"text": ["a"], "mood": ["x"], "topic": ["y"]}, label=["mood", "topic"]
    )["mod"],
}
"""Name -> a call that takes a `Place`."""
