# SPDX-License-Identifier: Apache-2.0
"""`Trainer`: executes a `RunPlan` step by step.

The plan says what every step does, so a run is taken up anywhere from the model, the optimizer's
moments and a `TrainerState`: the number of steps done says which phase, which rows, which rate and
which dropout come next. After each step come, in this order, the callbacks, the evaluation if one
is due, the end of the epoch, and the checkpoint, which therefore never lies inside any of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from .._core import Bracket
from ..closest import name_list
from ..errors import TrainingError
from ..evaluating.eval_data import without_features
from ..evaluating.scoring import Scoring
from ..freezing.digests import FrozenReport, Snapshot, digest_model, report, unused_keys
from ..heads.kind import HeadSpec
from ..losses.weighting import make_weighting
from ..planning.run_plan import PhasePlan, PlannedStep, RunPlan
from ..printable import printable
from ..runtime.interrupt import Stopped
from ..runtime.progress import Reporter
from ..steps.batch import StepBatch, TrainingRows
from ..steps.step import run_step
from .best_model import BestModel
from .callbacks import Callback, Context
from .epoch_table import EpochTable
from .parts import Checkpointer, Features, Resume
from .trainer_state import TrainerState

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel
    from .costs import CostMeter

__all__ = ["Trainer", "TrainerState"]

_SMOOTHING = 0.9
"""Weight of the past in the losses beside the progress bar."""


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
    callbacks : sequence of Callback
        Called in this order at every moment.
    best : BestModel, optional
        Keeps the best model; at the end of a run that was not interrupted it is restored.
    features : Features, optional
        Puts batches together instead of `rows`.
    checkpointer : Checkpointer, optional
        Called after every step.
    resume : Resume, optional
        What to go on from; by default a run begins.
    meter : CostMeter, optional
        Measures what the phases cost.
    pause_after : int, optional
        How many steps of the run are done when it pauses, the steps before a resume counted in.

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
        callbacks: Sequence[Callback] = (),
        best: BestModel | None = None,
        features: Features | None = None,
        checkpointer: Checkpointer | None = None,
        resume: Resume | None = None,
        meter: CostMeter | None = None,
        pause_after: int | None = None,
    ) -> None:
        self._model, self._plan, self._rows = model, plan, rows
        self._scoring, self._reporter, self._stop = scoring, reporter, stop
        self._callbacks, self._best = list(callbacks), best
        self._features, self._checkpointer, self._resume = features, checkpointer, resume
        self._meter, self._measured = meter, 0
        self._pause_after = pause_after
        self._unused = unused_keys(model.unused)
        self.state = TrainerState() if resume is None else resume.state
        self._context = Context(model, plan, self.state, scoring)
        self._table = EpochTable(scoring, reporter.say)
        weights = {n: task.weight for phase in plan.phases for n, task in phase.trained.items()}
        self._weighting = make_weighting(plan.settings.loss_weighting, weights)

    def run(self) -> TrainerState:
        """Run what is left of the plan, then evaluate, and return the state.

        Raises
        ------
        TrainingError
            For a non-finite loss or norm, naming step and tensor; weights as after the step before.
        """
        core, earlier = self._model._core, self._model.freeze_state()

        self._model._check_no_run("fit")

        def end() -> None:
            self._model._lock.in_run = False
            core.train_reset()
            self._model.set_freeze_state(earlier)

        Bracket(core.train_reset, end).run(self._go_through)
        return self.state

    def _go_through(self) -> None:
        self._model._lock.in_run = True
        self._begin()
        if self._features is not None:
            first, digests = max(1, self.state.phase), self.state.phase_before
            self._model.set_freeze_state(self._plan.phases[first - 1].freeze)
            self._features.prepare(first, digests, self._reporter, self._stop)
        with self._reporter.bar(self._plan.n_steps, "training"):
            self._reporter.advance(self.state.n_steps)
            for phase in self._plan.phases[max(0, self.state.phase - 1) :]:
                # The phase that is gone on with is ended even if no step follows.
                if phase.number == self.state.phase or not self._ends():
                    self._run_phase(phase)
        whole = not self.paused
        if whole and not self._stop() and self._evaluate(self._context.epoch):
            self._table.add(self.state, self._context.epoch)
        if whole and self._best is not None and self.state.best_step >= 0 and not self._stop():
            self._best.restore(self._model, self.state)
            self.state.metrics = dict(self.state.best_metrics)
        self._call("on_train_end")
        self._measure()

    def _begin(self) -> None:
        if self._resume is not None:
            # Before anything is computed: what is frozen by now may have trained before.
            self._context.phase = self._plan.phases[self.state.phase - 1]
            self._model.set_freeze_state(self._context.phase.freeze)
            self._resume.restore(self._model)
            self._weighting.from_dict(self.state.weighting)
            for callback, state in zip(self._callbacks, self.state.callbacks, strict=False):
                callback.set_state(state)
            if self._meter is not None:
                self._meter.start(self.state)
        else:
            self.state.before = self.state.phase_before = digest_model(self._model)
        self._call("on_train_begin")

    def _ends(self) -> bool:
        """Say whether no further step is to be taken."""
        return self.state.stop_reason is not None or self.paused or self._stop()

    @property
    def paused(self) -> bool:
        """Whether the run pauses here, with steps left to do; a run that ends here does not."""
        state, after = self.state, self._pause_after
        reached = after is not None and after <= state.n_steps < self._plan.n_steps
        return reached and state.stop_reason is None

    def _call(self, moment: str) -> None:
        for callback in self._callbacks:
            if getattr(type(callback), moment) is getattr(Callback, moment):
                continue
            before, heads = self._model.freeze_state(), _specs(self._model)
            try:
                getattr(callback, moment)(self._context)
            except Stopped:  # it asked the model something long
                return
            self._check_heads(f"{type(callback).__name__}.{moment}", heads)
            if self._model.freeze_state() != before:
                self._model.set_freeze_state(before)
                raise TrainingError(
                    f"{type(callback).__name__}.{moment}: expected the freeze state of the phase; "
                    "found another one after the call, which the plan of the run does not know; "
                    "write a FreezeSchedule for what is to change during a run"
                )

    def _check_heads(self, who: str, before: Mapping[str, HeadSpec]) -> None:
        """Refuse other heads than those that the run was planned for; new ones are taken away."""
        now = _specs(self._model)
        if now == before:
            return
        added = [name for name in now if name not in before]
        for name in added:
            self._model.remove_head(name)
        changed = [name for name in {**before, **now} if now.get(name) != before.get(name)]
        raise TrainingError(
            f"{who}: expected the heads that the run began with; found {name_list(changed)} added, "
            "removed or changed, which the plan of the run does not know; call add_head and "
            "remove_head before fit or after it"
        )

    def _run_phase(self, phase: PhasePlan) -> None:
        self._measure()
        self._measured = phase.number
        state, self._context.phase = self.state, phase
        self._model.set_freeze_state(phase.freeze)
        if state.phase == phase.number and self._resume is not None:
            if state.n_steps > phase.first_step:
                self._context.epoch = self._last_step(phase).number
        else:
            state.phase = phase.number
            if self._plan.changes:
                self._say_change(phase)
        if self._features is not None:
            self._features.enter(phase.number, self._reporter, self._stop)
        self._run_steps(phase)
        self._prove(phase)

    def _measure(self) -> None:
        """Put down what the phase under way has cost, while its freeze state is in force."""
        if self._meter is not None and self._measured:
            phase = self._plan.phases[self._measured - 1]
            self._meter.end_phase(phase, self.state, self._features)

    def _last_step(self, phase: PhasePlan) -> PlannedStep:
        return phase.steps[self.state.n_steps - phase.first_step - 1]

    def _say_change(self, phase: PhasePlan) -> None:
        """Note a change of what is frozen: a line, a row of the history, the callbacks."""
        n_phases = len(self._plan.phases)
        name = printable(phase.name)
        self._table.interrupt()
        self._reporter.say(f'phase {phase.number}/{n_phases} "{name}": {phase.line}')
        for note in phase.notes:
            self._reporter.say(f"  {note}")
        self.state.history.append(
            {
                "step": self.state.n_steps,
                "epoch": phase.steps[0].number if phase.steps else self._context.epoch,
                "phase": phase.number,
                "phase_name": phase.name,
                "freeze_change": phase.line,
                "frozen": phase.frozen,
                "n_trained": phase.parameters_trained,
            }
        )
        self._call("on_freeze_change")

    def _run_steps(self, phase: PhasePlan) -> None:
        state = self.state
        if state.pending and state.n_steps > phase.first_step:
            self._follow_up(self._last_step(phase))
        ended = state.n_steps == phase.first_step or self._last_step(phase).ends_epoch
        for planned in phase.steps.following(state.n_steps - phase.first_step):
            if self._ends():
                break
            if ended:
                self._context.epoch = planned.number
                self._call("on_epoch_begin")
                if self._ends():
                    break
            if not self._run_step(phase, planned):
                break
            ended, state.pending = planned.ends_epoch, True
            self._call("on_step_end")
            if not self._stop():
                self._follow_up(planned)
            self._save()
        if self._stop():  # asked for since the last step was saved
            self._save()

    def _save(self) -> None:
        if self._checkpointer is not None:
            self.state.weighting = self._weighting.to_dict()
            self.state.callbacks = [callback.get_state() for callback in self._callbacks]
            self._checkpointer(self._model, self._plan, self.state)

    def _run_step(self, phase: PhasePlan, planned: PlannedStep) -> bool:
        """Run a step and put down its figures; False if the user's wish for an end came before its
        update: then it is dropped."""
        state = self.state
        begin = time.perf_counter()
        if self._features is not None:
            data = self._features.batch(phase, planned)
        else:
            data = self._rows.batch(phase.groups, planned.step, epoch=planned.epoch)
        data = replace(data, losses=self._weighting.weigh(data.losses))
        heads = [one.head for one in data.losses]
        factor = phase.clock.factor(state.n_steps)
        if self._stop():
            return False
        self._expect_next(phase, planned, data)
        try:
            figures = run_step(
                self._model, data, state.n_steps, self._plan.settings, phase.rates, factor
            )
        except Stopped:
            return False
        weights = self._weighting.figures(heads)
        self._weighting.update({head: figures.get(f"{head}_loss", 0.0) for head in heads})
        took = time.perf_counter() - begin
        if self._meter is not None:
            self._meter.count_step(data)
        for head in heads:
            loss = figures.get(f"{head}_loss")
            if loss is None:  # nothing of it was labelled
                continue
            smooth = state.smooth.get(head, loss)
            state.smooth[head] = _SMOOTHING * smooth + (1 - _SMOOTHING) * loss
        state.history.append(
            {
                "step": state.n_steps + 1,
                "epoch": planned.number,
                "phase": phase.number,
                "phase_name": phase.name,
                "task": data.name,
                **figures,
                **weights,
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
        self._reporter.advance(1, state.smooth)
        return True

    def _expect_next(self, phase: PhasePlan, planned: PlannedStep, data: StepBatch) -> None:
        """Let what the next step reads be read while this one is computed, but for stored features.

        The next epoch is drawn when this one is over.
        """
        if self._rows.rereads and not (planned.ends_epoch or data.batch.features):
            following = phase.steps[self.state.n_steps - phase.first_step + 1]
            self._rows.expect(phase.groups, following.step, following.epoch)

    def _follow_up(self, planned: PlannedStep) -> None:
        """Do what is due after a step; leave it pending if the user asks for an end meanwhile."""
        state = self.state
        if self._scoring.due(state.n_steps, planned.ends_epoch, planned.before):
            epoch = planned.number
            if not self._evaluate(epoch):
                return
            self._table.add(state, epoch)
        if planned.ends_epoch:
            if state.n_steps < self._plan.n_steps:  # the last row waits for the last evaluation
                self._table.add(state, planned.number)
            self._call("on_epoch_end")
        state.pending = False

    def _evaluate(self, epoch: int) -> bool:
        """Evaluate, never twice at the same step; False if the user asked for an end meanwhile."""
        state = self.state
        if state.evaluated_at == state.n_steps:
            return True
        features = self._features
        pack = without_features if features is None else features.evaluation_batch
        watch = nullcontext(pack) if self._meter is None else self._meter.evaluation(pack)
        with watch as counted:
            metrics = self._scoring.score(self._reporter, self._stop, counted)
        if metrics is None:
            return not self._stop()
        state.metrics, state.evaluated_at = metrics, state.n_steps
        state.history.append({"step": state.n_steps, "epoch": epoch, **metrics})
        if self._best is not None:
            self._best.consider(self._model, state)
        self._call("on_evaluate")
        return True

    def _prove(self, phase: PhasePlan) -> None:
        """Compare what was frozen in a phase with what it was at its begin."""
        now = digest_model(self._model)
        before = Snapshot(self.state.phase_before, phase.freeze.frozen | self._unused)
        self.state.reports.append(asdict(report(before, now)))
        self.state.phase_before = now

    def reports(self) -> list[FrozenReport]:
        """Return the verdict on what was frozen, of each phase that ended."""
        return [FrozenReport.from_dict(values) for values in self.state.reports]


def _specs(model: MultiTaskModel) -> dict[str, HeadSpec]:
    return {name: head.spec for name, head in model.heads.items()}
