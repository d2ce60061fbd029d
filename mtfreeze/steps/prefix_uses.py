# SPDX-License-Identifier: Apache-2.0
"""What a run needs of the frozen prefix: outputs by phase and data set, and how often.

The core says what the prefix hands on in a freeze state (`prefix`). Nothing is computed here; the
cache of a run (``prefix_features.py``) and its estimate read the same list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..data.batches import Group
from ..freezing.state import FreezeMasks, FreezeState, masks
from ..inputs.packing import Encoded
from ..planning.run_plan import PhasePlan, RunPlan
from ..pricing.plan_prices import worth_keeping
from .batch import TrainingRows

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["EvalGroups", "PrefixUse", "evaluation_uses", "evaluations_of", "prefix_uses"]


_OFTEN = 100
"""Passes over rows after which counting ends: whatever pays then pays."""

EvalGroups = Sequence[tuple[Group, Encoded]]
"""The tasks that are scored in one pass, with their tokens: `EvalData.groups`."""


@dataclass(frozen=True)
class PrefixUse:
    """What one data set needs of the frozen prefix in one phase.

    Attributes
    ----------
    phase : int
        Number of the phase.
    group : int or None
        Position of the training group in the phase; None for evaluation.
    data : int
        Position of the data set among the distinct ones of the run.
    rows : (n,) int64 array
        Its sequences.
    names : tuple of str
        Outputs that stand for the prefix; the heads need no more.
    times : int
        How often each row is used; counted up to `_OFTEN`.
    """

    phase: int
    group: int | None
    data: int
    rows: NDArray[np.int64]
    names: tuple[str, ...]
    times: int


def prefix_uses(
    model: ModelState, plan: RunPlan, rows: TrainingRows, evaluated: EvalGroups
) -> tuple[list[Encoded], list[PrefixUse]]:
    """Return the distinct data sets of a run, and what each needs of the prefix in each phase.

    The core is asked about the freeze state of each phase; that of the model stays.
    """
    data: list[Encoded] = []
    uses: list[PrefixUse] = []
    for phase in plan.phases:
        if phase.steps:
            frozen = masks(model, phase.freeze)
            for at, group in enumerate(phase.groups):
                # In joint mixing every row of a batch runs through every task's head.
                heads = list(phase.trained) if _joint(plan) else list(group.tasks)
                names = _boundary(model, heads, frozen)
                if names and not _changes_inputs(model, group.tasks):
                    encoded = rows.encoded(group.examples, group.encoding)
                    chosen = encoded.sequences_in(group.rows, phase.steps.epochs)
                    own, each = _number(data, encoded), encoded.sequences_of(group.rows)
                    # variants of a row are used in turn
                    times = _times(phase, at, len(group.rows) * (len(chosen) // len(each)))
                    uses.append(PrefixUse(phase.number, at, own, chosen, names, times))
        times = evaluations_of(plan, phase)
        if times:
            uses += _evaluated(model, phase.number, phase.freeze, evaluated, data, times)
    return data, uses


def evaluation_uses(
    model: ModelState, evaluated: EvalGroups
) -> tuple[list[Encoded], list[PrefixUse]]:
    """Return the same of one evaluation by itself, in the model's own freeze state, as phase 1."""
    data: list[Encoded] = []
    return data, _evaluated(model, 1, model.freeze_state(), evaluated, data, 1)


def _evaluated(
    model: ModelState,
    phase: int,
    freeze: FreezeState,
    evaluated: EvalGroups,
    data: list[Encoded],
    times: int,
) -> list[PrefixUse]:
    # Where heads are frozen too, what they read still serves all of them.
    owns = model.index.family.owns
    frozen = masks(model, FreezeState(frozenset(key for key in freeze.frozen if owns(key))))
    uses = []
    for group, encoded in evaluated:
        names = _boundary(model, group.tasks, frozen)
        if names and not _changes_inputs(model, group.tasks):
            own, chosen = _number(data, encoded), encoded.sequences_of(group.rows)
            uses.append(PrefixUse(phase, None, own, chosen, names, times))
    return uses


def _number(data: list[Encoded], encoded: Encoded) -> int:
    """Return the position of a data set, which is noted if it is new."""
    for at, known in enumerate(data):
        if known is encoded:
            return at
    data.append(encoded)
    return len(data) - 1


def _boundary(model: ModelState, heads: Sequence[str], frozen: FreezeMasks) -> tuple[str, ...]:
    """Return the outputs that stand for the prefix of these heads, if they are worth keeping."""
    names = tuple(model._core.prefix(list(heads), training=True, frozen=frozen))
    return names if worth_keeping(model._core, names) else ()


def _changes_inputs(model: ModelState, tasks: Sequence[str]) -> bool:
    """Say whether what is read of a row is drawn anew: then nothing of it can be stored."""
    return any(model.heads[name].spec.changes_inputs for name in tasks)


def _joint(plan: RunPlan) -> bool:
    return plan.settings.mixing == "joint"


def _times(phase: PhasePlan, group: int, n_rows: int) -> int:
    """Return how often a phase goes through a group's rows, rounded up, at most `_OFTEN`."""
    drawn, n_rows = 0, max(1, n_rows)
    for planned in phase.steps:
        drawn += sum(len(part.rows) for part in planned.step if part.group == group)
        if drawn >= _OFTEN * n_rows:
            break
    return -(-drawn // n_rows)


def evaluations_of(plan: RunPlan, phase: PhasePlan) -> int:
    """Return how many evaluations fall into a phase."""
    every = plan.settings.eval_every
    last = phase is plan.phases[-1]
    if every == "epoch" or (every is not None and phase.steps.before):
        return phase.steps.n_epochs + (last and not phase.steps)
    if isinstance(every, int):
        count = phase.last_step // every - phase.first_step // every
        return count + (last and (phase.last_step % every != 0 or not phase.last_step))
    return int(last)
