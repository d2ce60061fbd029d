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
from ..heads.extra_metrics import ExtraMetric, OwnMetric, metrics_from_values
from ..heads.task import Task
from ..images import Augment, Picture
from ..images.telling import is_image
from ..images.values import picture_from_value, picture_to_value
from ..losses.described import DescribedLoss
from ..losses.from_dict import loss_from_dict
from ..losses.own import loss_name
from ..quoting import quoted
from .own_functions import OwnFunctions, check_carried, is_key

__all__ = ["probe_from_values", "probe_to_values", "tasks_from_values", "tasks_to_values"]

_OPTIONS = ("weight", "train_through_frozen", "metric", "label")


def tasks_to_values(tasks: Mapping[str, Task], own: OwnFunctions | None = None) -> dict[str, Any]:
    """Return JSON values of tasks: sets of rows, and which task uses which.

    Parameters
    ----------
    tasks : mapping of str to Task
    own : OwnFunctions, optional
        Takes what other processes cannot import; None: the jobs run there.

    Raises
    ------
    ConfigError
        If there is such a function, and no `own`.
    """
    check_carried(tasks, here=own is not None)
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
            "loss": _loss(name, task, own),
            **{option: getattr(task, option) for option in _OPTIONS},
            "augment": None if task.augment is None else asdict(task.augment),
            # Not where there are none, so that comparisons of earlier versions go on.
            **({"metrics": _metrics(name, task, own)} if task.metrics else {}),
            **({} if task.sampling == EACH_ROW else {"sampling": task.sampling}),
        }
        for name, task in tasks.items()
    }
    rows = [{"name": one.name, "rows": [_row(row) for row in one]} for one in sets.values()]
    return {"sets": rows, "tasks": described}


def _loss(name: str, task: Task, own: OwnFunctions | None) -> Any:
    if task.loss is None:
        return None
    if isinstance(task.loss, DescribedLoss):
        return task.loss.to_dict()
    assert own is not None  # else it was refused
    return own.keep(name, loss_name(task.loss), task.loss)


def _metrics(name: str, task: Task, own: OwnFunctions | None) -> list[str]:
    return [_metric(name, one, own) for one in task.metrics]


def _metric(name: str, metric: ExtraMetric, own: OwnFunctions | None) -> str:
    try:
        return metric.to_value(f"task {quoted(name)}")
    except ConfigError:
        if own is None or not isinstance(metric, OwnMetric):
            raise
        return own.keep(name, metric.name, metric.function)


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


def tasks_from_values(
    values: Mapping[str, Any], own: OwnFunctions | None = None
) -> dict[str, Task]:
    """Return the tasks that `tasks_to_values` gave the values of.

    Raises
    ------
    ConfigError
        If a function can neither be imported nor is one of `own`.
    """
    there = OwnFunctions() if own is None else own
    sets = [Examples(map(_example, one["rows"]), one["name"]) for one in values["sets"]]

    def rows(number: int | None) -> Examples | None:
        return None if number is None else sets[number]

    return {
        name: Task(
            rows(one["train"]),
            rows(one["eval"]),
            loss=_loss_of(one["loss"], name, there),
            **{option: one[option] for option in _OPTIONS},
            augment=None if one.get("augment") is None else Augment(**one["augment"]),
            metrics=_metrics_of(one.get("metrics", ()), name, there),
            sampling=one.get("sampling", EACH_ROW),
        )
        for name, one in values["tasks"].items()
    }


def _loss_of(value: Any, name: str, own: OwnFunctions) -> Any:
    if is_key(value):
        return own.find(value, f"loss of task {quoted(name)}")
    return None if value is None else loss_from_dict(value, f"loss of {name}")


def _metrics_of(values: Iterable[str], name: str, own: OwnFunctions) -> list[Any]:
    found: list[Any] = []
    for one in values:
        where = f"task {quoted(name)}"
        found += [own.find(one, where)] if is_key(one) else metrics_from_values([one], where)
    return found


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
