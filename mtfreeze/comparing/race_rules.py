# SPDX-License-Identifier: Apache-2.0
"""The decisions of a race, from scores alone: where rungs lie, who is dropped, who is chosen.

A race trains candidates side by side and looks at them on the way, at *rungs*: the same evaluation
rows for all, drawn again with replacement (the paired bootstrap of ``bootstrap.py``). On each task
the leader has the best value. Of candidate c and leader l, with d the difference of the metric on
each drawn set, c is *behind* on the task if the `LEVEL` quantile of d lies below 0: of ten sets of
rows that might have been, nine would show it behind. It is dropped only where it is behind on every
task that can be judged, so no leader of any task ever is. That is successive halving (Jamieson,
Talwalkar 2016) with a test in place of a quota: where candidates cannot be told apart all go on.

What is undefined (NaN) judges nobody: a task without a figure for any candidate is left out, one
without a figure for this candidate speaks for its staying, and a drawn set on which the metric is
undefined counts as a tie.

Nothing trains here and nothing is read; callers give scores on the same rows.

Reference: K. Jamieson, A. Talwalkar, Non-stochastic best arm identification and hyperparameter
optimization, AISTATS 2016.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from ..heads.registry import measure_named
from ..quoting import quoted
from .bootstrap import Drawn, draw
from .results import TaskScore
from .words import joined

__all__ = [
    "LEVEL",
    "N_DRAWS",
    "TOLERANCE",
    "Choice",
    "RungTask",
    "RungVerdict",
    "choose",
    "judge_rung",
    "mean_value",
    "points",
    "rung_steps",
]

LEVEL = 0.9
"""Quantile of the drawn differences that must lie below 0 where a candidate is dropped."""

TOLERANCE = 0.01
"""Of the metric: a cheaper candidate that reaches the best but for so much is chosen; a point."""

N_DRAWS = 2_000
"""Evaluation sets drawn at a rung: a quantile of 90 % is steady to a hundredth of its rank."""

_CLOSE = 1e-9
"""Differences of means of whole numbers of right rows are no more exact than that."""


@dataclass(frozen=True)
class RungTask:
    """One candidate on one task at a rung.

    Attributes
    ----------
    task, metric : str
    value : float
        Of the metric; NaN where it is undefined.
    leader : str
        The candidate with the best value of the task; empty where none has one.
    difference : float
        To the leader: 0 for the leader, below 0 for the others; NaN where it is undefined.
    low, high : float
        The 1 - level and level quantiles of the difference over drawn rows; `high` decides.
    behind : bool
        Whether `high` is below 0.
    n_rows : int
        Evaluation rows.
    """

    task: str
    metric: str
    value: float
    leader: str
    difference: float
    low: float
    high: float
    behind: bool
    n_rows: int


@dataclass(frozen=True)
class RungVerdict:
    """What a rung says of one candidate.

    Attributes
    ----------
    candidate : str
    tasks : dict of str to RungTask
    dropped : bool
    why : str
        In words, for those that are dropped and those that go on.
    """

    candidate: str
    tasks: dict[str, RungTask]
    dropped: bool
    why: str

    @property
    def value(self) -> float:
        """Mean over the tasks that could be judged; NaN where there is none, or none of its own."""
        return mean_value({task: one.value for task, one in self.tasks.items() if one.leader})


@dataclass(frozen=True)
class Choice:
    """Which candidate is chosen.

    Attributes
    ----------
    name : str
    best : str
        The one with the highest mean; `name` itself where nothing cheaper comes close.
    within : tuple of str
        Those within the tolerance of the best, the cheapest first; `name` is the first.
    reasons : tuple of str
        In sentences.
    """

    name: str
    best: str
    within: tuple[str, ...]
    reasons: tuple[str, ...]


def judge_rung(
    scores: Mapping[str, Mapping[str, TaskScore]],
    protected: Collection[str] = (),
    *,
    level: float = LEVEL,
    seed: int = 0,
) -> dict[str, RungVerdict]:
    """Return what a rung says of each candidate.

    Parameters
    ----------
    scores : mapping of str to mapping of str to TaskScore
        By candidate, then by task; each task on the same rows for all. A candidate may lack a task.
    protected : collection of str
        Those that are never dropped; they lead like all others.
    level : float
        Above 0.5, below 1.
    seed : int
        Of the draws, which are the same for all candidates.

    Raises
    ------
    DataError
        If a task was scored on different rows, or on none.

    Examples
    --------
    >>> import numpy as np
    >>> def right(n):
    ...     counts = np.stack([np.ones(300, int), np.arange(300) < n], axis=1)
    ...     return {"texts": TaskScore("sequence", "accuracy", ("no", "yes"), counts, {})}
    >>> found = judge_rung({"none": right(280), "half": right(275), "bitfit": right(240)})
    >>> [name for name, one in found.items() if one.dropped]
    ['half', 'bitfit']
    >>> found["bitfit"].why
    'dropped: texts 0.133 behind none, 90 % sure by 0.110 or more'
    """
    by_task: dict[str, dict[str, TaskScore]] = {}
    for name, tasks in scores.items():
        for task, score in tasks.items():
            by_task.setdefault(task, {})[name] = score
    judged: dict[str, dict[str, RungTask]] = {name: {} for name in scores}
    for task, of_task in by_task.items():
        drawn = draw({name: {0: score} for name, score in of_task.items()}, seed, N_DRAWS)
        for name, one in _judge_task(task, of_task, drawn, level).items():
            judged[name][task] = one
    return {name: _verdict(name, judged[name], protected, level) for name in scores}


def _judge_task(
    task: str, scores: Mapping[str, TaskScore], drawn: Mapping[str, Drawn], level: float
) -> dict[str, RungTask]:
    values = {
        name: float(one.values[0]) if _scored(scores[name]) else math.nan
        for name, one in drawn.items()
    }
    defined = [name for name, value in values.items() if math.isfinite(value)]
    leader = max(defined, key=lambda name: values[name], default="")
    found = {}
    for name, value in values.items():
        gap = low = high = math.nan
        if name == leader:
            gap = low = high = 0.0
        elif name in defined:
            gap = value - values[leader]
            differences = drawn[name].draws[:, 0] - drawn[leader].draws[:, 0]
            # A set on which the metric is undefined tells nothing of either.
            differences = np.where(np.isfinite(differences), differences, 0.0)
            low, high = np.quantile(differences, (1 - level, level)).tolist()
        found[name] = RungTask(
            task,
            scores[name].primary,
            value,
            leader,
            gap,
            low,
            high,
            high < 0,
            drawn[name].n_rows,
        )
    return found


def _scored(score: TaskScore) -> bool:
    """Say whether something was scored, and gave a figure; sums of nothing would be 0.0."""
    if not measure_named(score.kind).n_items(score.counts):
        return False
    return math.isfinite(score.metrics.get(score.primary, 0.0))


def _verdict(
    name: str, tasks: dict[str, RungTask], protected: Collection[str], level: float
) -> RungVerdict:
    known = [one for one in tasks.values() if math.isfinite(one.difference)]
    held = [one for one in tasks.values() if one.leader and not one.behind]
    behind = bool(known) and not held
    if not known:
        why = "goes on: nothing could be judged, its figures are undefined"
    elif not behind:
        why = f"goes on: {_holds(held)}"
    else:
        gaps = [
            f"{one.task} {-one.difference:.3f} behind {one.leader}, {100 * level:.3g} % sure by "
            f"{-one.high:.3f} or more"
            for one in known
        ]
        kept = name in protected
        why = f"{'kept whatever it scores' if kept else 'dropped'}: {'; '.join(gaps)}"
    return RungVerdict(name, tasks, behind and name not in protected, why)


def _holds(held: Iterable[RungTask]) -> str:
    """Say on which tasks a candidate leads, or cannot be told apart from the leader."""
    said = []
    for one in held:
        if not math.isfinite(one.difference):
            said.append(f"{one.task} is undefined")
        elif one.difference == 0 and one.low == one.high == 0:
            said.append(f"leads {one.task}")
        else:
            said.append(f"{one.task} {-one.difference:.3f} behind {one.leader}, maybe by chance")
    return "; ".join(said)


def mean_value(values: Mapping[str, float]) -> float:
    """Return the mean over tasks; NaN where there is none, or one is undefined."""
    return fmean(values.values()) if values else math.nan


def choose(
    values: Mapping[str, Mapping[str, float]],
    costs: Mapping[str, float],
    tolerance: float = TOLERANCE,
) -> Choice | None:
    """Return the cheapest candidate within `tolerance` of the best.

    Candidates are compared by their mean over tasks, as the best model of a run is.

    Parameters
    ----------
    values : mapping of str to mapping of str to float
        By candidate that finished, then by task: what the task is judged by, mean over seeds.
    costs : mapping of str to float
        By candidate: seconds, or what stands for them. Equal costs go to the better one.
    tolerance : float
        Of the metric.

    Returns
    -------
    Choice or None
        None where no candidate has a figure.

    Examples
    --------
    >>> values = {"heads": {"a": 0.900}, "half": {"a": 0.915}, "none": {"a": 0.921}}
    >>> found = choose(values, {"heads": 2.0, "half": 30.0, "none": 50.0})
    >>> found.name, found.best, found.within
    ('half', 'none', ('half', 'none'))
    >>> found.reasons[0]
    'half is the cheapest within 1 point of the best: 0.915 against 0.921 of none'
    """
    means = {name: mean_value(one) for name, one in values.items()}
    means = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    if not means:
        return None
    best = max(means, key=lambda name: (means[name], -costs[name]))
    near = [name for name in means if means[name] >= means[best] - tolerance - _CLOSE]
    within = sorted(near, key=lambda name: (costs[name], -means[name]))
    name, step = within[0], points(tolerance)
    if len(means) == 1:
        reasons = [f"{name} is the only one with a figure: {means[name]:.3f}"]
    elif name == best:
        others = [one for one in within if one != name]
        ending = f", and the cheapest of those within {step} ({joined(others)} too)"
        reasons = [f"{name} is the best: {means[name]:.3f}{ending if others else ''}"]
        if not others:
            reasons.append(f"no other is within {step} of it")
    else:
        reasons = [
            f"{name} is the cheapest within {step} of the best: {means[name]:.3f} against "
            f"{means[best]:.3f} of {best}"
        ]
    lost = [one for one in values if one not in means]
    if lost:
        reasons.append(f"without a figure, so not chosen: {', '.join(map(quoted, lost))}")
    return Choice(name, best, tuple(within), tuple(reasons))


def points(tolerance: float) -> str:
    """Return a share of a metric in words.

    Examples
    --------
    >>> points(0.01), points(0.005), points(0.02)
    ('1 point', '0.5 points', '2 points')
    """
    number = f"{100 * tolerance:.3g}"
    return f"{number} point" if number == "1" else f"{number} points"


def rung_steps(n_start: int, n_warmup: int, n_main: int, fraction: float) -> int:
    """Return after how many steps of a whole run a rung lies.

    Parameters
    ----------
    n_start : int
        Steps of the heads' phase that the run begins with; 0 where it has none.
    n_warmup, n_main : int
        Warm-up steps of what follows, and all of its steps.
    fraction : float
        Of `n_main`; rounded up.

    Returns
    -------
    int
        Counted over the run, the heads' phase included; never inside the warm-up, never beyond the
        end. Equal to ``n_start + n_main`` where there is no rung before the end.

    Examples
    --------
    >>> rung_steps(60, 10, 96, 0.25), rung_steps(60, 40, 96, 0.25), rung_steps(0, 9, 9, 0.5)
    (84, 100, 9)
    """
    return n_start + min(n_main, max(math.ceil(n_main * fraction), n_warmup))
