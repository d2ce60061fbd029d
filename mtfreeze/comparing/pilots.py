# SPDX-License-Identifier: Apache-2.0
"""Pilots of a race whose candidates train long: the same schedules over a part of the rows.

Where a race to a quarter of a long run would cost more than it may, candidates race over so few
rows that their whole schedules, epochs, warm-up and decay as they are, take `Race.pilot_steps`
steps; what that race chooses is then trained on all rows. Pilots cost at most `SHARE` of the
longest candidate's steps, so there are none where candidates are many or their runs are short.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ..heads.task import Task
from ..losses.distillation import Distillation
from ..planning.run_plan import RunPlan
from .race_settings import Race, RaceFacts

__all__ = ["SHARE", "are_short", "pilot_lines", "pilot_tasks", "pilots_of"]

SHARE = 0.1
"""Of the steps of the longest candidate: what all pilots together may take."""

_LEAST_ROWS = 32
"""Training rows of a task below which a pilot says nothing."""


def pilots_of(folder: Path) -> Path:
    """Return the folder beside that of a comparison, which holds its pilots."""
    return folder.with_name(f"{folder.name}-pilots")


def pilot_tasks(tasks: Mapping[str, Task], race: Race, facts: RaceFacts) -> dict[str, Task] | None:
    """Return the tasks of pilots, with training rows drawn from all; None: no pilots.

    Parameters
    ----------
    tasks : mapping of str to Task
        Of the race.
    race : Race
    facts : RaceFacts
        Which candidates race, and how many steps each has.
    """
    racing = [one.n_steps - one.n_start for one in facts.candidates.values() if one.steps]
    if not racing or not race.pilot_steps:
        return None
    longest = max(racing)
    if len(racing) * race.pilot_steps > SHARE * longest:
        return None
    found = {}
    for name, task in tasks.items():
        assert task.train is not None  # by check_sufficient
        n_rows = int(len(task.train) * race.pilot_steps / longest)
        if n_rows < _LEAST_ROWS:
            return None
        found[name] = copy.copy(task)
        rows = task.train.drawn(n_rows, facts.seed)
        found[name].train = task.train.select(rows)
        if isinstance(task.loss, Distillation):  # what it teaches of these rows
            found[name].loss = replace(task.loss, teacher=task.loss.teacher[rows])
    return found


def are_short(plans: Mapping[str, RunPlan], race: Race) -> bool:
    """Say whether the plans of pilots are; a schedule in steps is as long over any rows."""
    own = [sum(len(phase.steps) for phase in plan.own) for plan in plans.values()]
    return max(own) <= 2 * race.pilot_steps


def pilot_lines(pilots: Mapping[str, Task], tasks: Mapping[str, Task], race: Race) -> list[str]:
    """Return what is said before pilots."""
    parts = [
        f"{len(one.train):,} of {len(whole.train):,} rows of {name}"
        for (name, one), whole in zip(pilots.items(), tasks.values(), strict=True)
        if one.train is not None and whole.train is not None
    ]
    return [
        f"race: on pilots first, whole schedules of about {race.pilot_steps} steps over "
        f"{', '.join(parts)}; the one that is chosen is then trained on all rows"
    ]
