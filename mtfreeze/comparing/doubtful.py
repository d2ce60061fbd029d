# SPDX-License-Identifier: Apache-2.0
"""What makes the figures of a comparison say less than they seem to, in sentences.

What is doubtful in the rows is said once, for all scenarios; what a run came to, with the names of
those that it holds for.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..evaluating.doubts import BASELINE, Doubt, below_baseline
from ..pictures.words import metric_words
from .figures import ScenarioFigures
from .results import MAJORITY, ScenarioRun
from .words import joined

__all__ = ["doubtful"]


def doubtful(
    runs: Sequence[ScenarioRun], rows: Sequence[ScenarioFigures], tasks: Sequence[str]
) -> list[str]:
    """Return the sentences, each kind once for each task.

    Parameters
    ----------
    runs : sequence of ScenarioRun
        All, `MAJORITY` among them.
    rows : sequence of ScenarioFigures
        The same over their seeds.
    tasks : sequence of str
        Those that were given to train.
    """
    first: dict[tuple[str, str], Doubt] = {}
    names: dict[tuple[str, str], dict[str, None]] = {}
    for run in runs:
        for one in run.doubts:
            key = one.kind, one.task
            first.setdefault(key, one)
            names.setdefault(key, {})[run.scenario] = None
    found = [
        one.text if one.of_rows else f"{joined(list(names[key]))}: {one.text}"
        for key, one in first.items()
        if one.kind != BASELINE  # judged below, over all seeds
    ]
    return found + [line for task in tasks for line in _poor(task, rows)]


def _poor(task: str, rows: Sequence[ScenarioFigures]) -> list[str]:
    """Say which scenarios learned nothing that shows on a task."""
    there = {row.name: row.tasks[task] for row in rows if task in row.tasks}
    always = there.pop(MAJORITY, None)
    if always is None:
        return []
    poor = {name: one for name, one in there.items() if one.trained and one.mean <= always.mean}
    if not poor:
        return []
    best = max(one.mean for one in poor.values())
    where = f" in {joined(list(poor))}" + (" at best" if len(poor) > 1 else "")
    return [below_baseline(task, metric_words(always.metric), best, always.mean, where).text]
