# SPDX-License-Identifier: Apache-2.0
"""The jobs of one call of `compare`: what is there already, what is run, what failed, what races.

A race is run by asking how it stands (``race_standing.py``), running what it waits for, and asking
again; so a call that goes on in the same folder comes to the same decisions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from ..pictures.words import metric_words
from ..printable import printable
from ..runtime.progress import Reporter
from .comparison_folder import ComparisonFolder, described
from .own_functions import OwnFunctions
from .race_settings import RaceFacts
from .race_standing import Raced, Standing, read_rungs, stand
from .race_words import drop_lines
from .results import MAJORITY, START, ScenarioRun
from .running import Job, run_here, run_on
from .worker import Interrupted

__all__ = ["Work"]


class Work:
    """Runs the jobs of a folder; see `compare`.

    Parameters
    ----------
    folder : ComparisonFolder
        Begun.
    settings : mapping
        Of the comparison.
    executor : Executor or None
        None: here.
    threads : int or None
        Of each job.
    reporter : Reporter
    facts : RaceFacts, optional
        Of a race.
    own : OwnFunctions, optional
        Functions that stay in this process.
    """

    def __init__(
        self,
        folder: ComparisonFolder,
        settings: Mapping[str, Any],
        executor: Executor | None,
        threads: int | None,
        reporter: Reporter,
        facts: RaceFacts | None = None,
        own: OwnFunctions | None = None,
    ) -> None:
        self.folder, self.settings, self.executor = folder, settings, executor
        self.threads, self.reporter, self.facts, self.own = threads, reporter, facts, own
        self.found: dict[Job, ScenarioRun] = {}
        self._rungs: dict[Job, ScenarioRun] = {}
        self._n_jobs = 0

    def run(self, jobs: Sequence[Job]) -> bool:
        """Run what is not there yet; return whether Ctrl-C ended it."""
        seeds = list(self.settings["seeds"])
        starts = [Job(START, seed) for seed in seeds]
        everything = [Job(MAJORITY, seeds[0]), *starts, *jobs]
        for job in everything:
            row = described(self.settings, job.name)
            earlier = self.folder.result(job.name, job.seed, row)
            if earlier is not None and (job.name != START or self.folder.has_start(job.seed)):
                self.found[job] = earlier
        if self.facts is not None:
            self._rungs = read_rungs(self.folder, self.settings, self.facts)
        self._n_jobs = len(everything)
        if self.found:
            self.reporter.say(
                f"{len(self.found)} of {self._n_jobs} results are in {self.folder.path} already"
            )
        try:
            with self.reporter.bar(self._n_jobs, "comparing", unit="run"):
                self.reporter.advance(len(self.found))
                # The first start fills the features that all others look for.
                self._run([everything[0], starts[0]])
                if self.facts is None:
                    self._run(starts[1:])
                    self._run(jobs)
                else:
                    self._race(self.facts, starts, jobs)
        except Interrupted as error:
            self.reporter.say(str(error))
            return True
        return False

    def _race(self, facts: RaceFacts, starts: Sequence[Job], jobs: Sequence[Job]) -> None:
        """Run a race with the first seed, then the other seeds of those that finished it."""
        before = None
        while True:
            standing = stand(facts, {**self.found, **self._rungs})
            self._tell(facts, before, standing)
            if not standing.waiting:
                break
            before = standing
            self._run(standing.waiting)
        self._run(starts[1:])
        self._run([job for job in jobs if job.name in standing.going and job.seed != facts.seed])

    def _tell(self, facts: RaceFacts, before: Standing | None, now: Standing) -> None:
        """Say what a rung decided; let go of the checkpoints of those that do not go on."""
        for line in drop_lines(facts, now, 0 if before is None else len(before.rungs)):
            self.reporter.say(line)
        gone = [*now.dropped, *now.failed]
        for name in gone:
            if before is None or name in before.going:
                self.folder.forget_run(name, facts.seed)
                self.reporter.advance()

    def _run(self, jobs: Sequence[Job]) -> None:
        ready = []
        for job in jobs:
            if job in self.found or job in self._rungs:
                continue
            start = self.found.get(Job(START, job.seed))
            if start is not None and start.error is not None and job.name != START:
                error = f"its start: {start.error}"
                self._take(job, ScenarioRun(job.name, job.seed, error=error))
            else:
                ready.append(job)
        if not ready:
            return
        if self.executor is None:
            done = run_here(self.folder, ready, self.threads, self.own)
        else:
            done = run_on(self.executor, self.folder, ready, self.threads or 1, self.own)
        for job, run in done:
            self._take(job, run)

    def _take(self, job: Job, run: ScenarioRun) -> None:
        if job.stop is not None:
            self._rungs[job] = run
            self.reporter.say(f"[race] {_line(job, run)}")
            return
        self.found[job] = run
        if self.facts is not None and run.error is None:
            self._rungs.update(read_rungs(self.folder, self.settings, self.facts, job.name))
        self.reporter.advance()
        self.reporter.say(f"[{len(self.found)}/{self._n_jobs}] {_line(job, run)}")

    def in_order(self) -> list[ScenarioRun]:
        """Return the results by row, then by seed; one that failed at a rung is a row too."""
        lost = {
            Job(job.name, job.seed): ScenarioRun(
                job.name, job.seed, error=f"at step {job.stop}: {run.error}"
            )
            for job, run in self._rungs.items()
            if run.error is not None
        }
        there = {**lost, **self.found}
        names = [MAJORITY, START, *(one["name"] for one in self.settings["modes"])]
        order = [Job(name, seed) for name in names for seed in self.settings["seeds"]]
        return [there[job] for job in order if job in there]

    def raced(self) -> Raced | None:
        """Return what is known of the race, if there is one."""
        return None if self.facts is None else Raced(self.facts, dict(self._rungs))


def _line(job: Job, run: ScenarioRun) -> str:
    """Return what is said of a finished job."""
    what = f"{printable(run.scenario)}, seed {run.seed}"
    if job.stop is not None:
        what += f", step {job.stop}"
    if run.error is not None:
        return f"{what}: FAILED: {printable(run.error)}"
    scores = ", ".join(
        f"{name} {metric_words(one.primary)} {one.value:.3f}" for name, one in run.tasks.items()
    )
    seconds = run.seconds + run.prefix_seconds
    return f"{what}: {scores}" + (f"; {seconds:.1f} s" if run.parameters_trained else "")
