# SPDX-License-Identifier: Apache-2.0
"""A comparison in sentences: the verdict on each task, what was forgotten, what went wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..closest import counted
from ..pictures.words import metric_words
from ..printable import printable
from ..quantities import in_time
from .bootstrap import Difference
from .figures import ScenarioFigures
from .judging import Best
from .results import START

__all__ = ["few_rows", "joined", "judged_otherwise", "troubles", "verdict"]

FEW_ROWS = 100
"""Evaluation rows below which intervals of a bootstrap are said to be rough."""


def joined(names: Sequence[str], word: str = "and") -> str:
    """Return names as a list in a sentence.

    Examples
    --------
    >>> joined(["a"]), joined(["a", "b"]), joined(["a", "b", "c"], "or")
    ('a', 'a and b', 'a, b or c')
    """
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} {word} {names[-1]}"


def interval(change: Difference) -> str:
    """Return a difference with its 95 % interval."""
    return f"{change.value:+.3f} [{change.low:+.3f}, {change.high:+.3f}]"


def judged_otherwise(task: str, asked: str, metric: str) -> str:
    """Say that verdicts on a task are not by the metric that it asked for.

    Parameters
    ----------
    task : str
    asked : str
        What ``Task(metric=)`` named.
    metric : str
        What verdicts are by.
    """
    return (
        f"{task}: verdicts are by {metric_words(metric)}: {printable(asked)} is of all answers at "
        f"once, and a verdict draws rows again; to_csv has it as metric.{printable(asked)}"
    )


def verdict(best: Best, rows: Mapping[str, ScenarioFigures]) -> str:
    """Say which scenario is best on a task, and whether it is.

    Parameters
    ----------
    best : Best
    rows : mapping of str to ScenarioFigures
        By name.
    """
    metric = metric_words(best.metric)
    lead = f"{best.task}: "
    if not best.n_compared:
        return f"{lead}only {best.name} ran ({metric} {best.value:.3f}); nothing to compare it with"
    if best.name == START:
        others = (
            "every scenario made it worse"
            if best.wins
            else f"not significantly better than {joined(best.tied)}"
        )
        return f"{lead}nothing gained: {START} is best ({metric} {best.value:.3f}); {others}"
    change = rows[best.name].tasks[best.task].change
    value = f"{metric} {best.value:.3f}"
    if change is not None:
        value += f", {interval(change)} against {START}"
    if best.wins:
        return f"{lead}{best.name} is best: {value}; significantly better than every other row"
    tied = [name for name in best.tied if name != START]
    if best.gained is False:
        also = f", nor from {joined(tied, 'or')}" if tied else ""
        return (
            f"{lead}no gain is certain: {best.name} is highest ({value}), but cannot be told apart "
            f"from {START}{also}"
        )
    with_values = [f"{name} ({rows[name].tasks[best.task].mean:.3f})" for name in tied]
    text = f"{lead}{best.name} is highest: {value}; tied with {joined(with_values)}"
    fastest = min([best.name, *tied], key=lambda name: rows[name].seconds or 0.0)
    if fastest != best.name:
        text += f"; the fastest of them is {fastest}: {_times(rows, fastest, best.name)}"
    return text


def _times(rows: Mapping[str, ScenarioFigures], fast: str, slow: str) -> str:
    first, second = rows[fast].seconds or 0.0, rows[slow].seconds or 0.0
    return f"{in_time(first)} s against {in_time(second)} s"


def forgotten(task: str, rows: Sequence[ScenarioFigures]) -> list[str]:
    """Say where a task that was not trained lost significantly, the greatest loss first."""
    lost = []
    for row in rows:
        found = row.tasks.get(task)
        if found is None or found.forgetting is None or found.change is None:
            continue
        if found.change.significant and found.forgetting > 0:
            lost.append((-found.forgetting, row.name))
    if not lost:
        return []
    words = [f"{name} (-{-value:.3f})" for value, name in sorted(lost)]
    return [f"{task}: forgotten where it was not trained: in mode {joined(words)}"]


def few_rows(sizes: Mapping[str, int]) -> list[str]:
    """Say where intervals rest on few evaluation rows."""
    few = [f"{task} ({n})" for task, n in sizes.items() if n < FEW_ROWS]
    if not few:
        return []
    return [f"few evaluation rows, so intervals are rough: {', '.join(few)}"]


def troubles(
    rows: Sequence[ScenarioFigures], n_seeds: int, missing: int, interrupted: bool
) -> list[str]:
    """Say what failed, moved or is not there, and what one seed cannot tell.

    Parameters
    ----------
    rows : sequence of ScenarioFigures
    n_seeds : int
        Of the comparison.
    missing : int
        Runs that are not there.
    interrupted : bool
    """
    lines = []
    if n_seeds == 1:
        lines.append(
            "one seed: what is significant is so for this seed's models; another may turn it"
        )
    for row in rows:
        if not row.frozen_ok:
            lines.append(f"{row.name}: FROZEN PARTS MOVED: {row.verdict}")
        if row.errors:
            lines.append(f"{row.name}: {row.failure}")
    if interrupted or missing:
        lines.append(
            f"interrupted: {counted(missing, 'run')} of scenarios and seeds missing; the same call "
            "goes on where this one stopped, if it has an output_dir"
        )
    return lines
