# SPDX-License-Identifier: Apache-2.0
"""Doubts about what a run came to: phases that never began, steps without labels, poor figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..closest import name_list
from ..evaluating.doubts import Doubt, doubt, value_doubts
from ..evaluating.eval_data import EvalData
from ..evaluating.scoring import Scoring
from ..planning.run_plan import RunPlan
from ..steps.batch import TrainingRows
from .trainer_state import TrainerState

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["result_doubts"]


def result_doubts(
    model: MultiTaskModel,
    plan: RunPlan,
    state: TrainerState,
    rows: TrainingRows,
    data: EvalData,
    scoring: Scoring,
) -> list[Doubt]:
    """Return what is doubtful in a run that came to its end, of itself or by a callback."""
    found = _left_out(plan, state)
    n_steps, n_empty = _steps(plan, state)
    for name, n in n_empty.items():
        said = f"{n:,} of {n_steps[name]:,} steps"
        found.append(doubt("unlabelled steps", name, steps=said))
    for name, metric in scoring.short.items():
        value = state.metrics.get(scoring.primary[name])
        if value is not None:
            learned = n_steps.get(name, 0) > n_empty.get(name, 0)
            train = rows.targets(name) if learned and not model.heads[name].frozen else None
            spec, gold = model.heads[name].spec, data.targets(name)
            found += value_doubts(name, spec, metric, value, train, gold)
    return found


def _left_out(plan: RunPlan, state: TrainerState) -> list[Doubt]:
    """Say what of the schedule, or of all, was not run."""
    found = [doubt("cut schedule", why=why) for why in plan.cut]
    if plan.n_steps and not state.n_steps:
        return [*found, doubt("no steps")]
    late = [one.name for one in plan.phases if len(one.steps) and one.first_step >= state.n_steps]
    return [*found, doubt("ended early", phases=name_list(late, 4))] if late else found


def _steps(plan: RunPlan, state: TrainerState) -> tuple[dict[str, int], dict[str, int]]:
    """Return the steps that each task took part in, and those in which it had no label."""
    names = list(dict.fromkeys(name for phase in plan.phases for name in phase.trained))
    taken: dict[str, int] = {}
    empty: dict[str, int] = {}
    for row in state.history:
        if "task" not in row:
            continue
        for name in [row["task"]] if row["task"] in names else row["task"].split("+"):
            taken[name] = taken.get(name, 0) + 1
            if f"{name}_loss" not in row:
                empty[name] = empty.get(name, 0) + 1
    return taken, empty
