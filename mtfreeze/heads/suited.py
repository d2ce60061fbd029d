# SPDX-License-Identifier: Apache-2.0
"""Which kinds of heads rows are for, and the head that takes its labels from the data.

Labels from data are in order: numbers by their size, then names as Python sorts them. So the same
rows give the same head on every machine, whatever their order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

from ..closest import name_list, unknown
from ..data.content import NAMED, content_of, each_part, numbers_of, target_of
from ..data.examples import Examples
from ..data.label_names import is_decimal
from ..errors import ConfigError, DataError
from .kind import HeadSpec
from .registry import KINDS

__all__ = ["SUITED", "Told", "check_named", "head_for", "told"]

SUITED: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("texts", "labels"): ("sequence_classification",),
    ("texts", "numbers"): ("regression",),
    ("texts", "several numbers"): ("regression",),
    ("texts", "several labels"): ("multi_label_classification",),
    ("texts", "none"): ("masked_lm", "causal_lm"),
    ("images", "labels"): ("sequence_classification",),
    ("images", "numbers"): ("regression",),
    ("images", "several numbers"): ("regression",),
    ("images", "several labels"): ("multi_label_classification",),
    ("images", "boxes"): ("detection",),
    ("words", "tags"): ("token_classification",),
    ("pairs", "labels"): ("pair_classification",),
    ("pairs", "numbers"): ("similarity",),
    ("pairs", "none"): ("similarity",),
    ("triplets", "none"): ("similarity",),
    ("questions", "answers"): ("question_answering",),
}
"""(what rows hold, what is told of it) -> kinds of heads, by the names of the registry."""


class Told(NamedTuple):
    """What rows hold, what is told of them, and the names that are told, in order; see `content`.

    Numbers have no names.
    """

    content: str
    target: str
    names: tuple[str, ...]


def told(parts: Sequence[Examples], task: str) -> Told:
    """Return what is told in data.

    Parameters
    ----------
    parts : sequence of Examples
        Rows to learn from, and to judge by; none of them is empty.
    task : str
        Which label, where rows carry several; else any.

    Raises
    ------
    ConfigError
        If rows carry labels of several tasks, and this is none of them.
    """
    found = []
    for examples in parts:
        if examples.tasks and task not in examples.tasks:
            raise ConfigError(
                f"{examples.name}: expected the task whose labels are asked for; found labels of "
                f"{name_list(examples.tasks)}; pass Task(label=...) with one of them"
            )
        found += [label for row in examples if (label := row.label_for(task)) is not None]
    names = {str(one): 1 for one in each_part(found) if one is not None}
    target = target_of(parts[0].kind, found, numbers_of(names))
    ordered = sorted(names, key=_in_order) if target in NAMED else ()
    return Told(content_of(parts[0]), target, tuple(ordered))


def _in_order(name: str) -> tuple[bool, int, str]:
    return (not is_decimal(name), int(name) if is_decimal(name) else 0, name)


def check_named(examples: Examples, task: str, labels: Sequence[str]) -> None:
    """Refuse a row with the name of a label that is none of those named.

    Raises
    ------
    DataError
        The row is named, and the closest label. Numbers are left to the head, to which they may be
        positions.
    """
    for row in examples:
        for one in each_part([row.label_for(task)]):
            if isinstance(one, str) and one not in labels:
                raise DataError(
                    f"{row.source}: {unknown('label', one, labels)}; add it to labels=, or correct "
                    "the row"
                )


def head_for(
    parts: Sequence[Examples], task: str, labels: Sequence[str] | None, **settings: Any
) -> HeadSpec:
    """Return the description of a head that learns from such rows.

    Parameters
    ----------
    parts, task
        As in `told`.
    labels : sequence of str, optional
        Names of the labels, in order; by default those in the data.
    **settings
        Arguments of the description, such as ``hidden=(64,)``.

    Raises
    ------
    DataError
        If no kind of head learns from such rows.
    ConfigError, TypeError
        If the kind of head has no such argument, or as the kind says.
    """
    content, target, names = told(parts, task)
    kinds = SUITED.get((content, target), ())
    if not kinds:
        raise DataError(
            f"{parts[0].name}: expected rows with labels that a head learns; found {content} with "
            f"{target if target != 'none' else 'no label'}; describe the head yourself, such as "
            "mtf.SequenceClassification(labels=[...])"
        )
    kind = KINDS[kinds[0]]
    known = [one.name for one in fields(kind) if one.init]
    for name in settings:
        if name not in known:
            raise ConfigError(unknown(f"argument of {kind.__name__}", name, known))
    if target in NAMED:
        settings = {"labels": names if labels is None else labels} | settings
    return kind(**settings)
