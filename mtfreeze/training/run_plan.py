# SPDX-License-Identifier: Apache-2.0
"""What a run will do, all of it known before it starts: `plan_run` -> `RunPlan`.

A run is a list of phases. A phase has one freeze state, the tasks whose losses train in it, its
optimizer steps with their rows, and its rates; a run without a schedule is one phase. Planning
changes nothing: the model is only read. The trainer executes the plan; caches, estimates and
checkpoints read from the same plan what is still to come.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..data.batches import Group, Step, group_tasks, plan_epoch
from ..data.task import Task
from ..freeze import FreezeState, masks
from .describe import frozen_line, frozen_names, trained_names, unit_states
from .rates import ParamLike, Rates, expand_decay, expand_rates
from .schedules import RateClock, count_warmup_steps
from .settings import FitSettings

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["PhasePlan", "PlannedStep", "RunPlan", "plan_run"]


@dataclass(frozen=True)
class PlannedStep:
    """One optimizer step to come.

    Attributes
    ----------
    epoch : int
        Counted over the whole run, from 0.
    step : tuple of Part
        Its rows; the parts count in the groups of the phase.
    ends_epoch : bool
        Whether it is the last of its epoch.
    """

    epoch: int
    step: Step
    ends_epoch: bool


@dataclass(frozen=True)
class PhasePlan:
    """Steps under one freeze state.

    Attributes
    ----------
    number : int
        From 1.
    name : str
        For the history and for people.
    freeze : FreezeState
        The model's state while the phase runs.
    trained : dict of str to Task
        The tasks whose losses train something in it.
    groups : list of Group
        What the steps' row numbers count in.
    steps : list of PlannedStep
        In order; empty if no loss reaches anything trainable.
    rates : Rates
        Peak rates and decay of each parameter.
    clock : RateClock
        The schedule's factor at each step.
    first_step : int
        Number of its first step, counted over the run from 0.
    line : str
        What is frozen and what trains, with counts.
    frozen : str
        What is frozen, short.
    n_trained : int
        Parameters (values) that may train in it.
    notes : list of str
        What is worth saying about it before it begins.
    """

    number: int
    name: str
    freeze: FreezeState
    trained: dict[str, Task]
    groups: list[Group]
    steps: list[PlannedStep]
    rates: Rates
    clock: RateClock
    first_step: int
    line: str
    frozen: str
    n_trained: int
    notes: list[str] = field(default_factory=list)

    @property
    def last_step(self) -> int:
        """Number after that of its last step."""
        return self.first_step + len(self.steps)


@dataclass(frozen=True)
class RunPlan:
    """A whole run.

    Attributes
    ----------
    settings : FitSettings
        The checked arguments.
    phases : list of PhasePlan
        In order.
    n_epochs : int
        Passes over the data, counted as the steps' epochs are.
    notes : list of str
        What is worth saying before it begins, of the whole run.
    """

    settings: FitSettings
    phases: list[PhasePlan]
    n_epochs: int
    notes: list[str] = field(default_factory=list)

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all phases."""
        return sum(len(phase.steps) for phase in self.phases)

    def phase_of(self, step: int) -> PhasePlan:
        """Return the phase that step number `step` (from 0) belongs to."""
        return next(phase for phase in self.phases if step < phase.last_step)


def _trained_tasks(
    model: MultiTaskModel, tasks: Mapping[str, Task], freeze: FreezeState, notes: list[str]
) -> dict[str, Task]:
    """Return the tasks whose loss trains something in a state; say why others do not."""
    with_data = {n: t for n, t in tasks.items() if t.train is not None and t.weight > 0}
    units = unit_states(model, freeze)
    frozen_heads = {unit.path for unit in units if unit.is_head and unit.frozen}
    backbone_trains = any(not u.is_head and u.n_values_frozen < u.n_values for u in units)
    trained: dict[str, Task] = {}
    for name, task in with_data.items():
        if name not in frozen_heads:
            trained[name] = task
        elif task.train_through_frozen and backbone_trains:
            trained[name] = task
            notes.append(f"{name}: frozen; its loss trains the backbone through it")
        else:
            notes.append(f"{name}: frozen; its task is evaluated, its loss trains nothing")
    if any(one.n_values_frozen < one.n_values for one in units):
        if not trained:
            notes.append(
                "nothing trains: no task with training data has a loss that reaches what is "
                "trainable; this run only evaluates"
            )
    else:
        notes.append("nothing trains: everything is frozen; this run only evaluates")
        trained = {}
    return trained


def _weights_note(trained: Mapping[str, Task], mixing: str) -> list[str]:
    if mixing == "joint" or all(task.weight == 1.0 for task in trained.values()):
        return []
    return [
        f"mixing={mixing!r} takes one task a step, and AdamW divides a gradient by its own size: "
        "loss weights act mostly through clipping; mixing='joint' adds the weighted losses up"
    ]


def _rates(model: MultiTaskModel, freeze: FreezeState, settings: FitSettings) -> Rates:
    frozen, _ = masks(model, freeze)
    params = [
        ParamLike(info.key, not still, info.decays)
        for info, still in zip(model._core.params(), frozen, strict=True)
    ]
    learning_rate, groups = expand_rates(params, settings.learning_rate, model.select)
    return Rates(learning_rate, expand_decay(params, settings.weight_decay, model.select), groups)


def plan_run(model: MultiTaskModel, tasks: Mapping[str, Task], settings: FitSettings) -> RunPlan:
    """Plan a run; nothing is changed by it.

    Parameters
    ----------
    model : MultiTaskModel
        Frozen as the user left it.
    tasks : mapping of str to Task
        Checked by ``check_tasks``.
    settings : FitSettings
        From ``check_settings``.

    Raises
    ------
    ConfigError, SelectorError, TypeError
        If rates do not cover what trains, or a selector matches nothing.
    DataError
        If a task's training data has no row with a label for it.
    """
    freeze = model.freeze_state()
    rates = _rates(model, freeze, settings)
    notes: list[str] = []
    trained = _trained_tasks(model, tasks, freeze, notes)
    # Labels are looked for in the data of every task, also of those that no phase trains.
    group_tasks({name: task for name, task in tasks.items() if task.train is not None})
    groups = group_tasks(trained, settings.mixing)
    steps: list[PlannedStep] = []
    for epoch in range(settings.epochs):
        drawn = plan_epoch(groups, settings.batch_size, settings.mixing, settings.seed, epoch)
        steps += [PlannedStep(epoch, step, i + 1 == len(drawn)) for i, step in enumerate(drawn)]
    n_warmup = count_warmup_steps(len(steps), settings.warmup_ratio, settings.warmup_steps)
    phase = PhasePlan(
        number=1,
        name=", ".join(trained_names(model, freeze)) or "nothing",
        freeze=freeze,
        trained=trained,
        groups=groups,
        steps=steps,
        rates=rates,
        clock=RateClock(settings.lr_schedule, 0, len(steps), n_warmup),
        first_step=0,
        line=frozen_line(model, freeze),
        frozen=", ".join(frozen_names(model, freeze)) or "nothing",
        n_trained=sum(u.n_values - u.n_values_frozen for u in unit_states(model, freeze)),
        notes=notes,
    )
    return RunPlan(settings, [phase], settings.epochs, _weights_note(trained, settings.mixing))
