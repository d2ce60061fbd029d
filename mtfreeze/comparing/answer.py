# SPDX-License-Identifier: Apache-2.0
"""What to do after a comparison: the mode that a race would choose, and what speaks for it.

Everything said here is a statement of the comparison: of its race, of the rule that a race chooses
by, of its verdicts, of what makes them say less, and of what went wrong. Nothing is claimed that
the table does not hold.
"""

from __future__ import annotations

from ..closest import name_list
from .comparison_data import ComparisonData
from .doubtful import doubtful
from .figures import REFERENCES
from .race_result import means_of
from .race_rules import Choice, choose
from .results import START, ScenarioRun
from .words import troubles, verdict

__all__ = ["answer", "chosen_mode", "row_marks", "what_now"]


def _choice(data: ComparisonData) -> Choice | None:
    """Return what the rule of a race chooses among all that finished on every task."""
    done: dict[str, list[ScenarioRun]] = {}
    for run in data.runs:
        whole = run.error is None and all(task in run.tasks for task in data.tasks)
        if whole and run.scenario not in REFERENCES:
            done.setdefault(run.scenario, []).append(run)
    return choose(*means_of(done, data.tasks)) if data.tasks else None


def answer(data: ComparisonData) -> str | None:
    """Return what a race over these modes would choose, in a sentence; None: nothing finished.

    Where every task is best before any mode has trained, that is the answer.
    """
    choice = _choice(data)
    if choice is None:
        return None
    if _gained_nothing(data):
        return f"keep the model of the row {START}: no mode is above it"
    tasks = data.tasks
    judged = f"by the mean of {name_list(tasks)}" if len(tasks) > 1 else "by its task"
    return f"freeze {choice.name}: {choice.reasons[0]}, {judged}, as compare(race=True) chooses"


def _is_open(data: ComparisonData) -> bool:
    """Say whether nothing can be advised yet: runs are missing, or what was frozen moved."""
    return data.interrupted or data.n_missing > 0 or not data.frozen_ok


def _gained_nothing(data: ComparisonData) -> bool:
    """Say whether every task is best where the scenarios began."""
    best = data._best.values()
    return bool(best) and all(one.name == START for one in best)


def chosen_mode(data: ComparisonData) -> str | None:
    """Return the name of the mode that is advised; None where none is."""
    if data.race is not None:
        return data.race.chosen
    if _is_open(data) or _gained_nothing(data):
        return None
    choice = _choice(data)
    return None if choice is None else choice.name


def what_now(data: ComparisonData) -> list[str]:
    """Return what to do now, the answer first; what stands in its way first where there is none."""
    rows = {row.name: row for row in data.rows}
    said = [verdict(best, rows) for best in data._best.values()]
    said += doubtful(data.runs, data.rows, data.tasks)
    n_seeds = len(data.settings.get("seeds", []))
    wrong = troubles(data.rows, n_seeds, data.n_missing, data.interrupted)
    if data.race is not None:
        first = list(data.race.sentences[:1])
    elif chosen_mode(data) is not None:
        first = [one for one in (answer(data),) if one is not None]
    else:
        first = []
    if _is_open(data):
        return [*wrong, *first, *said]
    return [*first, *said, *wrong]


def row_marks(data: ComparisonData) -> dict[str, list[str]]:
    """Return what is to stand beside the names of rows: who is best or highest on a task.

    Best is who is significantly better than every other row.
    """
    found: dict[str, list[str]] = {}
    for task, best in data._best.items():
        if best.n_compared:
            found.setdefault(best.name, []).append(f"{'best' if best.wins else 'highest'}: {task}")
    return found
