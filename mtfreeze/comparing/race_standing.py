# SPDX-License-Identifier: Apache-2.0
"""How a race stands: a pure function of the results that there are, so that it can be taken up.

Who runs the race asks what is still to run, runs it and asks again; who reads a folder asks once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .comparison_folder import ComparisonFolder, described
from .race_rules import RungVerdict, judge_rung
from .race_settings import RaceFacts
from .results import ScenarioRun, TaskScore
from .running import Job

__all__ = ["Raced", "Rung", "Standing", "read_rungs", "stand"]


@dataclass(frozen=True)
class Raced:
    """What is known of a race.

    Attributes
    ----------
    facts : RaceFacts
    rungs : dict of Job to ScenarioRun
        Results at rungs; those of whole runs are the comparison's.
    """

    facts: RaceFacts
    rungs: dict[Job, ScenarioRun]


def read_rungs(
    folder: ComparisonFolder,
    settings: Mapping[str, Any],
    facts: RaceFacts,
    name: str | None = None,
) -> dict[Job, ScenarioRun]:
    """Return the results on the rows that judge that a folder keeps, of all or of one candidate.

    Raises
    ------
    CheckpointError
        If one is damaged.
    """
    jobs = [
        Job(known, facts.seed, step)
        for known, one in facts.candidates.items()
        if name is None or name == known
        for step in dict.fromkeys(one.steps or (one.n_steps,))
    ]
    rows = {job.name: described(settings, job.name) for job in jobs}
    found = {job: folder.result(job.name, job.seed, rows[job.name], job.stop) for job in jobs}
    return {job: run for job, run in found.items() if run is not None}


@dataclass(frozen=True)
class Rung:
    """What was judged at one rung.

    Attributes
    ----------
    number : int
        From 1.
    fraction : float
        Of each candidate's steps.
    verdicts : dict of str to RungVerdict
        Of those on their way, and of those that had ended before.
    """

    number: int
    fraction: float
    verdicts: dict[str, RungVerdict]


@dataclass(frozen=True)
class Standing:
    """How far a race is.

    Attributes
    ----------
    rungs : tuple of Rung
        Those that were judged.
    dropped : dict of str to int
        Number of the rung by name.
    failed : dict of str to str
        Why, by name.
    going : tuple of str
        All others.
    waiting : tuple of Job
        What has to run before more can be said; empty once all that go on have ended.
    """

    rungs: tuple[Rung, ...]
    dropped: dict[str, int]
    failed: dict[str, str]
    going: tuple[str, ...]
    waiting: tuple[Job, ...]


def stand(facts: RaceFacts, runs: Mapping[Job, ScenarioRun]) -> Standing:
    """Return how a race stands.

    Parameters
    ----------
    facts : RaceFacts
    runs : mapping of Job to ScenarioRun
        Results of the first seed: with `Job.stop` at rungs, without of whole runs.
    """
    seed = facts.seed
    whole = {name: runs.get(Job(name, seed)) for name in facts.candidates}
    paid = [name for name, one in facts.candidates.items() if not one.steps]
    dropped: dict[str, int] = {}
    failed = {name: one.error for name, one in whole.items() if one is not None and one.error}
    rungs: list[Rung] = []

    def now(waiting: list[Job]) -> Standing:
        going = tuple(n for n in facts.candidates if n not in dropped and n not in failed)
        return Standing(tuple(rungs), dropped, failed, going, tuple(waiting))

    missing = [Job(name, seed) for name in paid if whole[name] is None]
    if missing:
        return now(missing)
    ended = _ended(facts, paid, failed, runs)
    for number, fraction in enumerate(facts.race.rungs, start=1):
        jobs = [
            Job(name, seed, step)
            for name, known in facts.candidates.items()
            if name not in paid and name not in dropped and name not in failed
            if (step := _step(known.steps, number, known.n_steps)) is not None
        ]
        missing = [job for job in jobs if job not in runs]
        if missing:
            return now(missing)
        failed.update({j.name: runs[j].error or "" for j in jobs if runs[j].error is not None})
        scores = {j.name: runs[j].tasks for j in jobs if j.name not in failed}
        if scores:
            verdicts = judge_rung({**scores, **ended}, list(ended), level=facts.race.level)
            rungs.append(Rung(number, fraction, verdicts))
            dropped.update({name: number for name, one in verdicts.items() if one.dropped})
    going = [name for name in facts.candidates if name not in dropped and name not in failed]
    return now([Job(name, seed) for name in going if whole[name] is None])


def _ended(
    facts: RaceFacts,
    paid: Sequence[str],
    failed: Mapping[str, str],
    runs: Mapping[Job, ScenarioRun],
) -> dict[str, Mapping[str, TaskScore]]:
    """Return the scores, on the rows that judge, of those that ran whole at once."""
    found: dict[str, Mapping[str, TaskScore]] = {}
    for name in paid:
        drawn = any(facts.rows.values())
        stop = facts.candidates[name].n_steps if drawn else None
        run = runs.get(Job(name, facts.seed, stop))
        if run is not None and name not in failed:
            found[name] = run.tasks
    return found


def _step(steps: tuple[int, ...], number: int, n_steps: int) -> int | None:
    """Return where a rung lies; None where that is the end, or where the one before lies."""
    step = steps[number - 1]
    same = number > 1 and steps[number - 2] == step
    return None if step >= n_steps or same else step
