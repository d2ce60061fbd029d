# SPDX-License-Identifier: Apache-2.0
"""The rows of a comparison in numbers: what each scenario reached on each task, over its seeds.

A task is *trained* in a scenario if its loss trained something there. What a task that is not
trained has lost against `START` is its forgetting. A head that stands still over a backbone that
moves fits it less and less: by how much its loss grew is the head's drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from ..notices import renamed
from .bootstrap import Difference
from .results import MAJORITY, START, ScenarioRun

__all__ = ["REFERENCES", "ScenarioFigures", "TaskFigures", "scenario_figures"]

REFERENCES = (MAJORITY, START)
"""Rows to compare with, in their order."""


@dataclass(frozen=True)
class TaskFigures:
    """One task in one scenario.

    Attributes
    ----------
    metric : str
        Short name of the metric that the task is judged by.
    mean : float
        Of that metric over the seeds, a fraction.
    spread : float or None
        Its standard deviation over the seeds; None for one seed.
    low, high : float
        The least and the greatest of the seeds.
    trained : bool
        Whether the task's loss trained something.
    metrics : dict of str to float
        All metrics, mean over the seeds.
    change : Difference or None
        Against `START`; None in the rows to compare with.
    head_drift : float or None
        Growth of the loss of a head that stood still, against `START`; None where it trained.
    """

    metric: str
    mean: float
    spread: float | None
    low: float
    high: float
    trained: bool
    metrics: dict[str, float]
    change: Difference | None = None
    head_drift: float | None = None

    @property
    def forgetting(self) -> float | None:
        """Metric that a task which is not trained lost against `START`; below 0 where it gained."""
        if self.trained or self.change is None:
            return None
        return 0.0 - self.change.value


@dataclass(frozen=True)
class ScenarioFigures:
    """One scenario: means over its seeds, and what went wrong.

    Attributes
    ----------
    name : str
    seeds : tuple of int
        Those that finished.
    tasks : dict of str to TaskFigures
        Empty if every seed failed.
    parameters_trained : int or None
        Parameters that trained; None in the row `MAJORITY`.
    seconds : float or None
        Training and passes over the frozen prefix, mean over seeds.
    prefix_seconds : float or None
        The passes alone.
    memory_bytes : int
        The most of any seed.
    n_computed, n_found : int
        Texts whose frozen prefix was computed, and found; all seeds together.
    drift : float or None
        Of the embeddings: 1 - mean cosine to those of the model that was given; mean over seeds.
    gradient_cosines : dict of str to float
        By ``"a|b"``; mean over seeds.
    frozen_ok : bool
        Whether everything frozen kept its bits, in all seeds.
    verdict : str
        The same in words, of the seed that moved or else of the first.
    errors : dict of int to str
        By seed: why there is no result.
    """

    name: str
    seeds: tuple[int, ...]
    tasks: dict[str, TaskFigures]
    parameters_trained: int | None = None
    seconds: float | None = None
    prefix_seconds: float | None = None
    memory_bytes: int = 0
    n_computed: int = 0
    n_found: int = 0
    drift: float | None = None
    gradient_cosines: dict[str, float] | None = None
    frozen_ok: bool = True
    verdict: str = ""
    errors: dict[int, str] | None = None

    n_trained = renamed("n_trained", "parameters_trained")

    @property
    def failure(self) -> str:
        """What failed, in words; empty if nothing did."""
        if not self.errors:
            return ""
        reason = next(iter(self.errors.values()))
        if not self.seeds and len(self.errors) == 1:
            return f"failed: {reason}"
        numbers = ", ".join(map(str, self.errors))
        return f"failed with seed{'s' if len(self.errors) > 1 else ''} {numbers}: {reason}"


def scenario_figures(
    name: str,
    runs: Sequence[ScenarioRun],
    start: Mapping[int, ScenarioRun],
    changes: Mapping[str, Difference | None],
) -> ScenarioFigures:
    """Put together the runs of one scenario.

    Parameters
    ----------
    name : str
    runs : sequence of ScenarioRun
        All of the scenario, one a seed.
    start : mapping of int to ScenarioRun
        Those of `START` that finished, by seed.
    changes : mapping of str to Difference or None
        By task: against `START`.
    """
    errors = {run.seed: run.error for run in runs if run.error is not None}
    done = [run for run in runs if run.error is None]
    if not done:
        return ScenarioFigures(name, (), {}, errors=errors)
    tasks = {task: _task(task, done, start, changes.get(task)) for task in done[0].tasks}
    if name == MAJORITY:
        return ScenarioFigures(name, tuple(run.seed for run in done), tasks)
    moved = next((run for run in done if not run.frozen_ok), done[0])
    drifts = [run.drift for run in done if run.drift is not None]
    pairs = dict.fromkeys(pair for run in done for pair in run.gradient_cosines)
    return ScenarioFigures(
        name=name,
        seeds=tuple(run.seed for run in done),
        tasks=tasks,
        parameters_trained=max(run.parameters_trained for run in done),
        seconds=fmean(run.seconds + run.prefix_seconds for run in done),
        prefix_seconds=fmean(run.prefix_seconds for run in done),
        memory_bytes=max(run.memory_bytes for run in done),
        n_computed=sum(run.n_computed for run in done),
        n_found=sum(run.n_found for run in done),
        drift=fmean(drifts) if drifts else None,
        gradient_cosines={
            pair: fmean(run.gradient_cosines[pair] for run in done if pair in run.gradient_cosines)
            for pair in pairs
        },
        frozen_ok=all(run.frozen_ok for run in done),
        verdict=moved.verdict,
        errors=errors,
    )


def _task(
    task: str,
    runs: Sequence[ScenarioRun],
    start: Mapping[int, ScenarioRun],
    change: Difference | None,
) -> TaskFigures:
    scored = [run for run in runs if task in run.tasks]
    values = [run.tasks[task].value for run in scored]
    names = scored[0].tasks[task].metrics
    trained = any(task in run.trained for run in scored)
    still = not trained or all(task in run.frozen_heads for run in scored)
    reference = scored[0].scenario in REFERENCES
    return TaskFigures(
        metric=scored[0].tasks[task].primary,
        mean=fmean(values),
        spread=stdev(values) if len(values) > 1 else None,
        low=min(values),
        high=max(values),
        trained=trained,
        metrics={name: fmean(run.tasks[task].metrics[name] for run in scored) for name in names},
        change=change,
        head_drift=_head_drift(task, scored, start) if still and not reference else None,
    )


def _head_drift(
    task: str, runs: Iterable[ScenarioRun], start: Mapping[int, ScenarioRun]
) -> float | None:
    """Return by how much the loss grew against the same seed's start, mean over seeds."""
    grown = []
    for run in runs:
        before = start.get(run.seed) if len(start) > 1 else next(iter(start.values()), None)
        losses: list[Any] = [
            one.tasks[task].metrics.get("loss") if one is not None and task in one.tasks else None
            for one in (run, before)
        ]
        if None not in losses:
            grown.append(losses[0] - losses[1])
    return fmean(grown) if grown else None
