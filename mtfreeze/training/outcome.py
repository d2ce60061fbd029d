# SPDX-License-Identifier: Apache-2.0
"""What a run says before and after, and what it hands back: plan and state -> notes and `Run`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..closest import counted
from ..evaluating.doubts import Doubt, lines
from ..features import CacheStats
from ..freezing.digests import FrozenReport, Snapshot, report, unused_keys
from ..freezing.state import masks
from ..heads.task import Task
from ..planning.run_plan import PhasePlan, RunPlan
from ..printable import printable
from ..steps.prefix_features import PrefixFeatures
from .best_model import BestModel
from .costs import CostMeter
from .run import PhaseResult, Run
from .trainer import Trainer

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["last_words", "make_run", "notes_of"]


def notes_of(plan: RunPlan, doubts: Sequence[Doubt]) -> tuple[list[str], list[str]]:
    """Return what is worth saying before a run, and of each of its phases as it begins."""
    phases = plan.phases
    if plan.scheduled:
        names = " -> ".join(printable(phase.name) for phase in phases)
        whole = [
            f"freeze schedule: {counted(len(phases), 'phase')}, {counted(plan.n_epochs, 'epoch')}, "
            f"{counted(plan.n_steps, 'step')}: {names}"
        ]
        later = [
            f'phase {phase.number}/{len(phases)} "{printable(phase.name)}": {text}'
            for phase in phases
            for text in (phase.line, *phase.notes)
        ]
    elif plan.starts:
        own = phases[-1]
        whole = [own.line, *own.notes]
        later = [f'phase 1/2 "{phases[0].name}": {text}' for text in phases[0].notes]
    else:
        whole, later = [phases[0].line, *phases[0].notes], []
    whole += [*plan.notes, *lines(doubts)]
    return whole, later


def make_run(
    model: MultiTaskModel,
    plan: RunPlan,
    trainer: Trainer,
    notes: list[str],
    doubts: list[Doubt],
    interrupted: bool,
    best: BestModel | None,
    features: PrefixFeatures | None,
    meter: CostMeter,
    tasks: Mapping[str, Task],
) -> Run:
    """Put together what a run hands back; `tasks` are those that it can evaluate again."""
    state = trainer.state
    cut = interrupted or trainer.paused
    metrics = {} if cut else dict(state.metrics)
    if state.n_steps:
        losses = [row["loss"] for row in state.history if "loss" in row]
        if losses:
            metrics["train_loss"] = math.fsum(losses) / len(losses)
        metrics["train_runtime"] = state.seconds
        metrics["train_samples_per_second"] = state.n_sequences / max(state.seconds, 1e-9)
    if features is not None and features.fills:
        metrics["prefix_runtime"] = features.seconds
        notes = [*notes, features.note()]
    notes = [*notes, *lines(doubts, notes)]
    best_step = None
    if best is not None and state.best_value is not None and not cut:
        best_step = state.best_step
        metrics["best_step"] = float(best_step)
        name = best.judge.name
        notes = [*notes, f"best model: step {best_step}, {name} {state.best_value:.4f}; restored"]
    phases = _phase_results(plan, state.history, trainer.reports())
    begun = plan.phases[: max(1, len(phases))]
    always = frozenset.intersection(*(phase.freeze.frozen for phase in begun))
    before = Snapshot(state.before, always | unused_keys(model.unused))
    stepped = {phase.number for phase in phases if phase.n_steps}
    return Run(
        cache=CacheStats() if features is None else features.stats,
        costs=meter.phases,
        metrics=metrics,
        history=state.history,
        n_steps=state.n_steps,
        n_planned=plan.n_steps,
        parameters_trained=_parameters_trained(
            model, [one for one in plan.phases if one.number in stepped]
        ),
        interrupted=interrupted,
        paused=trainer.paused and not interrupted,
        notes=notes,
        doubts=doubts,
        frozen=_whole_report(before, state.phase_before, trainer.reports()),
        phases=phases,
        stopped=state.stop_reason if state.n_steps < plan.n_steps else None,
        best_step=best_step,
        _before=before,
        _model=model,
        _tasks=tasks,
    )


def last_words(run: Run, before: Sequence[str]) -> list[str]:
    """Return what a run says at its end, and has not said `before`."""
    said = []
    if run.interrupted:
        said.append(
            f"interrupted after step {run.n_steps} of {run.n_planned}; the model is as after that "
            "step; mtfreeze.evaluate(model, tasks) gives its metrics"
        )
    if run.paused:
        said.append(
            f"paused after step {run.n_steps} of {run.n_planned}; mtfreeze.evaluate(model, tasks) "
            "gives its metrics so far"
        )
    if run.stopped is not None:
        said.append(f"ended after step {run.n_steps} of {run.n_planned}: {run.stopped}")
    said += lines(run.doubts, before)
    if run.best_step is not None:
        said.append(run.notes[-1])
    return [*said, run.verdict]


def _phase_results(
    plan: RunPlan,
    history: Sequence[Mapping[str, Any]],
    reports: Sequence[FrozenReport],
) -> list[PhaseResult]:
    """Add up the steps of each phase that was begun."""
    results = []
    for phase, verdict in zip(plan.phases, reports, strict=False):
        rows = [row for row in history if "task" in row and row["phase"] == phase.number]
        results.append(
            PhaseResult(
                number=phase.number,
                name=phase.name,
                n_steps=len(rows),
                n_sequences=sum(row["n_sequences"] for row in rows),
                n_tokens=sum(row["n_tokens"] for row in rows),
                seconds=math.fsum(row["seconds"] for row in rows),
                parameters_trained=phase.parameters_trained if rows else 0,
                frozen=verdict,
                units=phase.units,
            )
        )
    return results


def _parameters_trained(model: MultiTaskModel, phases: Sequence[PhasePlan]) -> int:
    """Return how many values have gradients in at least one of these phases."""
    if not phases:
        return 0
    always = np.all([masks(model, phase.freeze)[0] for phase in phases], axis=0)
    infos = model._core.params()
    return sum(
        info.size
        for info, still in zip(infos, always, strict=True)
        if not (still or info.is_buffer)
    )


def _whole_report(
    before: Snapshot, now: Mapping[str, str], reports: Sequence[FrozenReport]
) -> FrozenReport:
    """Return the verdict on a run: moved in any phase, counted over all of them."""
    whole = report(before, now)
    moved = dict.fromkeys([*whole.moved, *(key for one in reports for key in one.moved)])
    return FrozenReport(tuple(moved), whole.n_frozen, whole.changed, whole.n_trainable)
