# SPDX-License-Identifier: Apache-2.0
"""The rows of a race: held out where a task has none, drawn where there are many; and its legs.

All candidates are judged on the same rows, whatever the rung.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..closest import counted
from ..data.content import how_drawn
from ..data.examples import split_rows
from ..errors import DataError
from ..heads.registry import measure_named
from ..heads.task import Task
from ..losses.distillation import Distillation
from ..quoting import quoted
from ..steps.batch import encode_task
from ..training.checkpoint import checkpoint_step, list_checkpoints
from .comparison_folder import ComparisonFolder, described
from .race_settings import LEAST_ROWS, RaceFacts
from .results import ScenarioRun

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = [
    "check_judges",
    "going_on",
    "held_out",
    "judged_at",
    "judging_rows",
    "judging_tasks",
    "with_legs",
]

_HELD_OUT = 0.25

_ONE_ANSWER = ("sequence", "numbers", "label_sets")
"""Measures of rows with one answer each, which tell nothing where all answers are the same."""


def held_out(tasks: Mapping[str, Task], seed: int) -> tuple[dict[str, Task], list[str]]:
    """Return tasks that all have evaluation rows, and what is to be said of it.

    A task without any gives a quarter of its training rows, drawn by label where rows have one.
    """
    found, notes = {}, []
    for name, task in tasks.items():
        found[name] = task
        if task.train is None or task.eval is not None or len(task.train) < 2:
            continue
        train, kept, chosen = split_rows(task.train, 1 - _HELD_OUT, seed)
        found[name] = copy.copy(task)
        found[name].train, found[name].eval = train, kept
        loss = task.loss
        taught = loss if isinstance(loss, Distillation) and loss.has_logits else None
        if taught and len(taught.teacher) == len(chosen):  # else it is refused, for what was given
            found[name].loss = replace(taught, teacher=taught.teacher[chosen])
        notes.append(
            f"{name}: no evaluation rows, so {len(kept):,} of its {len(task.train):,} training "
            f"rows, drawn {how_drawn(task.train)}, are held out to judge by and do not train; "
            "Task(eval=...) judges by others"
        )
    return found, notes


def check_judges(model: MultiTaskModel, tasks: Mapping[str, Task]) -> None:
    """Check that the evaluation rows can tell candidates apart.

    Raises
    ------
    DataError
        If a task has fewer than `LEAST_ROWS` of them, or all have the same answer.
    """
    for name, task in tasks.items():
        assert task.train is not None and task.eval is not None  # by check_sufficient
        if len(task.eval) < LEAST_ROWS:
            raise DataError(
                f"a race needs at least {LEAST_ROWS} evaluation rows of each task; found "
                f"{len(task.eval)} of {quoted(name)}; give more rows, or compare without race="
            )
        spec = model.heads[name].spec
        if spec.measure.name not in _ONE_ANSWER:
            continue
        train, gold = (encode_task(model, name, task, part) for part in (task.train, task.eval))
        answers = measure_named(spec.measure.name).gold(spec.baseline(train, gold))
        if len(answers) and (answers == answers[0]).all():
            raise DataError(
                f"a race needs evaluation rows with different answers; found all "
                f"{counted(len(answers), 'row')} of {quoted(name)} with the same one, which tell "
                "no candidate from another; give rows of every label"
            )


def judging_rows(
    model: MultiTaskModel, tasks: Mapping[str, Task], n_rows: int, seed: int
) -> tuple[dict[str, list[int]], dict[str, int], list[str]]:
    """Return the numbers of the rows that judge (none: all), how many, and what is to be said.

    Heads that are scored by comparing all rows with one another are judged by all of them.
    """
    rows: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    notes = []
    for name, task in tasks.items():
        assert task.eval is not None
        whole = len(task.eval) <= n_rows or model.heads[name].spec.batch_loss() is not None
        rows[name] = [] if whole else task.eval.drawn(n_rows, seed).tolist()
        sizes[name] = len(rows[name]) or len(task.eval)
        if sizes[name] < n_rows:
            notes.append(
                f"{name}: judged by {sizes[name]:,} rows; fewer than {n_rows} widen the intervals, "
                "and candidates are dropped later"
            )
    return rows, sizes, notes


def judging_tasks(tasks: Mapping[str, Task], rows: Mapping[str, Sequence[int]]) -> dict[str, Task]:
    """Return tasks with the evaluation rows that judge, none of them to train on."""
    found = {}
    for name, numbers in rows.items():
        task = found[name] = copy.copy(tasks[name])
        task.train = None
        if numbers and task.eval is not None:
            task.eval = task.eval.select(numbers)
    return found


def judged_at(facts: Mapping[str, Any], name: str, seed: int, stop: int | None) -> bool:
    """Say whether a run is to be scored on the rows that judge, where it stops now.

    At its rungs; and at its end if it has none, unless all rows judge and its scores are those.
    """
    if stop is not None:
        return True
    known = facts["candidates"].get(name)
    alone = known is not None and not known["steps"]
    return alone and seed == facts["seed"] and any(facts["rows"].values())


def going_on(folder: Path, stop: int | None) -> dict[str, Any]:
    """Return the arguments of `fit` by which a run pauses, or goes on from where it paused."""
    found = list_checkpoints(folder)
    if stop is None:
        return {"resume": folder} if found else {}
    if found and (checkpoint_step(found[0]) or 0) > stop:
        shutil.rmtree(folder, ignore_errors=True)  # of rungs that lay elsewhere
    return {"output_dir": folder, "resume": True, "stop_after_steps": stop}


def with_legs(run: ScenarioRun, place: ComparisonFolder) -> ScenarioRun:
    """Return the result of a run with what its legs before the last took."""
    values = place.race()
    if values is None:
        return run
    known = RaceFacts.from_dict(values).candidates.get(run.scenario)
    row = described(place.settings(), run.scenario)
    legs = [place.result(run.scenario, run.seed, row, n) for n in (known.steps if known else ())]
    there = [one for one in legs if one is not None]
    return replace(
        run,
        prefix_seconds=run.prefix_seconds + sum(one.prefix_seconds for one in there),
        memory_bytes=max([run.memory_bytes, *(one.memory_bytes for one in there)]),
        n_computed=run.n_computed + sum(one.n_computed for one in there),
        n_found=run.n_found + sum(one.n_found for one in there),
    )
