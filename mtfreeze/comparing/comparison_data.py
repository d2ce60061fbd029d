# SPDX-License-Identifier: Apache-2.0
"""What a comparison found: runs, figures, which differences are significant, the verdicts in words.

Everything but showing it; tables, pictures and the report read it from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from ..checks import check_choice
from ..closest import name_list
from ..errors import ConfigError
from ..pictures.front import QualityPoint, pareto_front
from ..pictures.words import metric_words
from ..quoting import quoted
from .bootstrap import Difference, draw
from .doubtful import doubtful
from .figures import REFERENCES, ScenarioFigures, scenario_figures
from .given import Given
from .judging import Best, Judgement, judge
from .race_result import RaceResult, race_result
from .race_standing import Raced
from .race_words import race_grid, race_sentences
from .results import ASKED, MAJORITY, START, ScenarioRun
from .too_short import shorter_than_start, too_short
from .words import few_rows, forgotten, judged_otherwise, troubles, verdict

__all__ = ["ComparisonData"]

_DRAW_SEED = 0
"""Of the bootstrap: the same results give the same verdicts, always."""


class ComparisonData:
    """The data of a comparison; see `Comparison`, which shows them."""

    def __init__(
        self,
        runs: Sequence[ScenarioRun],
        settings: Mapping[str, Any],
        folder: Path | None = None,
        interrupted: bool = False,
        raced: Raced | None = None,
    ) -> None:
        self.runs = tuple(runs)
        self.settings = dict(settings)
        self.folder = folder
        self.interrupted = bool(interrupted)
        self._raced = raced
        self.pilots: ComparisonData | None = None
        self.given: Given | None = None
        by_name: dict[str, list[ScenarioRun]] = {}
        for run in self.runs:
            by_name.setdefault(run.scenario, []).append(run)
        self._by_name = by_name

    @property
    def scenarios(self) -> list[str]:
        """Names of the rows, `majority` and `start` among them."""
        return list(self._by_name)

    @property
    def mode_order(self) -> list[str]:
        """Names of the modes in the order that was asked for, those without a run among them.

        A mode has the colour and marker of its place here in every picture.
        """
        asked = [mode["name"] for mode in self.settings.get("modes", [])]
        raced = [] if self.pilots is None else self.pilots.mode_order
        known = dict.fromkeys([*raced, *asked, *self._by_name])
        return [name for name in known if name not in REFERENCES]

    @property
    def tasks(self) -> list[str]:
        """Names of the tasks that were given to train."""
        return list(self.settings.get("tasks", {}))

    @property
    def old_tasks(self) -> list[str]:
        """Names of the tasks that were only watched."""
        return list(self.settings.get("old_tasks") or {})

    @property
    def failed(self) -> dict[str, str]:
        """Why scenarios failed, by name; with the numbers of the seeds where not all did."""
        return {row.name: row.failure for row in self.rows if row.failure}

    @property
    def frozen_ok(self) -> bool:
        """Whether everything frozen kept its bits in every scenario."""
        return all(run.frozen_ok for run in self.runs)

    @property
    def n_missing(self) -> int:
        """Scenarios and seeds that the settings name and that have no run."""
        there = {(run.scenario, run.seed) for run in self.runs}
        names = [mode["name"] for mode in self.settings.get("modes", [])]
        if self.race is not None:  # those that a race dropped are not missed
            names = [name for name in names if self.race.entries[name].dropped_at is None]
        seeds = self.settings.get("seeds", [])
        return sum((name, seed) not in there for name in names for seed in seeds)

    @cached_property
    def race(self) -> RaceResult | None:
        """What the race came to; None without one."""
        if self._raced is None:
            return None if self.pilots is None else self.pilots.race
        found = race_result(self._raced, self.runs, self._between)
        table, words = race_grid(found).lines(), race_sentences(found)
        return replace(found, table=tuple(table), sentences=tuple(words))

    def _between(self, task: str, scenario: str, other: str) -> Difference | None:
        return self._judgements[task].between(scenario, other)

    @cached_property
    def _judgements(self) -> dict[str, Judgement]:
        """The differences on each task; computed once, when first asked for."""
        found = {}
        for task in [*self.tasks, *self.old_tasks]:
            scores = {
                name: {
                    run.seed: run.tasks[task]
                    for run in runs
                    if run.error is None and task in run.tasks
                }
                for name, runs in self._by_name.items()
                if name != MAJORITY
            }
            found[task] = Judgement(draw(scores, _DRAW_SEED), _DRAW_SEED)
        return found

    @cached_property
    def rows(self) -> list[ScenarioFigures]:
        """The figures of every scenario, in order."""
        start = {run.seed: run for run in self._by_name.get(START, []) if run.error is None}
        return [
            scenario_figures(
                name,
                runs,
                start,
                {task: one.changes.get(name) for task, one in self._judgements.items()},
            )
            for name, runs in self._by_name.items()
        ]

    @cached_property
    def _best(self) -> dict[str, Best]:
        """Which scenario is best, by task; without the tasks on which nothing was scored."""
        found = {}
        for task in self.tasks:
            metric = next((row.tasks[task].metric for row in self.rows if task in row.tasks), "")
            best = judge(task, metric, self._judgements[task])
            if best is not None:
                found[task] = best
        return found

    def _check_task(self, task: str, known: Sequence[str]) -> None:
        check_choice("task", task, known)

    def first_runs(self) -> dict[str, ScenarioRun]:
        """Return the first finished run of every scenario, by name."""
        found: dict[str, ScenarioRun] = {}
        for run in self.runs:
            if run.error is None and run.scenario not in REFERENCES:
                found.setdefault(run.scenario, run)
        return found

    def figures(self, scenario: str) -> ScenarioFigures:
        """Return the figures of one scenario.

        Raises
        ------
        ConfigError
            If there is none of that name.
        """
        check_choice("scenario", scenario, self.scenarios)
        return next(row for row in self.rows if row.name == scenario)

    def best(self, task: str) -> Best:
        """Return which scenario is best on a task, and which cannot be told apart from it.

        Raises
        ------
        ConfigError
            If there is no such task, or nothing was scored on it.
        """
        self._check_task(task, self.tasks)
        if task not in self._best:
            raise ConfigError(
                f"no scenario was scored on {quoted(task)}; those that failed: "
                f"{name_list(self.failed)}; correct what failed and compare again"
            )
        return self._best[task]

    def _winner(self, task: str | None = None) -> str:
        """Return the scenario whose model `Comparison.best_model` gives.

        Parameters
        ----------
        task : str, optional
            The best on it. Without it the one that a race chose, or that is best on every task.

        Raises
        ------
        ConfigError
            If there is no such task, nothing was scored, or no one is best on every task.
        """
        if task is not None:
            return self.best(task).name
        if self.race is not None and self.race.chosen is not None:
            return self.race.chosen
        names = {one: self.best(one).name for one in self.tasks}
        if len(set(names.values())) > 1:
            each = ", ".join(f"{quoted(name)} on {quoted(one)}" for one, name in names.items())
            raise ConfigError(
                f"expected one scenario that is best on every task; found {each}; name a task: "
                f"best_model({quoted(next(iter(names)))})"
            )
        return next(iter(names.values()))

    def difference(self, task: str, scenario: str, other: str = START) -> Difference | None:
        """Return by how much a scenario is better than another on a task.

        Parameters
        ----------
        task : str
            Of ``tasks`` or ``old_tasks``.
        scenario, other : str
            Not `majority`.

        Returns
        -------
        Difference or None
            None where one of them has no score.

        Raises
        ------
        ConfigError
            If there is no such task or scenario.
        """
        self._check_task(task, [*self.tasks, *self.old_tasks])
        for name in (scenario, other):
            known = [one for one in self.scenarios if one != MAJORITY]
            check_choice("scenario", name, known)
        return self._judgements[task].between(scenario, other)

    def pareto(self, task: str) -> list[str]:
        """Return the scenarios that no other beats on a task in both quality and time.

        From the fastest to the best one; means alone are looked at.

        Raises
        ------
        ConfigError
            If there is no such task.
        """
        self._check_task(task, self.tasks)
        points = [one for one in self.points()[task] if one.name not in REFERENCES]
        return [one.name for one in pareto_front(points)]

    def points(self) -> dict[str, list[QualityPoint]]:
        """Return the points of the plot, by task: mean, and the least and greatest seed."""
        found: dict[str, list[QualityPoint]] = {}
        for task in self.tasks:
            found[task] = [
                QualityPoint(
                    row.name,
                    row.seconds or 0.0,
                    row.tasks[task].mean,
                    row.tasks[task].low if row.tasks[task].spread is not None else None,
                    row.tasks[task].high if row.tasks[task].spread is not None else None,
                )
                for row in self.rows
                if task in row.tasks
            ]
        return found

    def plot_arguments(self) -> dict[str, Any]:
        """Return what the plot is to say beside its points."""
        titles = {task: metric_words(one.metric) for task, one in self._best.items()}
        n_seeds = max((len(row.seeds) for row in self.rows), default=0)
        spread = f"min to max over {n_seeds} seeds" if n_seeds > 1 else ""
        return {"metrics": titles, "spread": spread}

    def first_sentences(self) -> list[str]:
        """Return what has to be known before the figures: rows that trained too little for them,
        tasks that are not judged by the metric that they ask for."""
        asked = {task: one.get(ASKED) for task, one in self.settings.get("tasks", {}).items()}
        return [
            judged_otherwise(task, asked[task], best.metric)
            for task, best in self._best.items()
            if asked[task] is not None
        ] + too_short(self.runs, self.rows, cold=self.settings.get("start") == "cold")

    def sentences(self) -> list[str]:
        """Return the verdicts in words, after `first_sentences`."""
        by_name = {row.name: row for row in self.rows}
        lines = self.first_sentences() + ([] if self.race is None else list(self.race.sentences))
        if self.pilots is not None and self.race is not None:
            lines.append(
                f"race: on pilots, at most {max(one.n_steps for one in self.race.entries.values())}"
                " steps over a part of the rows; what was chosen was then trained on all of them"
            )
        lines += [verdict(best, by_name) for best in self._best.values()]
        for task in [*self.tasks, *self.old_tasks]:
            lines += forgotten(task, self.rows)
        sizes = {
            task: len(score.counts)
            for run in reversed(self.runs)
            for task, score in run.tasks.items()
        }
        lines += shorter_than_start(self.runs, self.rows)
        lines += few_rows({task: sizes[task] for task in self.tasks if task in sizes})
        lines += doubtful(self.runs, self.rows, self.tasks)
        n_seeds = len(self.settings.get("seeds", []))
        return lines + troubles(self.rows, n_seeds, self.n_missing, self.interrupted)
