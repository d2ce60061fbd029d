# SPDX-License-Identifier: Apache-2.0
"""`RaceResult`: what a race came to, candidate by candidate, and what it saved.

Where candidates cannot be told apart, it is said what would tell them: the interval of a difference
narrows with the root of the number of rows, so with a half-width h at N rows one of the tolerance t
needs about N (h / t)^2. Seeds are told the same way, where there are several: the half-width that
they alone give is 1.96 s / sqrt(R) for R seeds whose differences spread by s.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, overload

from ..pictures.race import RaceLine, race_figure, race_text
from ..pictures.words import metric_words
from ..pictures.writing import Ax, check_place, give_picture
from .bootstrap import Difference
from .race_rules import RungVerdict, choose, mean_value
from .race_settings import Candidate
from .race_standing import Raced, stand
from .results import START, ScenarioRun
from .running import Job

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["NeedsMore", "RaceEntry", "RaceResult", "RungFigures", "means_of", "race_result"]

_NORMAL = 1.96
"""Quantile of 97.5 % of the normal distribution."""


@dataclass(frozen=True)
class RungFigures:
    """One candidate at one rung.

    Attributes
    ----------
    number : int
        From 1.
    step : int
        Of its run.
    fraction : float
        Of its steps, as the race was asked for.
    verdict : RungVerdict
    """

    number: int
    step: int
    fraction: float
    verdict: RungVerdict

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        tasks = {
            name: {
                "metric": one.metric,
                "value": _number(one.value),
                "leader": one.leader,
                "difference": _number(one.difference),
                "low": _number(one.low),
                "high": _number(one.high),
                "behind": one.behind,
                "n_rows": one.n_rows,
            }
            for name, one in self.verdict.tasks.items()
        }
        return {
            "number": self.number,
            "step": self.step,
            "fraction": self.fraction,
            "dropped": self.verdict.dropped,
            "why": self.verdict.why,
            "tasks": tasks,
        }


@dataclass(frozen=True)
class RaceEntry:
    """One candidate.

    Attributes
    ----------
    name : str
    n_steps : int
        Of its whole run, the heads' phase included.
    raced : bool
        False where it trains heads alone, or had run before, and was never to be dropped.
    rungs : tuple of RungFigures
        Where it was judged.
    dropped_at : int or None
        Step after which it did not go on.
    why : str
        Why it was dropped, in words; empty where it was not.
    values : dict of str to float
        By task, on all evaluation rows, mean over seeds; empty where it did not finish.
    differences : dict of str to Difference
        To the chosen one, by task, on all evaluation rows; empty for itself.
    seconds : float
        Training and passes over the frozen prefix, of all that ran, mean over its seeds.
    full_seconds : float
        The same of a whole run; where it was dropped, as its steps so far let expect.
    job_seconds : float
        All that its jobs took: loading, training, evaluating, checkpoints; over all seeds.
    error : str
        Why it failed; empty where it did not.
    """

    name: str
    n_steps: int
    raced: bool
    rungs: tuple[RungFigures, ...]
    dropped_at: int | None
    why: str
    values: dict[str, float]
    differences: dict[str, Difference]
    seconds: float
    full_seconds: float
    job_seconds: float
    error: str = ""

    @property
    def finished(self) -> bool:
        """Whether it ran to its end."""
        return bool(self.values)

    @property
    def value(self) -> float:
        """Mean over tasks on all evaluation rows; NaN where it did not finish."""
        return mean_value(self.values)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "name": self.name,
            "n_steps": self.n_steps,
            "raced": self.raced,
            "rungs": [one.to_dict() for one in self.rungs],
            "dropped_at": self.dropped_at,
            "why": self.why,
            "values": {task: _number(one) for task, one in self.values.items()},
            "differences": {
                task: {
                    "value": one.value,
                    "low": one.low,
                    "high": one.high,
                    "p_adjusted": one.adjusted,
                    "significant": one.significant,
                }
                for task, one in self.differences.items()
            },
            "seconds": self.seconds,
            "full_seconds": self.full_seconds,
            "job_seconds": self.job_seconds,
            "error": self.error,
        }


@dataclass(frozen=True)
class NeedsMore:
    """What would tell the chosen candidate from those that finished beside it, on one task.

    Attributes
    ----------
    task : str
    names : tuple of str
        That cannot be told apart from it.
    n_rows : int
        Evaluation rows that there are.
    rows : int
        That a difference of the tolerance needs, about; 0 where there are enough.
    seeds : int
        The same of seeds; 0 where there is one, which does not say how they spread.
    """

    task: str
    names: tuple[str, ...]
    n_rows: int
    rows: int
    seeds: int


@dataclass(frozen=True)
class RaceResult:
    """What a race came to; ``comparison.race``.

    Attributes
    ----------
    chosen : str or None
        The cheapest candidate within the tolerance of the best; None while the race is not over,
        or where none has a figure.
    reasons : tuple of str
        Why, in sentences.
    entries : dict of str to RaceEntry
        By candidate, in the order of the modes.
    n_rows : dict of str to int
        Evaluation rows that judged at rungs, by task.
    tolerance : float
    needs : tuple of NeedsMore
        What would tell apart those that cannot be told.
    spent_seconds, full_seconds : float
        Wall-clock seconds of all jobs, and about what they would be had all candidates run to
        their end with every seed.
    notes : tuple of str
        What was said of the data.
    table : tuple of str
        Lines of a table, one a candidate.
    sentences : tuple of str
        All of it in words.
    """

    chosen: str | None
    reasons: tuple[str, ...]
    entries: dict[str, RaceEntry]
    n_rows: dict[str, int]
    tolerance: float
    needs: tuple[NeedsMore, ...]
    spent_seconds: float
    full_seconds: float
    notes: tuple[str, ...] = ()
    table: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The table and the sentences."""
        return [*self.table, "", *self.sentences]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "chosen": self.chosen,
            "reasons": list(self.reasons),
            "candidates": [one.to_dict() for one in self.entries.values()],
            "n_rows": dict(self.n_rows),
            "tolerance": self.tolerance,
            "needs": [
                {"task": one.task, "names": list(one.names), "n_rows": one.n_rows}
                | {"rows": one.rows, "seeds": one.seeds}
                for one in self.needs
            ],
            "spent_seconds": self.spent_seconds,
            "full_seconds": self.full_seconds,
            "notes": list(self.notes),
            "sentences": list(self.sentences),
        }

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def value_words(self) -> str:
        """What candidates are compared by, in words: a metric, or the mean of several tasks."""
        if len(self.n_rows) > 1:
            return "mean over tasks"
        rungs = [rung for entry in self.entries.values() for rung in entry.rungs]
        metrics = [one.metric for rung in rungs for one in rung.verdict.tasks.values()]
        return metric_words(metrics[0]) if metrics else "value"

    def picture_lines(self) -> list[RaceLine]:
        """Return what the picture draws: one line a candidate."""
        return [
            RaceLine(
                one.name,
                tuple((rung.step, rung.verdict.value) for rung in one.rungs if one.raced),
                None if not one.finished else (one.n_steps, one.value),
                one.dropped_at is not None or bool(one.error),
                one.name == self.chosen,
            )
            for one in self.entries.values()
        ]

    @overload
    def plot(self, path: None = None) -> Figure: ...
    @overload
    def plot(self, path: str | os.PathLike[str]) -> Path: ...
    @overload
    def plot(self, path: None = None, *, ax: Ax) -> Ax: ...
    def plot(self, path: str | os.PathLike[str] | None = None, *, ax: Any = None) -> Any:
        """Draw the race: one line a candidate over its steps; a cross where one was dropped.

        Parameters
        ----------
        path : path, optional
            The ending says the format: .png, .svg, .pdf.
        ax : Axes, optional
            To draw in.

        Returns
        -------
        Figure, Path or Axes
            Without a path a figure of matplotlib, which a notebook shows; with one the file. That
            is without matplotlib (extra ``viz``) a .txt beside it with the same facts, with a
            PictureWarning. Drawn in `ax`, that.

        Raises
        ------
        ConfigError
            For an unknown ending, or a path and `ax`; without a path, if matplotlib is not
            installed.
        OSError
            If it cannot be written.
        """
        check_place(path, ax)
        lines, value = self.picture_lines(), self.value_words
        return give_picture(
            lambda ax: race_figure(lines, value=value, ax=ax),
            lambda: race_text(lines, value=value),
            path,
            ax,
        )


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def means_of(
    done: Mapping[str, Sequence[ScenarioRun]], tasks: Sequence[str]
) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return what `choose` compares: values by scenario and task, and seconds, means over seeds.

    Parameters
    ----------
    done : mapping of str to sequence of ScenarioRun
        By scenario: the runs that finished; none for one that has no figure.
    tasks : sequence of str
    """
    values = {
        name: {task: fmean(run.tasks[task].value for run in own) for task in tasks}
        for name, own in done.items()
        if own
    }
    costs = {name: fmean(run.seconds + run.prefix_seconds for run in done[name]) for name in values}
    return values, costs


def race_result(
    raced: Raced,
    runs: Sequence[ScenarioRun],
    between: Callable[[str, str, str], Difference | None],
) -> RaceResult:
    """Return what a race came to; the words are left to ``race_words.py``.

    Parameters
    ----------
    raced : Raced
    runs : sequence of ScenarioRun
        Of the comparison, `START` among them.
    between : callable
        (task, scenario, other) -> Difference or None, judged with all others.
    """
    facts = raced.facts
    whole = {Job(run.scenario, run.seed): run for run in runs}
    standing = stand(facts, {**whole, **raced.rungs})
    tasks = list(facts.n_rows)
    done = {
        name: [r for r in runs if r.scenario == name and r.error is None]
        for name in facts.candidates
    }
    values, costs = means_of(done, tasks)
    choice = None if standing.waiting else choose(values, costs, facts.race.tolerance)
    chosen = None if choice is None else choice.name
    entries = {}
    for name, one in facts.candidates.items():
        rungs = tuple(
            RungFigures(rung.number, one.steps[rung.number - 1], rung.fraction, verdict)
            for rung in standing.rungs
            if one.steps and (verdict := rung.verdicts.get(name)) is not None
        )
        legs = _legs(raced, name)
        last = max(legs, key=lambda run: run.seconds, default=None)
        dropped = rungs[-1] if name in standing.dropped and rungs else None
        prefix = sum(run.prefix_seconds for run in legs)
        so_far = 0.0 if last is None else last.seconds + prefix
        others = () if chosen is None or name == chosen or name not in values else tasks
        gaps = {task: between(task, name, chosen or "") for task in others}
        entries[name] = RaceEntry(
            name,
            one.n_steps,
            bool(one.steps),
            rungs,
            None if dropped is None else dropped.step,
            "" if dropped is None else dropped.verdict.why,
            values.get(name, {}),
            {task: gap for task, gap in gaps.items() if gap is not None},
            costs.get(name, so_far),
            costs.get(name, 0.0 if last is None else _whole_seconds(last, one) + prefix),
            sum(run.job_seconds for run in (*legs, *done[name])),
            next((r.error for r in runs if r.scenario == name and r.error), ""),
        )
    start = [run for run in runs if run.scenario == START]
    seeds = max((len(own) for own in done.values()), default=1)
    spent = sum(one.job_seconds for one in entries.values())
    full = seeds * sum(_whole_job(one, raced, done[name]) for name, one in entries.items())
    more = sum(run.job_seconds for run in start)
    needs = () if choice is None else _needs(choice.name, entries, done, facts.race.tolerance)
    return RaceResult(
        chosen,
        () if choice is None else choice.reasons,
        entries,
        dict(facts.n_rows),
        facts.race.tolerance,
        needs,
        spent + more,
        full + more,
        tuple(facts.notes),
    )


def _legs(raced: Raced, name: str) -> list[ScenarioRun]:
    """Return the results at the rungs of a candidate that paused at them."""
    if not raced.facts.candidates[name].steps:
        return []
    return [run for job, run in raced.rungs.items() if job.name == name and run.error is None]


def _whole_seconds(run: ScenarioRun, facts: Candidate) -> float:
    """Return what the steps of a whole run take, from those that were done."""
    steps = [(row["step"], row["seconds"]) for row in run.history if "task" in row]
    start = math.fsum(seconds for step, seconds in steps if step <= facts.n_start)
    own = [seconds for step, seconds in steps if step > facts.n_start]
    if not own:
        return run.seconds
    return start + math.fsum(own) / len(own) * (facts.n_steps - facts.n_start)


def _whole_job(entry: RaceEntry, raced: Raced, done: Sequence[ScenarioRun]) -> float:
    """Return what a job that runs a candidate whole takes: its steps, and once what is around."""
    legs = _legs(raced, entry.name)
    around, before = [], 0.0
    for run in sorted(legs, key=lambda run: run.seconds):
        around.append(run.job_seconds - (run.seconds - before) - run.prefix_seconds)
        before = run.seconds
    if not legs and done:
        return fmean(run.job_seconds for run in done)
    return entry.full_seconds + max(0.0, fmean(around)) if around else 0.0


def _needs(
    chosen: str,
    entries: Mapping[str, RaceEntry],
    done: Mapping[str, Sequence[ScenarioRun]],
    tolerance: float,
) -> tuple[NeedsMore, ...]:
    """Return what would tell the chosen one from those that cannot be told apart from it."""
    found = []
    for task in entries[chosen].values:
        gaps = {
            name: one.differences[task]
            for name, one in entries.items()
            if task in one.differences and not one.differences[task].significant
        }
        if not gaps or not tolerance:
            continue
        n_rows = len(done[chosen][0].tasks[task].counts)
        width = max((one.high - one.low) / 2 for one in gaps.values())
        rows = math.ceil(n_rows * (width / tolerance) ** 2)
        spread = max(_seed_spread(task, done[chosen], done[name]) for name in gaps)
        seeds = math.ceil((_NORMAL * spread / tolerance) ** 2)
        found.append(NeedsMore(task, tuple(gaps), n_rows, rows if rows > n_rows else 0, seeds))
    return tuple(found)


def _seed_spread(task: str, ours: Sequence[ScenarioRun], theirs: Sequence[ScenarioRun]) -> float:
    """Return the standard deviation over seeds of the difference of two; 0 for one seed."""
    other = {run.seed: run.tasks[task].value for run in theirs}
    gaps = [run.tasks[task].value - other[run.seed] for run in ours if run.seed in other]
    return stdev(gaps) if len(gaps) > 1 else 0.0
