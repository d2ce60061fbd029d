# SPDX-License-Identifier: Apache-2.0
"""A race in words: what it will do, what each rung decided, one line a candidate, what it saved."""

from __future__ import annotations

import math

from ..closest import counted
from ..quantities import in_seconds, in_time
from .grid import Column, Grid
from .race_result import NeedsMore, RaceEntry, RaceResult
from .race_rules import points
from .race_settings import RaceFacts
from .race_standing import Standing
from .words import interval, joined

__all__ = ["drop_lines", "first_lines", "race_grid", "race_sentences"]

_MOST_COLUMNS = 2
"""Tasks whose differences stand side by side; of more the mean alone is shown."""


def first_lines(facts: RaceFacts) -> list[str]:
    """Return what is said before a race."""
    whole = [name for name, one in facts.candidates.items() if not one.steps]
    races = [name for name, one in facts.candidates.items() if one.steps]
    shares = joined([f"{fraction:g}" for fraction in facts.race.rungs])
    rows = joined([f"{n:,} rows of {task}" for task, n in facts.n_rows.items()])
    lines = [
        f"race: {joined(races) or 'nobody'} pause at {shares} of their steps, after the warm-up, "
        f"and are judged on {rows}"
    ]
    if whole:
        lines.append(f"race: {joined(whole)} run whole at once, since heads alone train")
    return [*lines, *facts.notes]


def drop_lines(facts: RaceFacts, standing: Standing, before: int) -> list[str]:
    """Return what the rungs after the first `before` decided."""
    lines = []
    for rung in standing.rungs[before:]:
        judged = [name for name in rung.verdicts if facts.candidates[name].steps]
        lines.append(f"race, rung {rung.number} at {rung.fraction:g} of the steps:")
        lines += [f"  {name}: {rung.verdicts[name].why}" for name in judged]
    return lines


def race_grid(race: RaceResult) -> Grid:
    """Return one line a candidate: its value at each rung and whole, and what became of it."""
    numbers = sorted({one.number for entry in race.entries.values() for one in entry.rungs})
    fractions = {one.number: one.fraction for entry in race.entries.values() for one in entry.rungs}
    tasks = list(race.n_rows)
    shown = tasks if len(tasks) <= _MOST_COLUMNS and race.chosen is not None else []
    value = race.value_words
    grid = Grid(
        [
            Column("race"),
            *(Column(f"at {fractions[number]:g}", value) for number in numbers),
            Column("whole", value),
            *(
                Column(f"{task} to {race.chosen}" if len(tasks) > 1 else f"to {race.chosen}")
                for task in shown
            ),
            Column("seconds"),
            Column("", left=True),
        ]
    )
    for entry in race.entries.values():
        there = {one.number: one.verdict.value for one in entry.rungs if entry.raced}
        grid.add(
            [
                entry.name,
                *(_three(there.get(number, math.nan)) for number in numbers),
                _three(entry.value),
                *(
                    interval(entry.differences[task]) if task in entry.differences else ""
                    for task in shown
                ),
                in_time(entry.seconds),
                _became(entry, race),
            ]
        )
    return grid


def _three(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.3f}"


def _became(entry: RaceEntry, race: RaceResult) -> str:
    if entry.error:
        return "failed"
    if entry.dropped_at is not None:
        return f"dropped at step {entry.dropped_at} of {entry.n_steps}"
    if entry.name == race.chosen:
        return "chosen"
    return "finished" if entry.finished else "on its way"


def race_sentences(race: RaceResult) -> list[str]:
    """Return what a race came to, the answer first."""
    if race.chosen is None:
        over = any(one.finished for one in race.entries.values())
        left = "is not over; the same call goes on where it stopped" if over else "chose nobody"
        lines = [f"race: it {left}"]
    else:
        lines = [f"race: {race.chosen} is chosen; {'; '.join(race.reasons)}"]
    for entry in race.entries.values():
        if entry.dropped_at is not None:
            lines.append(f"race: {entry.name} at step {entry.dropped_at} {entry.why}")
        if entry.error:
            lines.append(f"race: {entry.name} failed: {entry.error}; the others went on")
    lines += [_needed(one, race) for one in race.needs]
    if race.chosen is not None and race.full_seconds > 0:
        share = 100 * race.spent_seconds / race.full_seconds
        lines.append(
            f"race: all jobs took {in_seconds(race.spent_seconds)}, {share:.0f} % of about "
            f"{in_seconds(race.full_seconds)} that every candidate to its end would take"
        )
    return [*lines, *race.notes]


def _needed(one: NeedsMore, race: RaceResult) -> str:
    """Say what would tell candidates apart."""
    what = f"{one.task}: {joined(one.names)} cannot be told apart from {race.chosen}"
    step = points(race.tolerance)
    ways: list[str] = []
    if one.rows:
        ways.append(f"about {_rounded(one.rows):,} rows")
    if one.seeds:
        ways.append(counted(one.seeds, "seed"))
    if not ways:
        return f"{what} at {one.n_rows:,} rows with one seed; others may turn it"
    return f"{what} at {one.n_rows:,} rows; {step} needs {joined(ways, 'or')}"


def _rounded(n: int) -> int:
    """Return a number with two digits that count, rounded up."""
    unit = int(10 ** max(0, len(str(n)) - 2))
    return -(-n // unit) * unit
