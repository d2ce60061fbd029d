# SPDX-License-Identifier: Apache-2.0
"""`Task`: the forms of data it takes and the arguments it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mtfreeze import Augment, Task
from mtfreeze.data import Examples
from mtfreeze.errors import ConfigError, DataError


def test_forms_of_data() -> None:
    data = Examples.from_rows([("a", 1)])
    task = Task(train=data, eval=[(["Anna"], ["O"])], weight=2)
    assert task.train is data
    assert task.eval is not None
    assert task.eval.kind == "words"
    assert task.weight == 2.0
    from_generator = Task(train=(("a", i) for i in range(3)))
    assert from_generator.train is not None
    assert len(from_generator.train) == 3
    assert Task(eval=[("a", 1)]).train is None


def test_label_name_and_repr() -> None:
    task = Task(train=[("a", 1)], label="topic", metric="mcc", train_through_frozen=True)
    assert task.label_name("classifier") == "topic"
    assert Task(train=[("a", 1)]).label_name("classifier") == "classifier"
    assert repr(task) == (
        "Task(train=1 rows, eval=none, weight=1.0, train_through_frozen=True, metric='mcc', "
        "label='topic')"
    )
    varied = Task(train=[(np.zeros((4, 4, 3), np.uint8), "a")], augment=Augment(crop=None))
    assert repr(varied) == (
        "Task(train=1 rows, eval=none, weight=1.0, augment=Augment(flip=True, crop=None, "
        "colour=0.2, variants=8, seed=0))"
    )


@pytest.mark.parametrize("data", [[], (), Examples([])])
def test_empty_data(data: Any) -> None:
    with pytest.raises(DataError, match="train: expected at least one row; found none"):
        Task(train=data)
    with pytest.raises(DataError, match="eval: expected at least one row; found none"):
        Task(train=[("a", 1)], eval=data)


def test_no_data_at_all() -> None:
    with pytest.raises(ConfigError, match="found neither train= nor eval="):
        Task()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("train.tsv", "found str 'train.tsv'; read the file first"),
        (Path("train.tsv"), "read the file first"),
        (b"abc", "read the file first"),
        ({"text": "a"}, r"expected rows such as \[\(text, label\), ...\].*found dict"),
        (5, r"expected rows such as .*found int"),
    ],
)
def test_data_of_the_wrong_type(data: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Task(train=data)


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), -1.0, -0.001])
def test_weights_that_make_no_sense(weight: float) -> None:
    with pytest.raises(ConfigError, match="weight must be a finite number of at least 0"):
        Task(train=[("a", 1)], weight=weight)


@pytest.mark.parametrize("weight", ["1", None, True, [1.0]])
def test_weights_of_the_wrong_type(weight: Any) -> None:
    with pytest.raises(TypeError, match="weight must be a number; found"):
        Task(train=[("a", 1)], weight=weight)


def test_weights_that_are_fine() -> None:
    assert Task(train=[("a", 1)], weight=0).weight == 0.0
    assert Task(train=[("a", 1)], weight=np.float32(0.5)).weight == 0.5


def test_other_arguments() -> None:
    rows = [("a", 1)]
    with pytest.raises(ConfigError, match=r"unknown metric 'acuracy'.*did you mean 'accuracy'"):
        Task(train=rows, metric="acuracy")
    with pytest.raises(TypeError, match="label must be the name of a label"):
        Task(train=rows, label=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="train_through_frozen must be True or False; found 'yes'"):
        Task(train=rows, train_through_frozen="yes")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Task(rows, rows, 1.0)  # type: ignore[misc]
