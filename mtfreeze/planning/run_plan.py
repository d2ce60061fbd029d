# SPDX-License-Identifier: Apache-2.0
"""What a run will do, all of it known before it starts: `plan_run` -> `RunPlan`.

A run is a list of phases. A phase has one freeze state, the tasks whose losses train in it, its
optimizer steps with their rows, and its rates; a run without a schedule is one phase. Planning
changes nothing: the model is only read. The trainer executes the plan; caches, estimates and
checkpoints read from the same plan what is still to come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..closest import counted
from ..data.batches import Group, Step, group_tasks, plan_epoch, steps_per_epoch
from ..errors import ConfigError, SelectorError
from ..freezing.describe import frozen_line, frozen_names, trained_names
from ..freezing.state import FreezeState
from ..freezing.unit_states import UnitState
from ..heads.task import Task
from ..notices import renamed
from ..quoting import quoted
from ..runtime.precision import FP32
from .defaults import DEFAULT_EPOCHS
from .phase import Phase
from .phase_rates import phase_clock, phase_rates
from .phase_steps import PhaseSteps, PlannedStep, check_n_steps
from .rate_clock import RateClock, count_warmup_steps
from .rates import Rates
from .resolving import ResolvedPhase, phase_label, resolved_phase
from .settings import FitSettings
from .start import count_start_steps
from .start_phase import start_note, start_phase

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["PhasePlan", "PlannedStep", "RunPlan", "plan_run"]


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
    units : tuple of UnitState
        What that makes of each unit.
    trained : dict of str to Task
        The tasks whose losses train something in it.
    groups : list of Group
        What the steps' row numbers count in.
    steps : PhaseSteps
        `PlannedStep` in order; empty if no loss reaches anything trainable.
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
    parameters_trained : int
        Parameters (values) that may train in it.
    notes : list of str
        What is worth saying about it before it begins.
    """

    number: int
    name: str
    freeze: FreezeState
    units: tuple[UnitState, ...]
    trained: dict[str, Task]
    groups: list[Group]
    steps: PhaseSteps
    rates: Rates
    clock: RateClock
    first_step: int
    line: str
    frozen: str
    parameters_trained: int
    notes: list[str] = field(default_factory=list)

    n_trained = renamed("n_trained", "parameters_trained")

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
    scheduled : bool
        Whether the phases are those of a freeze schedule.
    notes : list of str
        What is worth saying before it begins, of the whole run.
    cut : tuple of str
        Why it ends before its schedule does, if it does.
    """

    settings: FitSettings
    phases: list[PhasePlan]
    n_epochs: int
    scheduled: bool = False
    notes: list[str] = field(default_factory=list)
    cut: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether what is frozen changes, or may, while it runs."""
        return self.scheduled or len(self.phases) > 1

    @property
    def own(self) -> list[PhasePlan]:
        """The phases without that of the heads which it may begin with."""
        return self.phases[1:] if self.starts else self.phases

    @property
    def starts(self) -> bool:
        """Whether it begins with a phase of its heads alone, which no schedule asked for."""
        return self.phases[0].steps.before

    @property
    def n_steps(self) -> int:
        """Optimizer steps of all phases."""
        return sum(len(phase.steps) for phase in self.phases)

    def phase_of(self, step: int) -> PhasePlan:
        """Return the phase that step number `step` (from 0) belongs to."""
        return next(phase for phase in self.phases if step < phase.last_step)


