# SPDX-License-Identifier: Apache-2.0
"""`Trainer`: executes a `RunPlan` step by step; `TrainerState`: everything about how far it got.

The plan says what every step does, so a run is taken up anywhere from the model, the optimizer's
moments and a `TrainerState`: the number of steps done says which phase, which rows, which rate and
which dropout come next. After each step come, in this order, the evaluation if one is due, and the
checkpoint, which therefore never lies inside any of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from ..digests import FrozenReport, Snapshot, digest_model, report, unused_keys
from ..freeze import FreezeState
from .encoded import StepBatch, TrainingRows
from .progress import Reporter
from .run_plan import PhasePlan, PlannedStep, RunPlan
from .scoring import Scoring
from .step import run_step

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["Checkpointer", "Features", "Resume", "Trainer", "TrainerState"]

_SMOOTHING = 0.9
"""Weight of the past in the losses beside the progress bar."""


class Features(Protocol):
    """Puts together the batch of a step in place of `TrainingRows.batch`, with cached features."""

    def batch(self, phase: PhasePlan, planned: PlannedStep) -> StepBatch: ...


class Checkpointer(Protocol):
    """Called after every step, and once more where a run ends early; saves when it wants to."""

    def __call__(self, model: MultiTaskModel, plan: RunPlan, state: TrainerState) -> None: ...


class Resume(Protocol):
    """An earlier run to go on with."""

    @property
    def state(self) -> TrainerState: ...
    def restore(self, model: MultiTaskModel) -> None:
        """Write parameters and moments; the freeze state of the phase is in force by then."""


@dataclass
class TrainerState:
    """How far a run got. JSON values only.

    Attributes
    ----------
    n_steps, n_sequences, n_tokens : int
        Done.
    seconds : float
        Spent in steps, evaluations between them not counted.
    phase : int
        Number of the phase that was begun last; 0 before the first.
    pending : bool
        Whether what follows the last step (an evaluation that is due) is still to come.
    history : list of dict
        See `Run.history`.
    smooth : dict of str to float
        Smoothed loss of each task, for the progress bar.
    metrics : dict of str to float
        Of the last evaluation, which was after `evaluated_at` steps (-1: none yet).
    evaluated_at : int
    before, phase_before : dict of str to str
        Digests of every tensor at the begin of the run, and of the phase.
    reports : list of dict
        The verdict on what was frozen, of each phase that ended.
    """

    n_steps: int = 0
    n_sequences: int = 0
    n_tokens: int = 0
    seconds: float = 0.0
    phase: int = 0
    pending: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    smooth: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    evaluated_at: int = -1
    before: dict[str, str] = field(default_factory=dict)
    phase_before: dict[str, str] = field(default_factory=dict)
    reports: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the state as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainerState:
        """Return the state that `to_dict` gave; KeyError if a part of it is missing."""
        return cls(**{one.name: values[one.name] for one in fields(cls)})


class Trainer:
    """Executes a plan on a model.

    Parameters
    ----------
    model : MultiTaskModel
        Trained in place. Its freeze state is as before at the end, whatever happens; optimizer
        state is fresh at the begin and freed at the end.
    plan : RunPlan
        Made for this model.
    rows : TrainingRows
        The data that the plan's steps count in.
    scoring : Scoring
        Evaluations.
    reporter : Reporter
        Bars and lines.
    stop : callable
        Asked after every step whether to end.
    features : Features, optional
        Puts batches together instead of `rows`.
    checkpointer : Checkpointer, optional
        Called after every step.
    resume : Resume, optional
        What to go on from; by default a run begins.

    Attributes
    ----------
    state : TrainerState
        How far it got; also after an error.
    """

    def __init__(
        self,
        model: MultiTaskModel,
        plan: RunPlan,
        rows: TrainingRows,
        scoring: Scoring,
        reporter: Reporter,
        stop: Callable[[], bool],
        *,
        features: Features | None = None,
        checkpointer: Checkpointer | None = None,
        resume: Resume | None = None,
    ) -> None:
        self._model, self._plan, self._rows = model, plan, rows
        self._scoring, self._reporter, self._stop = scoring, reporter, stop
        self._features, self._checkpointer, self._resume = features, checkpointer, resume
        self._unused = unused_keys(model)
        self.state = TrainerState() if resume is None else resume.state

    def run(self) -> TrainerState:
        """Run what is left of the plan, then evaluate, and return the state.

        Raises
        ------
        TrainingError
            For a non-finite loss or norm, naming step and tensor; weights as after the step before.
        """
        core, earlier = self._model._core, self._model.freeze_state()
        core.train_reset()
        try:
            with self._reporter.bar(self._plan.n_steps, "training"):
                self._reporter.advance(self.state.n_steps)
                for phase in self._plan.phases:
                    if phase.number >= self.state.phase:
                        self._enter(phase)
                        self._run_steps(phase)
                        self._prove(phase)
                        if self._stop():
                            break
            if not self._stop():
                self._evaluate(self._plan.n_epochs if self.state.n_steps else 0)
        finally:
            core.train_reset()
            self._set_freeze(earlier)
        return self.state

    def _set_freeze(self, freeze: FreezeState) -> None:
        # Setting a state that is in force would still count as a change of the model.
        if self._model.freeze_state() != freeze:
            self._model.set_freeze_state(freeze)

    def _enter(self, phase: PhasePlan) -> None:
        state = self.state
        self._set_freeze(phase.freeze)
        if state.phase == phase.number and self._resume is not None:
            self._resume.restore(self._model)
            return
        state.phase = phase.number
        if not state.before:
            state.before = state.phase_before = digest_model(self._model)

    def _run_steps(self, phase: PhasePlan) -> None:
        state = self.state
        done = state.n_steps - phase.first_step
        if state.pending and done:
            self._follow_up(phase.steps[done - 1])
        for planned in phase.steps[done:]:
            if self._stop():
                break
            self._run_step(phase, planned)
            state.pending = True
            if not self._stop():
                self._follow_up(planned)
            if self._checkpointer is not None:
                self._checkpointer(self._model, self._plan, state)

    def _run_step(self, phase: PhasePlan, planned: PlannedStep) -> None:
        state = self.state
        begin = time.perf_counter()
        if self._features is not None:
            data = self._features.batch(phase, planned)
        else:
            data = self._rows.batch(phase.groups, planned.step)
        factor = phase.clock.factor(state.n_steps)
        figures = run_step(
            self._model, data, state.n_steps, self._plan.settings, phase.rates, factor
        )
        took = time.perf_counter() - begin
        for head, _, _ in data.losses:
            loss = figures[f"{head}_loss"]
            smooth = state.smooth.get(head, loss)
            state.smooth[head] = _SMOOTHING * smooth + (1 - _SMOOTHING) * loss
        state.history.append(
            {
                "step": state.n_steps + 1,
                "epoch": planned.epoch + 1,
                "phase": phase.number,
                "phase_name": phase.name,
                "task": data.name,
                **figures,
                **{
                    "learning_rate" if name == "all" else f"learning_rate.{name}": rate * factor
                    for name, rate in phase.rates.groups.items()
                },
                "frozen": phase.frozen,
                "n_sequences": data.batch.n_sequences,
                "n_tokens": data.batch.n_tokens,
                "seconds": took,
            }
        )
        state.n_steps += 1
        state.n_sequences += data.batch.n_sequences
        state.n_tokens += data.batch.n_tokens
        state.seconds += took
        self._reporter.advance(1, **state.smooth)

    def _follow_up(self, planned: PlannedStep) -> None:
        """Do what is due after a step; leave it pending if the user asks for an end meanwhile."""
        state = self.state
        if self._scoring.due(state.n_steps, planned.ends_epoch):
            epoch = planned.epoch + 1
            if not self._evaluate(epoch):
                return
            figures = self._scoring.text(state.metrics)
            self._reporter.say(f"step {state.n_steps}, epoch {epoch}: {figures}")
        state.pending = False

    def _evaluate(self, epoch: int) -> bool:
        """Evaluate, never twice at the same step; False if the user asked for an end meanwhile."""
        state = self.state
        if state.evaluated_at == state.n_steps:
            return True
        metrics = self._scoring.score(self._reporter, self._stop)
        if metrics is not None:
            state.metrics, state.evaluated_at = metrics, state.n_steps
            state.history.append({"step": state.n_steps, "epoch": epoch, **metrics})
        return not self._stop()

    def _prove(self, phase: PhasePlan) -> None:
        """Compare what was frozen in a phase with what it was at its begin."""
        now = digest_model(self._model)
        before = Snapshot(self.state.phase_before, phase.freeze.frozen | self._unused)
        self.state.reports.append(asdict(report(before, now)))
        self.state.phase_before = now

    def reports(self) -> list[FrozenReport]:
        """Return the verdict on what was frozen, of each phase that ended."""
        return [FrozenReport.from_dict(values) for values in self.state.reports]
