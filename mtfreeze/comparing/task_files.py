# SPDX-License-Identifier: Apache-2.0
"""Tasks as JSON values, rows and all, so that another process trains on the same data.

Rows that several tasks share stay shared: they are encoded once a step with ``mixing="joint"``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from ..data.answers import Answer
from ..data.balanced import EACH_ROW
from ..data.boxes import Box
from ..data.example import Example, Label
from ..data.examples import Examples
from ..errors import ConfigError
from ..heads.extra_metrics import metrics_from_values
from ..heads.task import Task
from ..images import Augment, Picture
from ..images.telling import is_image
from ..images.values import picture_from_value, picture_to_value
from ..losses.described import DescribedLoss
from ..losses.from_dict import loss_from_dict
from ..losses.own import loss_name
from ..quoting import quoted

__all__ = ["probe_from_values", "probe_to_values", "tasks_from_values", "tasks_to_values"]

_OPTIONS = ("weight", "train_through_frozen", "metric", "label")


def tasks_to_values(tasks: Mapping[str, Task]) -> dict[str, Any]:
    """Return JSON values of tasks: sets of rows, and which task uses which.

    Raises
    ------
    ConfigError
        If a task has a loss of its own, which is a function and no value, or a metric of its own
        that other processes cannot import.
    """
    for name, task in tasks.items():
        if task.loss is not None and not isinstance(task.loss, DescribedLoss):
            raise ConfigError(
                f"task {quoted(name)} has a loss of its own, {loss_name(task.loss)}; the jobs of a "
                "comparison run from a folder alone, in any process, and a folder cannot hold a "
                "function; leave loss= out, describe it as mtf.CrossEntropy(...), or call fit for "
                "each freeze schedule"
            )
    sets: dict[int, Examples] = {}

    def place(examples: Examples | None) -> int | None:
        if examples is None:
            return None
        sets.setdefault(id(examples), examples)
        return list(sets).index(id(examples))

    described = {
        name: {
            "train": place(task.train),
            "eval": place(task.eval),
            "loss": task.loss.to_dict() if isinstance(task.loss, DescribedLoss) else None,
            **{option: getattr(task, option) for option in _OPTIONS},
            "augment": None if task.augment is None else asdict(task.augment),
            # Not where there are none, so that comparisons of earlier versions go on.
            **({"metrics": _metrics(name, task)} if task.metrics else {}),
            **({} if task.sampling == EACH_ROW else {"sampling": task.sampling}),
        }
        for name, task in tasks.items()
    }
    rows = [{"name": one.name, "rows": [_row(row) for row in one]} for one in sets.values()]
    return {"sets": rows, "tasks": described}


def _metrics(name: str, task: Task) -> list[str]:
    return [one.to_value(f"task {quoted(name)}") for one in task.metrics]


def _row(row: Example) -> list[Any]:
    words = None if row.words is None else list(row.words)
    labels = None if row.labels is None else {k: _label(v) for k, v in row.labels.items()}
    texts = None if row.texts is None else list(row.texts)
    image = None if row.image is None else picture_to_value(row.image)
    return [row.text, words, _label(row.label), labels, row.source, texts, row.id, image]


def probe_to_values(rows: Iterable[Any]) -> list[Any]:
    """Return JSON values of texts, or of images."""
    return [picture_to_value(Picture(one)) if is_image(one) else one for one in rows]


def probe_from_values(values: Iterable[Any]) -> list[Any]:
    """Return the rows that `probe_to_values` gave the values of."""
    return [one if isinstance(one, str) else picture_from_value(one) for one in values]


def _label(label: Label | None) -> Any:
    if not isinstance(label, tuple):
        return label
    return [asdict(one) if isinstance(one, Box) else one for one in label]


def tasks_from_values(values: Mapping[str, Any]) -> dict[str, Task]:
    """Return the tasks that `tasks_to_values` gave the values of."""
    sets = [Examples(map(_example, one["rows"]), one["name"]) for one in values["sets"]]

    def rows(number: int | None) -> Examples | None:
        return None if number is None else sets[number]

    return {
        name: Task(
            rows(one["train"]),
            rows(one["eval"]),
            loss=None if one["loss"] is None else loss_from_dict(one["loss"], f"loss of {name}"),
            **{option: one[option] for option in _OPTIONS},
            augment=None if one.get("augment") is None else Augment(**one["augment"]),
            metrics=metrics_from_values(one.get("metrics", ()), f"task {quoted(name)}"),
            sampling=one.get("sampling", EACH_ROW),
        )
        for name, one in values["tasks"].items()
    }


def _example(row: list[Any]) -> Example:
    text, words, label, labels, source, texts, name, image = row
    return Example(
        text,
        None if words is None else tuple(words),
        _tuple(label),
        None if labels is None else {k: _tuple(v) for k, v in labels.items()},
        source,
        None if texts is None else tuple(texts),
        name,
        None if image is None else picture_from_value(image),
    )


def _tuple(label: Any) -> Any:
    if not isinstance(label, list):
        return label
    return tuple(_part(one) for one in label)


def _part(one: Any) -> Any:
    """Return one of several labels; answers were written as lists, boxes as objects."""
    if isinstance(one, dict):
        return Box(**one)
    return Answer(*one) if isinstance(one, list) else one