def plan_run(model: ModelState, tasks: Mapping[str, Task], settings: FitSettings) -> RunPlan:
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
        If rates do not cover what trains, a selector matches nothing, a phase trains a pinned part
        or nothing, or lengths contradict each other.
    DataError
        If a task's training data has no row with a label for it.
    """
    schedule, epochs = settings.freeze_schedule, settings.epochs
    if schedule is not None:
        resolved = schedule.resolve(model, epochs)
    else:
        length = DEFAULT_EPOCHS if epochs is None else epochs
        whole = resolved_phase(
            model, 1, "", model.freeze_state(), length, None, Phase(freeze="none")
        )
        resolved = [replace(whole, name=", ".join(trained_names(whole.units)) or "nothing")]
    # The one place that says so: a run in bf16 computes in bf16 what is frozen in fp32, too. Cache,
    # evaluations and steps all follow the freeze state of the phase.
    first = start_phase(model, tasks, settings, resolved[0])
    if settings.precision != FP32:
        resolved = [_filled(one, settings) for one in resolved]
    # Labels are looked for in the data of every task, also of those that no phase trains.
    group_tasks({name: task for name, task in tasks.items() if task.train is not None})
    drafts = [_draft(model, tasks, settings, phase, schedule is not None) for phase in resolved]
    if schedule is not None:
        _add_freeze_notes(model, drafts)
    started: list[_Draft] = []
    if first is not None:
        one, own_tasks, own_settings = first
        draft = _draft(model, own_tasks, own_settings, _filled(one, settings), True)
        if one.options.learning_rate is None:
            draft.notes.clear()  # start_note says all that there is
        started = [draft]
        for later, draft in enumerate(drafts, start=2):
            draft.phase = replace(draft.phase, number=later)
    if settings.group_by_length:
        for draft in (*started, *drafts):
            draft.lengths = [
                model.encoder.encode_examples(group.examples, group.encoding).row_lengths[
                    group.rows
                ]
                for group in draft.groups
            ]
    n_epochs, steps = _lay_steps(drafts, settings)
    before = [_start_steps(draft) for draft in started]
    phases = _finish(model, [*started, *drafts], [*before, *steps], sum(map(len, before)))
    notes = _precision_note(settings)
    for draft, laid in zip(started, before, strict=True):
        notes.append(start_note(len(laid), list(draft.trained)))
    if settings.group_by_length:
        notes.append("batches hold rows of similar length, so they are no random samples")
    notes += _coupling_note(model, phases)
    notes += _weights_note({n: t for one in phases for n, t in one.trained.items()}, settings)
    return RunPlan(settings, phases, n_epochs, schedule is not None, notes, resolved[-1].cut)


@dataclass
class _Draft:
    """A phase while it is being planned."""

    phase: ResolvedPhase
    settings: FitSettings
    trained: dict[str, Task]
    groups: list[Group]
    rates: Rates
    notes: list[str]
    lengths: list[NDArray[np.int64]] | None = None  # of each group's rows; None: not grouped by it


def _draft(
    model: ModelState,
    tasks: Mapping[str, Task],
    settings: FitSettings,
    phase: ResolvedPhase,
    scheduled: bool,
) -> _Draft:
    """Find out what trains in a phase, and how fast."""
    notes = [*phase.cut, *phase.notes]
    try:
        rates = phase_rates(model, phase, settings, notes)
    except (ConfigError, SelectorError, TypeError) as error:
        if not scheduled:
            raise
        raise type(error)(f"{phase_label(phase.number, phase.name)}: {error}") from None
    trained = _trained_tasks(tasks, phase.units, notes, scheduled)
    return _Draft(phase, settings, trained, group_tasks(trained, settings.mixing), rates, notes)


def _filled(phase: ResolvedPhase, settings: FitSettings) -> ResolvedPhase:
    """Return a phase with what it freezes in fp32 in the precision of the run."""
    if settings.precision == FP32:
        return phase
    return replace(phase, freeze=phase.freeze.filled(settings.precision))


def _trained_tasks(
    tasks: Mapping[str, Task],
    units: Sequence[UnitState],
    notes: list[str],
    scheduled: bool,
) -> dict[str, Task]:
    """Return the tasks whose loss trains something in a state; say why others do not."""
    with_data = {n: t for n, t in tasks.items() if t.train is not None and t.weight > 0}
    frozen_heads = {unit.path for unit in units if unit.is_head and unit.frozen}
    backbone_trains = any(not u.is_head and u.n_frozen < u.n_values for u in units)
    empty = {unit.path for unit in units if unit.is_head and not unit.n_values}
    trained: dict[str, Task] = {}
    for name, task in with_data.items():
        if name in empty - frozen_heads and not backbone_trains:
            notes.append(
                f"{name}: has no parameters and the backbone is frozen; its loss trains nothing"
            )
        elif name not in frozen_heads:
            trained[name] = task
        elif task.train_through_frozen and backbone_trains:
            trained[name] = task
            notes.append(f"{name}: frozen; its loss trains the backbone through it")
        else:
            notes.append(f"{name}: frozen; its task is evaluated, its loss trains nothing")
    what = "this phase has no step" if scheduled else "this run only evaluates"
    if any(one.n_frozen < one.n_values for one in units):
        if not trained:
            notes.append(
                "nothing trains: no task with training data has a loss that reaches what is "
                f"trainable; {what}"
            )
    else:
        notes.append(f"nothing trains: everything is frozen; {what}")
        trained = {}
    return trained


def _add_freeze_notes(model: ModelState, drafts: Sequence[_Draft]) -> None:
    """Say what `model.freeze` would warn of: heads that stay random, layers that save little."""
    trained = {name for name, head in model.heads.items() if head.trained}
    for one in drafts:
        for unit in one.phase.units:
            if unit.is_head and unit.frozen and unit.path not in trained:
                one.notes.append(
                    f"{unit.path}: frozen and never trained; its predictions are random"
                )
        trained |= set(one.trained) - one.phase.freeze.frozen_heads
        body = [unit for unit in one.phase.units if unit.in_body]
        lowest = next((i for i, unit in enumerate(body) if not unit.frozen), len(body))
        above = [unit.path for unit in body[lowest:] if unit.frozen]
        if above:
            one.notes.append(
                f"{above[-1]} is frozen while {body[lowest].path} below it trains: the "
                "backward pass still goes through it, and little is saved"
            )


def _lay_steps(drafts: Sequence[_Draft], settings: FitSettings) -> tuple[int, list[PhaseSteps]]:
    """Return how many epochs all phases begin, counted over the run, and the steps of each.

    Every phase begins a new epoch; one that counts in steps may end in the middle of its last.
    """
    lengths = {id(one): _epochs_begun(one) for one in drafts}
    in_steps = any(one.phase.steps is not None for one in drafts)
    known = sum(length or 0 for length in lengths.values())
    for one in drafts:
        if lengths[id(one)] is None:
            total = DEFAULT_EPOCHS if settings.epochs is None else settings.epochs
            if total <= known:
                raise ConfigError(
                    f"{phase_label(one.phase.number, one.phase.name)} takes the epochs that the "
                    f"others leave; found epochs={total} and "
                    f"{counted(known, 'epoch')} begun by the others; give fit more epochs, or "
                    "the phase its own"
                )
            lengths[id(one)] = total - known
            in_steps = False
    if in_steps and settings.epochs not in (None, known):
        raise ConfigError(
            f"epochs must be those of the schedule; found epochs={settings.epochs} and phases that "
            f"begin {counted(known, 'epoch')} together; leave epochs out, or the length of one "
            "phase"
        )
    n_epochs = [lengths[id(one)] or 0 for one in drafts]
    per_epoch = [_steps_per_epoch(one) for one in drafts]
    n_steps = [n * each for n, each in zip(n_epochs, per_epoch, strict=True)]
    for i, one in enumerate(drafts):
        if one.phase.steps is not None:
            n_steps[i] = min(n_steps[i], one.phase.steps)
    check_n_steps(sum(n_epochs), sum(n_steps))
    first, steps = 0, []
    for one, n, each, own in zip(drafts, n_epochs, per_epoch, n_steps, strict=True):
        steps.append(PhaseSteps(_drawer(one), first, each, own))
        first += n
    return first, steps


def _start_steps(draft: _Draft) -> PhaseSteps:
    """Return the steps of the heads' phase that a run begins with; see ``start.py``."""
    per_epoch, epochs = _steps_per_epoch(draft), _epochs_begun(draft)
    n_steps = count_start_steps(per_epoch) if epochs is None else epochs * per_epoch
    if draft.phase.steps is not None:
        n_steps = min(n_steps, draft.phase.steps)
    check_n_steps(epochs or 0, n_steps)
    return PhaseSteps(_drawer(draft), 0, per_epoch, n_steps, before=True)


