# SPDX-License-Identifier: Apache-2.0
"""`Comparison`: scenarios side by side, which differences are real, tables, pictures, a report."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..closest import name_list, unknown
from ..errors import CheckpointError, ConfigError
from ..pictures.front import QualityPoint, pareto_front
from ..pictures.modes import modes_figure, modes_text
from ..pictures.quality import quality_figure, quality_text
from ..pictures.saving import write_picture
from ..pictures.words import metric_words
from .bootstrap import Difference, draw
from .export import long_rows, to_csv_text, to_frame, write_aside
from .figures import REFERENCES, ScenarioFigures, scenario_figures
from .folder import ComparisonFolder, described
from .judging import Best, Judgement, judge
from .results import MAJORITY, START, ScenarioRun
from .table import ComparisonTable, make_table
from .words import few_rows, forgotten, troubles, verdict

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Comparison"]

_DRAW_SEED = 0
"""Of the bootstrap: the same results give the same verdicts, always."""


class Comparison:
    """What `compare` hands back: scenarios side by side; prints as a table.

    Parameters
    ----------
    runs : sequence of ScenarioRun
        One a scenario and seed; scenarios stand in the order in which they come first.
    settings : mapping
        JSON values; what is needed to repeat it.
    folder : Path, optional
        Where its files lie.
    interrupted : bool
        Whether it was ended before all scenarios had run.

    Attributes
    ----------
    runs : tuple of ScenarioRun
    settings : dict
    folder : Path or None
    interrupted : bool

    Raises
    ------
    DataError
        When differences are asked for and runs were scored on different rows.

    Examples
    --------
    Made by `compare`; here by hand, from right and wrong answers to 200 texts:

    >>> import numpy as np
    >>> from mtfreeze.comparing.results import ScenarioRun, TaskScore
    >>> def run(name, n_wrong):
    ...     counts = np.stack([np.ones(200, int), np.arange(200) >= n_wrong], axis=1)
    ...     found = {"accuracy": 1 - n_wrong / 200}
    ...     score = TaskScore("sequence", "accuracy", ("no", "yes"), counts, found)
    ...     return ScenarioRun(name, seed=0, tasks={"texts": score}, trained=("texts",))
    >>> modes = [{"name": "backbone"}, {"name": "none"}]
    >>> settings = {"modes": modes, "seeds": [0], "tasks": {"texts": {}}}
    >>> comparison = Comparison([run("start", 60), run("backbone", 57), run("none", 30)], settings)
    >>> best = comparison.best("texts")
    >>> best.name, best.wins, best.gained
    ('none', True, True)
    >>> comparison.difference("texts", "backbone").real
    False
    """

    def __init__(
        self,
        runs: Sequence[ScenarioRun],
        settings: Mapping[str, Any],
        folder: Path | None = None,
        interrupted: bool = False,
    ) -> None:
        self.runs = tuple(runs)
        self.settings = dict(settings)
        self.folder = folder
        self.interrupted = bool(interrupted)
        by_name: dict[str, list[ScenarioRun]] = {}
        for run in self.runs:
            by_name.setdefault(run.scenario, []).append(run)
        self._by_name = by_name

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Comparison:
        """Read a comparison from the ``output_dir`` of an earlier call, finished or not.

        Raises
        ------
        CheckpointError
            If there is none, or a file of it is damaged.
        """
        place = ComparisonFolder(folder)
        settings = place.settings()
        try:
            names = [*REFERENCES, *(mode["name"] for mode in settings["modes"])]
            jobs = [(name, seed) for name in names for seed in settings["seeds"]]
            found = [place.result(*job, described(settings, job[0])) for job in jobs]
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{place.path}: expected a comparison; found settings that are damaged "
                f"({type(error).__name__}: {error}); repeat the call that began it elsewhere"
            ) from error
        whole = cls([run for run in found if run is not None], settings, place.path)
        whole.interrupted = whole.n_missing > 0
        return whole

    @property
    def scenarios(self) -> list[str]:
        """Names of the rows, `majority` and `start` among them."""
        return list(self._by_name)

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
        seeds = self.settings.get("seeds", [])
        return sum((name, seed) not in there for name in names for seed in seeds)

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
        found = {}
        for task in self.tasks:
            metric = next((row.tasks[task].metric for row in self.rows if task in row.tasks), "")
            best = judge(task, metric, self._judgements[task])
            if best is not None:
                found[task] = best
        return found

    def _check_task(self, task: str, known: Sequence[str]) -> None:
        if task not in known:
            raise ConfigError(unknown("task", task, known))

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
        found = next((row for row in self.rows if row.name == scenario), None)
        if found is None:
            raise ConfigError(unknown("scenario", scenario, self.scenarios))
        return found

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
                f"no scenario was scored on {task!r}; those that failed: "
                f"{name_list(self.failed)}; correct what failed and compare again"
            )
        return self._best[task]

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
            if name not in known:
                raise ConfigError(unknown("scenario", name, known))
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

    def sentences(self) -> list[str]:
        """Return the verdicts in words."""
        by_name = {row.name: row for row in self.rows}
        lines = [verdict(best, by_name) for best in self._best.values()]
        for task in [*self.tasks, *self.old_tasks]:
            lines += forgotten(task, self.rows)
        sizes = {
            task: len(score.counts)
            for run in reversed(self.runs)
            for task, score in run.tasks.items()
        }
        lines += few_rows({task: sizes[task] for task in self.tasks if task in sizes})
        n_seeds = len(self.settings.get("seeds", []))
        return lines + troubles(self.rows, n_seeds, self.n_missing, self.interrupted)

    def table(self) -> ComparisonTable:
        """Return the table; it prints as text, and as HTML in a notebook."""
        return make_table(self.rows, self.tasks, self.old_tasks, self._best, self.sentences())

    def __repr__(self) -> str:
        return self.table().text()

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()

    def to_rows(self) -> list[dict[str, Any]]:
        """Return one mapping a scenario and task, figures unrounded."""
        return long_rows(self.rows, self.old_tasks, self._best)

    def to_dict(self) -> dict[str, Any]:
        """Return everything but the single evaluation rows as JSON values."""
        return {
            "settings": self.settings,
            "interrupted": self.interrupted,
            "rows": self.to_rows(),
            "best": {
                task: {"name": one.name, "value": one.value, "tied": list(one.tied)}
                | {"metric": one.metric, "wins": one.wins, "gained": one.gained}
                for task, one in self._best.items()
            },
            "sentences": self.sentences(),
        }

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a scenario and task as a pandas frame (extra ``data``).

        Raises
        ------
        ConfigError
            If pandas is not installed.
        """
        return to_frame(self.to_rows())

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one row a scenario and task, figures unrounded, and return the path.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        return write_aside(path, to_csv_text(self.to_rows()))

    def plot(self, path: str | os.PathLike[str]) -> Path:
        """Draw quality against time: one point a scenario with its spread, and the Pareto front.

        Parameters
        ----------
        path : path
            The ending says the format: .png, .svg, .pdf.

        Returns
        -------
        Path
            The file; without matplotlib (extra ``viz``) a text file with the same facts, with a
            PictureWarning.

        Raises
        ------
        ConfigError
            For an unknown ending.
        OSError
            If it cannot be written.
        """
        panels, words = self.points(), self.plot_arguments()
        return write_picture(
            lambda: quality_figure(panels, **words), lambda: quality_text(panels, **words), path
        )

    def plot_modes(self, path: str | os.PathLike[str]) -> Path:
        """Draw what each scenario trains: a row a scenario and phase, a column a unit.

        Raises
        ------
        ConfigError
            For an unknown ending, or if no scenario finished.
        OSError
            If it cannot be written.
        """
        phases = {name: run.phases for name, run in self.first_runs().items() if run.phases}
        return write_picture(lambda: modes_figure(phases), lambda: modes_text(phases), path)

    def to_html(self, path: str | os.PathLike[str]) -> Path:
        """Write the report: one page that opens offline, and return its path.

        Sentences, tables, plots, what each mode trains, learning curves, and how to repeat it.
        Without matplotlib (extra ``viz``) text stands in place of the pictures.

        Raises
        ------
        OSError
            If it cannot be written.
        """
        from .report import report_page

        return write_aside(path, report_page(self))
