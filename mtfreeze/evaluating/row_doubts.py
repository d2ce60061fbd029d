# SPDX-License-Identifier: Apache-2.0
"""Doubts about the rows of a run, found before its first step: what they cannot teach or tell.

Rows are looked at once, by array operations on what is tokenized already and by one set of texts
for each task; nothing is computed by the model.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..closest import counted, name_list
from ..data.examples import Examples
from ..heads.row_spaces import Targets
from ..heads.task import Task
from ..inputs.packing import Encoded
from ..losses.own import labelled_rows
from ..model.state import ModelState
from ..steps.batch import TrainingRows
from .doubts import Doubt, doubt
from .eval_data import EvalData

__all__ = ["evaluation_doubts", "row_doubts"]

Int64 = NDArray[np.int64]

_SHOWN = 4
"""Labels that a sentence names."""


@dataclass(frozen=True)
class _Part:
    """The training or the evaluation rows of a task."""

    examples: Examples
    targets: Targets
    encoded: Encoded


def row_doubts(
    model: ModelState,
    tasks: Mapping[str, Task],
    trained: Collection[str],
    rows: TrainingRows,
    data: EvalData,
) -> list[Doubt]:
    """Return what is doubtful in the rows of a run.

    Parameters
    ----------
    model : ModelState
        Its tokenizer and heads.
    tasks : mapping of str to Task
    trained : collection of str
        Those that the run learns from.
    rows : TrainingRows
        Of the tasks.
    data : EvalData
        Of the tasks.
    """
    learned = {
        name: _Part(task.train, rows.targets(name), rows.encoded(task.train, task.encoding))
        for name, task in tasks.items()
        if name in trained and task.train is not None
    }
    found = _cut(model, "training", learned)
    for name, part in learned.items():
        dull = _tokenless(model, "training", name, part)
        found += dull or _alike(name, part)
    found += evaluation_doubts(model, tasks, data)
    for name, part in learned.items():
        found += _unseen(model, name, part, _scored(tasks, data).get(name))
    return found


def evaluation_doubts(model: ModelState, tasks: Mapping[str, Task], data: EvalData) -> list[Doubt]:
    """Return what is doubtful in the evaluation rows alone."""
    scored = _scored(tasks, data)
    found = _cut(model, "evaluation", scored)
    for name, part in scored.items():
        found += _tokenless(model, "evaluation", name, part)
    return found


def _scored(tasks: Mapping[str, Task], data: EvalData) -> dict[str, _Part]:
    return {
        name: _Part(task.eval, data.targets(name), data.encoded(name))
        for name, task in tasks.items()
        if task.eval is not None
    }


def _cut(model: ModelState, which: str, parts: Mapping[str, _Part]) -> list[Doubt]:
    """Say of all tasks together how much is longer than the model's maximum."""
    whole = {id(part.encoded): part.encoded for part in parts.values()}
    n_rows = sum(one.n_truncated for one in whole.values())
    if not n_rows:
        return []
    labelled = {key: np.zeros(len(one.lost_words()[0]), bool) for key, one in whole.items()}
    for part in parts.values():
        if part.encoded.has_words and len(labelled[id(part.encoded)]) == len(part.targets.flat()):
            labelled[id(part.encoded)] |= labelled_rows(part.targets.flat())
    n_words = sum(int((one.lost_words()[0] & labelled[key]).sum()) for key, one in whole.items())
    words = f"; {counted(n_words, 'labelled word')} fell off" if n_words else ""
    length, rows = model.encoder.max_length, counted(n_rows, f"{which} row")
    return [doubt(f"{which} cut", length=length, rows=rows, words=words)]


def _tokenless(model: ModelState, which: str, name: str, part: _Part) -> list[Doubt]:
    """Say how much of what is labelled has no token."""
    if model.reads_images:  # every image has rows
        return []
    if model.heads[name].spec.row_space.splits:
        n = int((part.encoded.lost_words()[1] & labelled_rows(part.targets.flat())).sum())
        what = f"labelled {which} word"
    else:
        (empty,) = model.encoder.encode_texts([""]).lengths
        n = int((part.encoded.row_lengths[part.targets.labelled_rows()] <= empty).sum())
        what = f"labelled {which} text"
    if not n:
        return []
    items = f"{counted(n, what)} {'has' if n == 1 else 'have'}"
    return [doubt(f"{which} tokens", name, items=items)]


def _alike(name: str, part: _Part) -> list[Doubt]:
    """Say whether all labelled rows are one and the same to the model."""
    rows = part.targets.labelled_rows()
    if len(rows) < 2:
        return []
    first = part.encoded.ids_of_row(int(rows[0]))
    for row in rows[1:]:  # mostly the next one differs
        if not np.array_equal(part.encoded.ids_of_row(int(row)), first):
            return []
    return [doubt("alike", name, n=f"{len(rows):,}")]


def _unseen(model: ModelState, name: str, learned: _Part, scored: _Part | None) -> list[Doubt]:
    """Say what only one side has, and which rows both have."""
    spec = model.heads[name].spec
    untaught = spec.absent(learned.targets)
    found = [doubt("untaught", name, labels=name_list(untaught, _SHOWN))] if untaught else []
    if scored is None:
        return found
    unasked = [one for one in spec.absent(scored.targets) if one not in untaught]
    if unasked:
        found.append(doubt("unasked", name, labels=name_list(unasked, _SHOWN)))
    rows = scored.targets.labelled_rows()
    if learned.examples is scored.examples:
        n = len(rows)
    else:
        n = _n_repeated(scored.examples, rows, learned.examples, learned.targets.labelled_rows())
    if n:
        said = f"{n:,} of {counted(len(rows), 'evaluation row')} {'stands' if n == 1 else 'stand'}"
        found.append(doubt("repeated", name, rows=said))
    return found


def _n_repeated(examples: Examples, rows: Int64, others: Examples, of_others: Int64) -> int:
    """Return how many rows have the content of one of others."""
    mine, theirs = examples.select(rows), others.select(of_others)
    if mine.in_memory and theirs.in_memory:
        known = {row.content for row in theirs}
        return sum(row.content in known for row in mine)
    # Of rows that are not in memory 8 bytes each: two contents with one hash are not to be feared.
    return int(np.isin(_hashes(mine), _hashes(theirs)).sum())


def _hashes(examples: Examples) -> Int64:
    return np.fromiter((hash(row.content) for row in examples), np.int64, len(examples))