def _drawer(draft: _Draft) -> Callable[[int], list[Step]]:
    """Return what draws the steps of an epoch of a phase."""
    settings = draft.settings

    def draw(epoch: int) -> list[Step]:
        return plan_epoch(
            draft.groups,
            settings.batch_size,
            settings.mixing,
            settings.seed,
            epoch,
            settings.sampling,
            settings.temperature,
            draft.lengths,
        )

    return draw


def _steps_per_epoch(draft: _Draft) -> int:
    settings = draft.settings
    return steps_per_epoch(
        draft.groups,
        settings.batch_size,
        settings.mixing,
        settings.sampling,
        settings.temperature,
    )


def _epochs_begun(draft: _Draft) -> int | None:
    """Return how many epochs a phase begins; None: those that are left."""
    if draft.phase.steps is None:
        return draft.phase.epochs
    per_epoch = _steps_per_epoch(draft)
    return -(-draft.phase.steps // per_epoch) if per_epoch else 0


def _finish(
    model: ModelState, drafts: Sequence[_Draft], steps: Sequence[PhaseSteps], n_before: int
) -> list[PhasePlan]:
    """Lay the steps of the phases one after another, with their clocks.

    `n_before` of them come before the run's own, over which it warms up and decays.
    """
    settings = drafts[-1].settings
    n_steps = sum(len(own) for own in steps) - n_before
    whole = RateClock(
        settings.lr_schedule,
        n_before,
        n_steps,
        count_warmup_steps(n_steps, settings.warmup_ratio, settings.warmup_steps),
    )
    phases: list[PhasePlan] = []
    first = 0
    for one, own in zip(drafts, steps, strict=True):
        freeze, units = one.phase.freeze, one.phase.units
        clock = phase_clock(one.phase.options, first, len(own), one.settings) or whole
        phases.append(
            PhasePlan(
                number=one.phase.number,
                name=one.phase.name,
                freeze=freeze,
                units=units,
                trained=one.trained,
                groups=one.groups,
                steps=own,
                rates=one.rates,
                clock=clock,
                first_step=first,
                line=frozen_line(model, freeze, units),
                frozen=", ".join(frozen_names(units)) or "nothing",
                parameters_trained=sum(unit.n_values - unit.n_frozen for unit in units),
                notes=[*one.notes, *clock.warmup_notes(first, len(own))],
            )
        )
        first += len(own)
    return phases


def _precision_note(settings: FitSettings) -> list[str]:
    parts = []
    if settings.precision != FP32:
        parts.append(
            f"precision: products in {settings.precision}, forward and backward, frozen parts too; "
            "sums, gradients, weights and moments in fp32"
        )
    if settings.save_activations != FP32:
        parts.append(f"activations kept for the backward pass are {settings.save_activations}")
    return ["; ".join(parts)] if parts else []


def _coupling_note(model: ModelState, phases: Sequence[PhasePlan]) -> list[str]:
    """Say that batch norms take a step as one batch, where some train."""
    moving = model.index.moving.keys()
    if any(moving - phase.freeze.frozen for phase in phases if phase.steps):
        return [
            "batch norms that train take the statistics of a step's whole batch: token_budget does "
            "not cut it, and its memory grows with batch_size"
        ]
    return []


def _weights_note(trained: Mapping[str, Task], settings: FitSettings) -> list[str]:
    learned = settings.loss_weighting != "static"
    if settings.mixing == "joint" or len(trained) == 0:
        return []
    if not learned and all(task.weight == 1.0 for task in trained.values()):
        return []
    return [
        f"mixing={quoted(settings.mixing)} takes one task a step, and AdamW divides a gradient by "
        "its "
        "own size: loss weights act mostly through clipping; mixing='joint' adds the weighted "
        "losses up"
    ]
