# SPDX-License-Identifier: Apache-2.0
"""What is settled of a race before it runs: who races, where each pauses, which rows judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..heads.task import Task
from ..planning.run_plan import RunPlan
from .race_data import judging_rows
from .race_rules import rung_steps
from .race_settings import Candidate, Race, RaceFacts

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["race_facts"]


def race_facts(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    race: Race,
    plans: Mapping[str, RunPlan],
    seed: int,
    notes: Sequence[str] = (),
) -> RaceFacts:
    """Return the facts of a race.

    Parameters
    ----------
    model : MultiTaskModel
    tasks : mapping of str to Task
        With evaluation rows.
    race : Race
    plans : mapping of str to RunPlan
        By scenario.
    seed : int
        Of the runs that race, and of the rows that are drawn.
    notes : sequence of str
        What was said of the data before.
    """
    rows, n_rows, more = judging_rows(model, tasks, race.rows, seed)
    candidates = {name: _candidate(plan, race) for name, plan in plans.items()}
    return RaceFacts(race, seed, candidates, rows, n_rows, [*notes, *more])


def _candidate(plan: RunPlan, race: Race) -> Candidate:
    n_start = len(plan.phases[0].steps) if plan.starts else 0
    heads_alone = all(
        unit.is_head or unit.n_frozen == unit.n_values
        for phase in plan.phases
        for unit in phase.units
    )
    if heads_alone or not plan.n_steps:
        return Candidate(plan.n_steps, n_start, ())
    steps = tuple(_step(plan, n_start, fraction) for fraction in race.rungs)
    return Candidate(plan.n_steps, n_start, steps)


def _step(plan: RunPlan, n_start: int, fraction: float) -> int:
    """Return where a rung lies, after the warm-up of whatever phase it falls in."""
    clocks = [phase.clock for phase in plan.own]
    step = rung_steps(n_start, clocks[0].n_warmup, plan.n_steps - n_start, fraction)
    for clock in clocks:
        warm = clock.first_step + clock.n_warmup
        if clock.first_step <= step < warm:
            step = min(warm, plan.n_steps)
    return step
