# SPDX-License-Identifier: Apache-2.0
"""`Comparison`: scenarios side by side, shown as a table, values, pictures, a report."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..checks import check_flag, check_path, check_seed
from ..closest import name_list
from ..errors import CheckpointError, ConfigError
from ..files.whole_file import check_output, write_output
from ..pictures.modes import modes_figure, modes_text
from ..pictures.quality import quality_figure, quality_text
from ..pictures.writing import check_place, give_picture
from ..quoting import quoted
from ..runtime.progress import Reporter
from .comparison_data import ComparisonData
from .comparison_folder import ComparisonFolder, described
from .export import long_rows, to_csv_text, to_frame
from .figures import REFERENCES
from .pilots import pilots_of
from .race_settings import RaceFacts
from .race_standing import Raced, read_rungs
from .race_words import race_grid
from .table import ComparisonTable, make_table

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from ..multi_task_model import MultiTaskModel

__all__ = ["Comparison"]


class Comparison(ComparisonData):
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
    raced : Raced, optional
        What is known of a race.

    Attributes
    ----------
    runs : tuple of ScenarioRun
    settings : dict
    folder : Path or None
    interrupted : bool
    race : RaceResult or None
        What a race came to.

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
    >>> comparison.difference("texts", "backbone").significant
    False
    """

    @classmethod
    def load(cls, folder: str | os.PathLike[str]) -> Comparison:
        """Read a comparison from the ``output_dir`` of an earlier call, finished or not.

        Raises
        ------
        CheckpointError
            If there is none, or a file of it is damaged.
        """
        place = ComparisonFolder(check_path("folder", folder))
        settings = place.settings()
        try:
            names = [*REFERENCES, *(mode["name"] for mode in settings["modes"])]
            jobs = [(name, seed) for name in names for seed in settings["seeds"]]
            found = [place.result(*job, described(settings, job[0])) for job in jobs]
            raced = None
            if (facts := place.race()) is not None:
                known = RaceFacts.from_dict(facts)
                raced = Raced(known, read_rungs(place, settings, known))
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"{place.path}: expected a comparison; found settings that are damaged "
                f"({type(error).__name__}: {error}); repeat the call that began it elsewhere"
            ) from None
        whole = cls([run for run in found if run is not None], settings, place.path, raced=raced)
        beside = pilots_of(place.path.resolve())
        if raced is None and beside.is_dir():
            whole.pilots = cls.load(beside)
        whole.interrupted = whole.n_missing > 0
        return whole

    def best_model(
        self, task: str | None = None, *, seed: int | None = None, progress: bool = True
    ) -> MultiTaskModel:
        """Return the model of the winner.

        It is read where ``compare(keep_models=True)`` kept it, and else trained again, from the
        folder or the model and the tasks of the call; a digest of weights and settings says that it
        is the one that was judged, bit for bit.

        Parameters
        ----------
        task : str, optional
            ``best(task)`` is the winner, even where others cannot be told apart from it. Without it
            the one that a race chose, or that is best on every task.
        seed : int, optional
            Which of its seeds; by default the first. Seeds are not chosen by their scores, which
            would promise too much.
        progress : bool
            A line before it is trained again, or silence.

        Returns
        -------
        MultiTaskModel
            As its run left it: freeze state, adapter and heads included.

        Raises
        ------
        ConfigError
            If there is no such task or seed, no one is best on every task, there is neither folder
            nor model, or the model has changed since.
        CheckpointError, TrainingError
            If what was kept, or comes out, is not the model that was judged.

        Examples
        --------
        >>> settings = {"seeds": 1, "epochs": 1, "start": "cold", "progress": False}
        >>> comparison = mtf.compare(model, tasks, modes=["backbone"], **settings)
        >>> best = comparison.best_model("classifier", progress=False)
        >>> best.trainable("backbone"), list(best.heads)
        (False, ['classifier', 'ner_head'])
        """
        from .winner import model_of

        reporter = Reporter(check_flag("progress", progress))
        name = self._winner(task)
        runs = {run.seed: run for run in self.runs if run.scenario == name and run.error is None}
        number = next(iter(runs)) if seed is None else check_seed("seed", seed)
        if number not in runs:
            raise ConfigError(
                f"seed must be one that {quoted(name)} finished with, {name_list(runs)}; found "
                f"{number}; choose one of them, or leave seed out"
            )
        return model_of(runs[number], self.settings, self.folder, self.given, reporter)

    def table(self) -> ComparisonTable:
        """Return the table; it prints as text, and as HTML in a notebook."""
        race = None if self.race is None else race_grid(self.race)
        words = self.sentences()
        n_first = len(self.first_sentences())
        return make_table(
            self.rows, self.tasks, self.old_tasks, self._best, words, race, n_first=n_first
        )

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
            **({} if self.race is None else {"race": self.race.to_dict()}),
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
        return write_output(path, to_csv_text(self.to_rows()).encode("utf-8"))

    @overload
    def plot(self, path: None = None) -> Figure: ...
    @overload
    def plot(self, path: str | os.PathLike[str]) -> Path: ...
    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure | Path:
        """Draw quality against time: one point a scenario with its spread, and the Pareto front.

        Parameters
        ----------
        path : path, optional
            The ending says the format: .png, .svg, .pdf.

        Returns
        -------
        Figure or Path
            Without a path a figure of matplotlib, which a notebook shows; with one the file. That
            is without matplotlib (extra ``viz``) a .txt beside it with the same facts, with a
            PictureWarning.

        Raises
        ------
        ConfigError
            For an unknown ending; without a path, if matplotlib is not installed.
        OSError
            If it cannot be written.
        """
        check_place(path)  # before anything is judged
        panels, words, order = self.points(), self.plot_arguments(), self.mode_order
        return give_picture(
            lambda: quality_figure(panels, order=order, **words),
            lambda: quality_text(panels, **words),
            path,
        )

    @overload
    def plot_modes(self, path: None = None) -> Figure: ...
    @overload
    def plot_modes(self, path: str | os.PathLike[str]) -> Path: ...
    def plot_modes(self, path: str | os.PathLike[str] | None = None) -> Figure | Path:
        """Draw what each scenario trains: a row a scenario and phase, a column a unit; as `plot`.

        Raises
        ------
        ConfigError
            For an unknown ending, or if no scenario finished.
        OSError
            If it cannot be written.
        """
        phases = {name: run.phases for name, run in self.first_runs().items() if run.phases}
        order = self.mode_order
        return give_picture(
            lambda: modes_figure(phases, order=order), lambda: modes_text(phases), path
        )

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

        place = check_output(path)  # before pictures are drawn
        return write_output(place, report_page(self, self.table()).encode("utf-8"))
