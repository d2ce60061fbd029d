# SPDX-License-Identifier: Apache-2.0
"""`top_losses`: the evaluation rows that a model gets most wrong, the largest loss first.

The loss of a row is what ``eval_<task>_loss`` would be of it alone: of a text -log p of its label,
of a sentence the mean over its tagged words, of ``Task(loss=...)`` that loss. What is read from the
top of such a list is often a wrong label.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from ..checks import check_choice, check_integer
from ..closest import name_list
from ..errors import ConfigError, SelectorError
from ..heads.kind import HeadSpec
from ..heads.told import LABEL, LABELS, Told
from ..images import Picture
from ..model.state import check_model
from ..pictures.words import text_table
from ..printable import html_text, printable
from ..quoting import cut
from ..steps.batch import check_tasks
from .evaluate import evaluate_rows
from .scorers import Outcome

if TYPE_CHECKING:
    from ..data.example import Example
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["RowLoss", "TopLosses", "top_losses"]

_TEXT, _CELL = 60, 40
"""Characters of a text, and of what is right or predicted, that the table shows."""


@dataclass(frozen=True)
class RowLoss:
    """One row of evaluation data.

    Attributes
    ----------
    task : str
    row : int
        Its number in the evaluation data, from 0.
    loss : float
        By itself.
    text : str
        The text; texts of a pair with `` | `` between them, words with spaces, what an image is
        called.
    gold, predicted : str, tuple of str or tuple of float
        Label, labels, numbers; of a sentence the tag of each tagged word.
    probability : float or None
        Of what was predicted: of sets of labels, and of the words of a sentence, the least; None of
        numbers.
    source : str
        Where the row comes from.
    words : tuple of str
        Of a sentence its tagged words, which `gold` and `predicted` are the tags of; else none.
    """

    task: str
    row: int
    loss: float
    text: str
    gold: str | tuple[Any, ...]
    predicted: str | tuple[Any, ...]
    probability: float | None
    source: str
    words: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)


class TopLosses(Sequence[RowLoss]):
    """Rows by loss, largest first; prints as a table. ``pandas.DataFrame(top.to_dicts())``."""

    def __init__(self, rows: Sequence[RowLoss]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, at: int) -> RowLoss: ...
    @overload
    def __getitem__(self, at: slice) -> TopLosses: ...
    def __getitem__(self, at: int | slice) -> RowLoss | TopLosses:
        return TopLosses(self._rows[at]) if isinstance(at, slice) else self._rows[at]

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[RowLoss]:
        return iter(self._rows)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the rows as JSON values."""
        return [one.to_dict() for one in self._rows]

    def _table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        header: tuple[str, ...] = ("text", "row", "gold", "predicted", "probability", "loss")
        rows: list[tuple[str, ...]] = []
        several = len({one.task for one in self._rows}) > 1
        for one in self._rows:
            gold, predicted = _shown(one)
            sure = "-" if one.probability is None else f"{one.probability:.3f}"
            text, task = cut(printable(one.text), _TEXT), (one.task,) if several else ()
            rows.append((text, *task, str(one.row), gold, predicted, sure, f"{one.loss:.3f}"))
        return (header[0], "task", *header[1:]) if several else header, rows

    def __repr__(self) -> str:
        if not self._rows:
            return "no evaluation row with a target"
        return text_table(*self._table())

    def _repr_html_(self) -> str:
        header, rows = self._table()
        head = "".join(f"<th>{html_text(one)}</th>" for one in header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html_text(one)}</td>" for one in row) + "</tr>" for row in rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _shown(one: RowLoss) -> tuple[str, str]:
    """Return gold and predicted as the table has them: of sentences the tags that differ."""
    both = [(one,) if isinstance(one, str) else one for one in (one.gold, one.predicted)]
    if one.words:
        differing = [pair for pair in zip(*both, strict=True) if pair[0] != pair[1]]
        both = list(zip(*differing, strict=True)) or both
    gold, predicted = (" ".join(map(_word, part)) or "-" for part in both)
    return cut(printable(gold), _CELL), cut(printable(predicted), _CELL)


