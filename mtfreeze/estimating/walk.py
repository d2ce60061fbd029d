# SPDX-License-Identifier: Apache-2.0
"""Goes through the phases of a prepared run on a copy of the model, and prices each.

First every phase is looked at in its own freeze state: what the cache would compute, the FLOPs of
its steps and evaluations, the arenas of its largest batches, and timings. Then the seconds are put
together, for phases that were not timed from those before and after them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..closest import counted
from ..evaluating.eval_data import without_features
from ..inputs.row_layout import RowLayout
from ..model.encoding import brief_tokens, calls
from ..planning.run_plan import PhasePlan, PlannedStep
from ..pricing.plan_prices import Flops, PlanPrices, form_bytes, sizes_of
from ..runtime.progress import Reporter
from ..steps.batch import StepBatch
from ..steps.by_hand import computed_in
from ..steps.prefix_features import PrefixFeatures, run_features
from ..steps.prefix_uses import evaluations_of
from ..training.costs import PhaseCosts, encoded_bytes
from ..training.prepare import Prepared
from .calibration import EVAL_ROWS, time_digests, time_evaluation, time_steps
from .earlier import EarlierRuns
from .lines import Line, join_lines, relative_error
from .peaks import CorePeak
from .trial_cache import TrialCache, needed_keys
from .work import Heads, StepKind, kinds_of, pick_steps, sample_rows

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["walk"]

_PHASES = 3
"""Phases of a schedule that are timed; those between take their place between these."""


def walk(
    model: MultiTaskModel, prepared: Prepared, reporter: Reporter, earlier: EarlierRuns
) -> tuple[list[tuple[PhaseCosts, float]], list[str]]:
    """Price a run.

    Parameters
    ----------
    model : MultiTaskModel
        A copy: it is trained on, with a rate of zero, and its freeze state changes.
    prepared : Prepared
        The run.
    reporter : Reporter
        Draws the bar.
    earlier : EarlierRuns
        What runs before this one will have left; gets what this one leaves.

    Returns
    -------
    list of (PhaseCosts, float)
        Every phase, and the error of its seconds, in seconds.
    list of str
        What is worth saying.
    """
    return _Walk(model, prepared, earlier).run(reporter)


@dataclass
class _Steps:
    """The steps of one kind in one phase: their work, and how long it takes if it was timed."""

    kind: StepKind
    flops: Flops
    line: Line | None


@dataclass
class _Evaluations:
    """The evaluations of a phase: how many, FLOPs of one, and its line if such a one was timed."""

    times: int
    flops: float
    line: Line | None


@dataclass
class _Draft:
    """A phase while it is being priced; `costs` without the seconds of its steps and prefix."""

    costs: PhaseCosts
    steps: list[_Steps] = field(default_factory=list)
    evaluation: _Evaluations | None = None
    key_seconds: float = 0.0


class _Walk:
    """See `walk`."""

    def __init__(self, model: MultiTaskModel, prepared: Prepared, earlier: EarlierRuns) -> None:
        self._earlier = earlier
        self._model, self._prepared, self._plan = model, prepared, prepared.plan
        self._rows, self._settings = prepared.rows, prepared.plan.settings
        self._prices = PlanPrices(model._core)
        self._how = computed_in(self._settings.precision, self._settings.save_activations)
        self._peak = CorePeak(model._core, self._settings.token_budget, self._how)
        self._kinds = {one.number: kinds_of(one, prepared.rows) for one in self._plan.phases}
        # The same rows are timed in every phase, so that few features have to be computed.
        self._picked: dict[Heads, tuple[PhasePlan, list[PlannedStep]]] = {}
        for phase in self._plan.phases:
            for heads, kind in self._kinds[phase.number].items():
                self._picked.setdefault(heads, (phase, pick_steps(kind)))
        self._evaluated: dict[Any, Line] = {}
        self._trial: TrialCache | None = None
        self._features: PrefixFeatures | None = None

    def run(self, reporter: Reporter) -> tuple[list[tuple[PhaseCosts, float]], list[str]]:
        """Look at every phase, then put the seconds together."""
        timed = self._choose_phases()
        n_timings = sum(len(self._kinds[number]) for number in timed)
        drafts: list[_Draft] = []
        with reporter.bar(2 + n_timings + len(self._plan.phases), "calibrating"):
            digests, digest_seconds = time_digests(self._model)
            reporter.advance()
            self._open_cache(digests)
            reporter.advance()
            for phase in self._plan.phases:
                draft = self._look(phase, phase.number in timed, reporter)
                # One look at all bits before the run, and one after each phase.
                n_digests = 1 + (not drafts)
                costs = replace(
                    draft.costs,
                    other_seconds=n_digests * digest_seconds,
                    peak_bytes=draft.costs.peak_bytes + encoded_bytes(self._prepared.encoded),
                )
                drafts.append(replace(draft, costs=costs))
                reporter.advance()
        self._leave()
        found = [self._settle(draft, drafts) for draft in drafts]
        return found, self._notes(timed)

    def _leave(self) -> None:
        """Note what this run leaves for the next: parameters with other bits, and features."""
        earlier = self._earlier
        trained = {
            key
            for phase in self._plan.phases
            for key in self._model.param_keys
            if key not in phase.freeze.frozen
        }
        for kind in list(earlier.kept):
            if needed_keys(self._model, kind[0]) & trained:
                del earlier.kept[kind]
        earlier.trained |= trained
        if self._trial is not None:
            self._trial.leave(earlier)

    def _choose_phases(self) -> set[int]:
        """Return the phases that are timed: the first and last with steps, and some between."""
        numbers = [phase.number for phase in self._plan.phases if phase.steps]
        if len(numbers) <= _PHASES:
            return set(numbers)
        places = np.linspace(0, len(numbers) - 1, _PHASES).round().astype(int)
        return {numbers[at] for at in places}

    def _open_cache(self, digests: Mapping[str, str]) -> None:
        if self._prepared.cache is None:
            return
        picked = [(phase, step) for phase, steps in self._picked.values() for step in steps]
        part = self._prepared.eval_data.part(EVAL_ROWS[0])
        sample = sample_rows(self._rows, picked, part)
        self._trial = TrialCache(self._model, self._prepared.cache, sample, self._earlier)
        stand_in: Any = self._trial
        self._features = run_features(
            self._model, self._plan, self._rows, self._prepared.eval_data.groups, stand_in
        )
        self._model.set_freeze_state(self._plan.phases[0].freeze)
        self._features.prepare(1, digests, Reporter(False), lambda: False)

    def _look(self, phase: PhasePlan, timed: bool, reporter: Reporter) -> _Draft:
        """Price a phase in its freeze state."""
        model, trial, features = self._model, self._trial, self._features
        model.set_freeze_state(phase.freeze)
        n_fills = 0
        if trial is not None and features is not None:
            # The pass before the first step was noted when the cache was opened.
            n_fills = 0 if phase is self._plan.phases[0] else len(features.fills)
            features.enter(phase.number, Reporter(False), lambda: False)
        draft = _Draft(PhaseCosts(phase.number, phase.name))
        for heads, kind in self._kinds[phase.number].items():
            draft.steps.append(self._look_at_steps(phase, heads, kind, timed))
            reporter.advance(int(timed))
        draft.evaluation = self._look_at_evaluations(phase, timed)
        steps = sum((one.flops for one in draft.steps), Flops())
        fills = [] if features is None else features.fills[n_fills:]
        held = in_memory = 0
        if trial is not None:
            in_memory = trial.stats.memory_bytes
            held = in_memory + trial.stats.file_bytes + trial.stats.folder_bytes
            for names, given, lengths in trial.calls:
                self._add_calls(names, lengths, given)
            trial.calls.clear()
            draft.key_seconds, trial.seconds = trial.seconds, 0.0
            frozen = phase.freeze.frozen
            trial.note_trained({key for key in model.param_keys if key not in frozen})
        n_steps, done = len(phase.steps), draft.evaluation
        trained = list(phase.trained) if n_steps else []
        draft.costs = replace(
            draft.costs,
            n_steps=n_steps,
            n_tokens=sum(one.kind.n_tokens for one in draft.steps),
            parameters_trained=phase.parameters_trained if n_steps else 0,
            prefix_flops=math.fsum(fill.flops for fill in fills),
            forward_flops=steps.forward,
            dx_flops=steps.dx,
            dw_flops=steps.dw,
            eval_flops=0.0 if done is None else done.flops * done.times,
            cache_bytes=held,
            peak_bytes=self._peak.phase_bytes(trained) + in_memory,
            form_bytes=form_bytes(model._core, trained, self._how),
        )
        return draft

    def _look_at_steps(self, phase: PhasePlan, heads: Heads, kind: StepKind, timed: bool) -> _Steps:
        steps = self._steps_here(phase, heads)
        given = tuple(self._batch(phase, steps[0]).batch.features)

        def flops_of(data: StepBatch) -> float:
            return self._prices.flops(
                heads,
                sizes_of(data.batch.lengths, data.batch.rows_of_heads),
                features=data.batch.features,
                training=True,
            ).total

        flops = self._prices.flops(heads, kind.sizes, features=given, training=True)
        self._peak.add_batches(heads, kind.lengths, given, training=True)
        line = None
        if timed:
            line = time_steps(self._model, self._settings, phase, steps, self._batch, flops_of)
        return _Steps(kind, flops, line)

    def _steps_here(self, phase: PhasePlan, heads: Heads) -> list[PlannedStep]:
        """Return the picked steps of these heads, their groups numbered as in this phase."""
        home, steps = self._picked[heads]
        place = {group.tasks: at for at, group in enumerate(phase.groups)}
        return [
            replace(
                planned,
                step=tuple(
                    replace(part, group=place[home.groups[part.group].tasks])
                    for part in planned.step
                ),
            )
            for planned in steps
        ]

    def _batch(self, phase: PhasePlan, planned: PlannedStep) -> StepBatch:
        if self._features is not None:
            return self._features.batch(phase, planned)
        return self._rows.batch(phase.groups, planned.step, epoch=planned.epoch)

    def _look_at_evaluations(self, phase: PhasePlan, timed: bool) -> _Evaluations | None:
        """Price an evaluation, if the phase has any, and time it if the phase is timed."""
        data, times = self._prepared.eval_data, evaluations_of(self._plan, phase)
        if not times or not data.tasks:
            return None
        features = self._features
        pack = without_features if features is None else features.evaluation_batch
        flops, givens = 0.0, []
        part = data.part(EVAL_ROWS[0])
        for (group, encoded), (small, _) in zip(data.groups, part.groups, strict=True):
            given = tuple(pack(encoded, encoded.sequences_of(small.rows)).features)
            lengths = encoded.lengths[encoded.sequences_of(group.rows)]
            flops += self._prices.flops(
                group.tasks,
                sizes_of(lengths, encoded.rows_of_heads(len(group.rows))),
                features=given,
                training=False,
            ).forward
            self._add_calls(group.tasks, lengths, given)
            givens.append(given)
        # What it takes depends on the features alone, not on what is frozen.
        key = tuple(givens)
        last = phase is self._plan.phases[-1]
        if key not in self._evaluated and (timed or last):
            self._evaluated[key] = time_evaluation(self._model, data, pack)
        return _Evaluations(times, flops, self._evaluated.get(key))

    def _add_calls(self, outputs: Sequence[str], lengths: Any, given: Sequence[str]) -> None:
        """Let the arenas grow to the largest call of the core that infers these sequences."""
        as_tokens = lengths // RowLayout.of(self._model._core).rows_per_token
        largest = [lengths[at] for at in calls(as_tokens, brief_tokens())]
        self._peak.add_batches(list(outputs), largest, given, training=False)

    def _settle(self, draft: _Draft, drafts: Sequence[_Draft]) -> tuple[PhaseCosts, float]:
        """Put the seconds of a phase together, and their error."""
        seconds, errors = 0.0, []
        for steps in draft.steps:
            n, work = len(steps.kind.steps), steps.flops.total
            line = steps.line
            if line is None:
                lines = [
                    other.line
                    for one in drafts
                    for other in one.steps
                    if other.line is not None and other.kind.heads == steps.kind.heads
                ]
                line = join_lines(lines, work / n)
            took = line.seconds(work, n)
            seconds += took
            errors.append(took * relative_error(line, n))
        evaluation = 0.0
        if draft.evaluation is not None:
            times = draft.evaluation.times
            evaluation, error = self._evaluation_seconds(draft.evaluation, drafts)
            evaluation *= times
            errors.append(evaluation * error)
        prefix, error = self._prefix_seconds(draft.costs.prefix_flops)
        errors.append(error)
        costs = replace(
            draft.costs,
            prefix_seconds=prefix + draft.key_seconds,
            step_seconds=seconds,
            eval_seconds=evaluation,
        )
        return costs, math.hypot(*errors)

    def _evaluation_seconds(
        self, wanted: _Evaluations, drafts: Sequence[_Draft]
    ) -> tuple[float, float]:
        """Return the seconds of one evaluation, and the relative error of several."""
        n_tokens = self._prepared.eval_data.n_tokens
        if wanted.line is not None:
            return wanted.line.seconds(n_tokens), relative_error(wanted.line, wanted.times)
        known = [
            (one.evaluation.flops, one.evaluation.line.seconds(n_tokens), one.evaluation.line)
            for one in drafts
            if one.evaluation is not None and one.evaluation.line is not None
        ]
        whole = [replace(line, centre=(flops, took)) for flops, took, line in known]
        line = join_lines(whole, wanted.flops)
        # Beyond the last that was timed there is nothing better than that one.
        took = line.seconds(wanted.flops) if line not in whole else line.centre[1]
        return took, relative_error(line, wanted.times)

    def _prefix_seconds(self, flops: float) -> tuple[float, float]:
        """Return the seconds of a pass, and their error, from the calls for the sample."""
        timings = [] if self._trial is None else self._trial.timings
        if not timings or not flops:
            return 0.0, 0.0
        rates = np.array([took / work for work, took in timings])
        rate = float(np.median(rates))
        spread = 1.4826 * float(np.median(np.abs(rates / rate - 1.0)))
        return rate * flops, 2.0 * rate * flops * spread / math.sqrt(len(rates))

    def _notes(self, timed: set[int]) -> list[str]:
        notes = [*self._prepared.notes, *self._prepared.phase_notes]
        n_phases = sum(1 for phase in self._plan.phases if phase.steps)
        if len(timed) < n_phases:
            notes.append(
                f"{len(timed)} of {counted(n_phases, 'phase')} were timed; the others lie between "
                "these"
            )
        if self._trial is not None and self._trial.n_not_kept:
            notes.append(
                f"beyond the cache's limits: {counted(self._trial.n_not_kept, 'text')}; all steps "
                "that would read these features are priced as computed from the tokens"
            )
        return notes
