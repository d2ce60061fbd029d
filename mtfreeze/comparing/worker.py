# SPDX-License-Identifier: Apache-2.0
"""One job of a comparison, run from its folder alone: here, or in a process on another machine.

A job is a row of the comparison and a seed. The row `START` is the phase of its heads alone that a
run begins with, and keeps them; a scenario is a run of its own, which freezes heads as that row has
them. Its bits depend on the folder alone, so they are the same wherever it runs, in any order, and
beside any number of other jobs.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import CheckpointError, ConfigError, TrainingError
from ..evaluating.eval_data import EvalData
from ..evaluating.evaluate import evaluate_rows
from ..evaluating.row_doubts import row_doubts
from ..features import CacheStats
from ..freezing.digests import digest_model
from ..freezing.unit_states import unit_states
from ..heads.task import Task
from ..model.last_run import fingerprint
from ..notices import FreezeWarning
from ..planning.run_plan import plan_run
from ..planning.settings import RUN_SETTINGS, FitSettings, check_settings
from ..planning.start_phase import start_alone
from ..runtime.threads import set_threads
from ..steps.batch import TrainingRows, check_tasks
from ..training.checkpoint import list_checkpoints
from ..training.fit import fit
from .baseline import majority_scores
from .comparison_folder import ComparisonFolder, described
from .drift import drift, gradient_cosines
from .own_functions import OwnFunctions
from .race_data import going_on, judged_at, judging_tasks, with_legs
from .results import MAJORITY, START, ScenarioRun, TaskScore
from .scenarios import Scenario
from .task_files import probe_from_values, tasks_from_values

if TYPE_CHECKING:
    from ..evaluating.scorers import Outcome
    from ..multi_task_model import MultiTaskModel
    from ..training.run import Run

__all__ = [
    "Interrupted",
    "fingerprint_of",
    "run_job",
    "score_of",
    "starting_model",
    "trained_again",
]

_OF_THE_END = (
    "epochs",
    "learning_rate",
    "weight_decay",
    "warmup_ratio",
    "warmup_steps",
    "lr_schedule",
    "layer_decay",
    "load_best_model_at_end",
    "metric_for_best_model",
    "greater_is_better",
)
"""Arguments of `fit` that say nothing of how a run begins."""


class Interrupted(TrainingError):
    """Ctrl-C ended a job; nothing of it is kept."""


def run_job(
    folder: str,
    name: str,
    seed: int,
    threads: int | None,
    stop: int | None = None,
    *,
    own: OwnFunctions | None = None,
) -> ScenarioRun:
    """Run one row of the comparison in `folder` with one seed, and keep its result there.

    Parameters
    ----------
    folder : str
        Of the comparison.
    name : str
        `START`, `MAJORITY` or the name of a scenario.
    seed : int
    threads : int or None
        Threads of this process from now on; None leaves them.
    stop : int, optional
        Of a race: the scenario pauses after this step of its run, is scored on the rows that judge
        and keeps a checkpoint, from which the next job of this name and seed goes on.
    own : OwnFunctions, optional
        What the folder has keys of, in the process that made it.

    Raises
    ------
    Interrupted
        If Ctrl-C ended it.
    Exception
        Whatever training raises.
    """
    began = time.perf_counter()
    if threads is not None:
        set_threads(threads)
    place = ComparisonFolder(folder)
    settings = place.settings()
    with warnings.catch_warnings():
        # Said once by the comparison, not by each of its jobs.
        warnings.simplefilter("ignore", FreezeWarning)
        job = _Job(place, settings, seed, own)
        row = described(settings, name)
        if name == MAJORITY:
            run = job.majority()
        elif name == START:
            run = job.start()
        else:
            run = job.scenario(Scenario.from_dict(row), stop)
    run = replace(run, job_seconds=time.perf_counter() - began)
    place.save_result(run, row, stop)
    if stop is None:
        place.forget_run(name, seed)
    return run


def trained_again(
    place: ComparisonFolder, name: str, seed: int, row: Any, own: OwnFunctions | None = None
) -> MultiTaskModel:
    """Return the model that a row and seed come to, `START` too; nothing is kept in the folder but
    features. `row` is what `described` says of it.

    Raises
    ------
    Interrupted
        If Ctrl-C ended it.
    Exception
        Whatever training raises.
    """
    job = _Job(place, place.settings(), seed, own)
    if name == START:
        return job.train_start()[0]
    return job.train(Scenario.from_dict(row))


def fingerprint_of(model: MultiTaskModel) -> str:
    """Return the digest of all that a model answers by."""
    return fingerprint(model, digest_model(model))


def _left_by(model: MultiTaskModel, run: Run | None) -> str:
    """Return the same of a model as a run left it, which has taken its digests already."""
    known = model._loaded.last_run
    return fingerprint_of(model) if run is None or known is None else known.fingerprint


def starting_model(place: ComparisonFolder, seed: int, *, drawn: bool = False) -> MultiTaskModel:
    """Return the model that was given, nothing frozen, heads never trained drawn for `seed`; with
    `drawn` all heads."""
    from ..multi_task_model import MultiTaskModel

    model = MultiTaskModel.from_pretrained(place.model)
    model.unfreeze()
    specs = {name: (head.spec, head.trained and not drawn) for name, head in model.heads.items()}
    values = {key: view.copy() for key, view in model.parameters().items()}
    # Heads that were never trained are drawn anew, from `seed`. None can be replaced where it
    # stands: all go and come back in their order, trained ones with the values that they had.
    for name in specs:
        model.remove_head(name)
    for name, (spec, trained) in specs.items():
        model.add_head(name, spec, seed=seed)
        if trained:
            model.mark_trained([name])
            for key in model.index.keys:
                if key.startswith(f"{name}."):
                    model._core.set_param(model.index.key_index[key], values[key])
    return model


def score_of(model: MultiTaskModel, name: str, task: Task, outcome: Outcome) -> TaskScore:
    """Return an evaluation as it is kept."""
    spec = model.heads[name].spec
    primary = task.measured_by(spec.measure)
    return TaskScore(outcome.kind, primary, tuple(spec.labels), outcome.counts, outcome.metrics)


class _Job:
    """What the jobs of one folder and seed have in common."""

    def __init__(
        self,
        place: ComparisonFolder,
        settings: Mapping[str, Any],
        seed: int,
        own: OwnFunctions | None,
    ) -> None:
        self.place, self.settings, self.seed = place, settings, seed
        values = place.tasks()
        self.tasks = tasks_from_values(values["tasks"], own)
        self.old_tasks = tasks_from_values(values["old_tasks"], own)
        self.probe = probe_from_values(values["probe"])
        self.stats: list[CacheStats] = []

    def majority(self) -> ScenarioRun:
        model = starting_model(self.place, self.seed)
        tasks = check_tasks(model, self.tasks)
        rows = TrainingRows(model, tasks)
        data = EvalData(model, tasks, rows=rows)
        doubts = row_doubts(model, tasks, tasks, rows, data)
        return ScenarioRun(MAJORITY, self.seed, majority_scores(model, tasks), doubts=doubts)

    def start(self) -> ScenarioRun:
        """Train the heads that were never trained on the frozen backbone, and keep all heads."""
        model, run = self.train_start()
        own = model.index.family.owns
        heads = {key: values for key, values in model.parameters().items() if not own(key)}
        self.place.save_start(self.seed, heads)
        return self._result(START, model, run, [(START, unit_states(model))])

    def train_start(self) -> tuple[MultiTaskModel, Run | None]:
        """Return the model that all scenarios of the seed begin from; None: nothing trained."""
        model = starting_model(self.place, self.seed)
        plan = plan_run(model, check_tasks(model, self.tasks), self._run_settings())
        run, tasks = None, dict[str, Task]()
        model.freeze(model.index.body)
        if model.index.adapter is not None:
            model.freeze(model.index.adapter)
        if plan.starts:
            first = plan.phases[0]
            tasks = {name: self.tasks[name] for name in first.trained}
            alone = start_alone(plan.settings, list(tasks), len(first.steps))
            if others := [name for name in model.heads if name not in tasks]:
                model.freeze(others)
            run = self._fit(model, tasks, {**self._arguments(_OF_THE_END), **alone})
        return model, run

    def scenario(self, scenario: Scenario, stop: int | None = None) -> ScenarioRun:
        """Train one scenario from the start of its seed, or from where it paused in a race."""
        model, phases, arguments, cosines = self._begun(
            scenario, gradients=self.settings["gradients"] and stop is None
        )
        folder = self.place.run_folder(scenario.name, self.seed)
        began = list_checkpoints(folder)
        try:
            run = self._fit(model, self.tasks, {**arguments, **going_on(folder, stop)})
        except (CheckpointError, ConfigError):
            if not began:
                raise
            # A damaged checkpoint, or one of another mode of this name: the run begins anew.
            self.place.forget_run(scenario.name, self.seed)
            return self.scenario(scenario, stop)
        facts = self.place.race()
        whole = stop is None
        found = self._result(scenario.name, model, run, phases, cosines) if whole else None
        if facts is not None and judged_at(facts, scenario.name, self.seed, stop):
            judges = judging_tasks(self.tasks, facts["rows"])
            judged = self._result(scenario.name, model, run, phases, judges=judges)
            if found is None:
                return judged
            self.place.save_result(judged, scenario.to_dict(), run.n_steps)
        assert found is not None
        if self.settings.get("keep_models"):
            model.save_pretrained(self.place.kept_model(scenario.name, self.seed))
        return with_legs(found, self.place) if began else found

    def train(self, scenario: Scenario) -> MultiTaskModel:
        """Return the model that a scenario comes to, without scoring it."""
        model, _, arguments, _ = self._begun(scenario)
        self._fit(model, self.tasks, arguments)
        return model

    def _begun(
        self, scenario: Scenario, *, gradients: bool = False
    ) -> tuple[MultiTaskModel, list[Any], dict[str, Any], dict[str, float]]:
        """Return the model that a scenario begins with, its phases, the arguments of its `fit`, and
        the cosines of its tasks' `gradients`."""
        start = "cold" if scenario.scratch else self.settings["start"]
        arguments = {**self._arguments(), "start": start}
        model = starting_model(self.place, self.seed, drawn=scenario.scratch)
        scenario.apply(model, self.seed)
        phases = scenario.phases(model, arguments.get("epochs"))
        cosines: dict[str, float] = {}
        if gradients:
            size = arguments.get("batch_size", FitSettings.batch_size)
            ready = model.copy()
            self._begin_with(ready, list(ready.heads))
            cosines = gradient_cosines(ready, self.tasks, size, self.seed)
        if start != "cold":
            # A head is frozen when it already works.
            self._begin_with(model, _frozen_heads(phases[0][1]))
        if scenario.schedule is not None:
            arguments["freeze_schedule"] = scenario.schedule
        return model, phases, arguments, cosines

    def _arguments(self, without: Collection[str] = ()) -> dict[str, Any]:
        """Return the arguments of `fit` that scenarios share."""
        return {name: one for name, one in self.settings["fit"].items() if name not in without}

    def _run_settings(self) -> FitSettings:
        given = {name: one for name, one in self._arguments().items() if name in RUN_SETTINGS}
        return check_settings(**given, start=self.settings["start"], seed=self.seed)

    def _begin_with(self, model: MultiTaskModel, heads: Collection[str]) -> None:
        """Give a model those heads as the row `START` has them; they are no longer new."""
        for key, values in self.place.start(self.seed).items():
            if key.partition(".")[0] in heads and key in model.index.key_index:
                model._core.set_param(model.index.key_index[key], values)
        model.mark_trained([name for name in heads if name in self.tasks])

    def _fit(
        self, model: MultiTaskModel, tasks: Mapping[str, Task], arguments: Mapping[str, Any]
    ) -> Run:
        given = dict(arguments)
        if given.get("eval_every") is None:
            # Evaluated once, at the end, where each row's share is kept.
            tasks = {
                name: task.only_trained() for name, task in tasks.items() if task.train is not None
            }
        given.setdefault("cache", str(self.place.features))
        run = fit(model, tasks, **given, seed=self.seed, progress=False)
        if run.interrupted:
            raise Interrupted("Ctrl-C ended the comparison; call it again to go on")
        self.stats.append(run.cache)
        return run

    def _result(
        self,
        name: str,
        model: MultiTaskModel,
        run: Run | None,
        phases: list[Any],
        cosines: Mapping[str, float] | None = None,
        judges: Mapping[str, Task] | None = None,
    ) -> ScenarioRun:
        everything = {**self.tasks, **self.old_tasks} if judges is None else judges
        cache = self.settings["fit"].get("cache", str(self.place.features))
        outcomes = evaluate_rows(model, everything, cache=cache, on_cache_stats=self.stats.append)
        scores = {
            task: score_of(model, task, everything[task], outcome)
            for task, outcome in outcomes.items()
        }
        always = [set(_frozen_heads(units)) for _, units in phases]
        result = ScenarioRun(
            name,
            self.seed,
            scores,
            frozen_heads=tuple(h for h in model.heads if all(h in one for one in always)),
            drift=self._drift(model, run) if judges is None else None,
            gradient_cosines=dict(cosines or {}),
            phases=phases,
            n_computed=sum(one.n_texts for one in self.stats),
            n_found=sum(one.n_reused for one in self.stats),
            prefix_seconds=sum(one.seconds for one in self.stats),
            verdict="nothing was trained",
            fingerprint=_left_by(model, run) if judges is None else "",
        )
        if run is None:
            return result
        return replace(
            result,
            trained=tuple(
                task for task in self.tasks if any(f"{task}_loss" in row for row in run.history)
            ),
            parameters_trained=run.parameters_trained,
            seconds=run.metrics.get("train_runtime", 0.0),
            memory_bytes=max((one.peak_bytes for one in run.costs), default=0),
            frozen_ok=bool(run.frozen.ok),
            verdict=run.verdict,
            history=run.history,
            notes=run.notes,
            doubts=[one for one in run.doubts if not one.of_rows],
        )

    def _drift(self, model: MultiTaskModel, run: Run | None) -> float | None:
        if not self.probe:
            return None
        if run is None or all(k.partition(".")[0] in model.heads for k in run.frozen.changed):
            return 0.0
        return drift(self.place.probe(), model.encode(self.probe))


def _frozen_heads(units: list[Any]) -> list[str]:
    return [u.path for u in units if u.is_head and u.n_frozen == u.n_values]


def main() -> None:
    """Run one job in a process of its own: ``python -m ... FOLDER NAME SEED THREADS [STOP]``."""
    folder, name, seed, threads, *stop = sys.argv[1:]
    run_job(folder, name, int(seed), int(threads), *map(int, stop))


if __name__ == "__main__":
    main()