def _word(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def top_losses(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    k: int = 10,
    *,
    task: str | None = None,
    cache: str | bool | os.PathLike[str] = "auto",
    progress: bool = False,
) -> TopLosses:
    """Return the evaluation rows that the model gets most wrong, the largest loss first.

    Parameters
    ----------
    model : MultiTaskModel
        Not changed.
    tasks : mapping of str to Task
        By head name; those without ``eval`` are left out.
    k : int
        How many rows.
    task : str, optional
        Only this one's; by default of all tasks whose heads tell labels or numbers, together.
    cache, progress
        As for `evaluate`.

    Returns
    -------
    TopLosses
        A sequence of `RowLoss` that prints as a table. Rows of equal loss stand in their order;
        rows without a target are left out.

    Raises
    ------
    SelectorError
        If there is no such task with evaluation data.
    ConfigError
        If its head tells neither labels nor numbers, or as `evaluate`.
    DataError, TrainingError, TypeError
        As `evaluate`.

    Examples
    --------
    >>> top = mtf.top_losses(model, tasks, 3, task="classifier")
    >>> len(top), top[0].loss >= top[1].loss
    (3, True)
    """
    check_model(model)
    n = check_integer("k", k, 1)
    read = check_tasks(model, tasks)
    telling = [
        name for name, one in read.items() if one.eval is not None and model.heads[name].spec.tells
    ]
    if task is not None:
        there = [name for name, one in read.items() if one.eval is not None]
        check_choice("task", task, there, error=SelectorError)
    if task not in (None, *telling) or not telling:
        others = name_list(read if task is None else [task])
        raise ConfigError(
            "the rows that are most wrong are those of heads that tell labels or numbers; found "
            f"{others}, of none of these kinds; look at its evaluation rows by model.predict"
        )
    chosen = telling if task is None else [task]
    outcomes = evaluate_rows(
        model,
        {name: tasks[name] for name in chosen},
        cache=cache,
        progress=progress,
        told=True,
        row_losses=True,
    )
    found = [
        one
        for name, outcome in outcomes.items()
        for one in _largest(name, model.heads[name].spec, read[name], outcome, n)
    ]
    found.sort(key=lambda one: -one.loss)  # stable: equal ones stay in their order
    return TopLosses(found[:n])


def _largest(name: str, spec: HeadSpec, task: Task, outcome: Outcome, n: int) -> list[RowLoss]:
    """Return the rows of one task with the largest losses; what is NaN comes first."""
    told, by_row = outcome.told, outcome.row_losses
    assert told is not None and by_row is not None and task.eval is not None
    keys = np.where(np.isnan(by_row.losses), math.inf, by_row.losses)
    order = np.lexsort((by_row.rows, -keys))[:n]
    found = []
    for at in order.tolist():
        row = int(by_row.rows[at])
        begin, end = np.searchsorted(told.rows, [row, row + 1]).tolist()
        gold, predicted, sure = _answer(spec, told, slice(begin, end))
        example = task.eval[row]
        loss = float(by_row.losses[at])
        text, words = _text(example), _tagged(example, task.label_name(name))
        source = example.source
        found.append(RowLoss(name, row, loss, text, gold, predicted, sure, source, words))
    return found


def _answer(
    spec: HeadSpec, told: Told, items: slice
) -> tuple[str | tuple[Any, ...], str | tuple[Any, ...], float | None]:
    """Return what is right and what was predicted of the items of one row, and how sure that is."""
    gold, predicted = told.gold[items], told.predicted[items]
    if spec.tells == LABELS:
        assert told.scores is not None
        sets = [
            tuple(spec.labels[i] for i in np.flatnonzero(one[0]).tolist())
            for one in (gold, predicted)
        ]
        shares = told.scores[items][0]
        return sets[0], sets[1], float(np.where(predicted[0], shares, 1 - shares).min())
    if spec.tells != LABEL:
        return tuple(gold[0].tolist()), tuple(predicted[0].tolist()), None
    assert told.scores is not None
    names = [
        tuple(spec.labels[code] if code >= 0 else "-" for code in one.tolist())
        for one in (gold, predicted)
    ]
    shares = told.scores[items][np.arange(len(gold)), np.maximum(predicted, 0)]
    sure = float(np.where(predicted < 0, 0.0, shares).min())
    if spec.row_space.splits:
        return names[0], names[1], sure
    return names[0][0], names[1][0], sure


def _tagged(example: Example, label: str) -> tuple[str, ...]:
    """Return the words of a row that have a tag."""
    tags = example.label_for(label)
    if example.words is None or not isinstance(tags, tuple):
        return ()
    return tuple(w for w, tag in zip(example.words, tags, strict=True) if tag is not None)


def _text(example: Example) -> str:
    """Return what a row holds as one text."""
    content = example.content
    if isinstance(content, Picture):
        return content.name
    return content if isinstance(content, str) else (" " if example.words else " | ").join(content)
