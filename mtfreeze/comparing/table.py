# SPDX-License-Identifier: Apache-2.0
"""The table of a comparison: quality and time; then what it did to the rest; then words.

Tasks stand side by side as long as 120 letters hold them; the others follow in a table below.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from textwrap import fill

from ..pictures.words import metric_words
from ..printable import html_text, printable_lines
from ..quantities import in_bytes, in_time, in_values
from .figures import ScenarioFigures, TaskFigures
from .grid import Column, Grid
from .judging import Best
from .results import START

__all__ = ["ComparisonTable", "make_table"]

WIDTH = 120
"""Letters that a line of the text should hold at most."""

_NOTHING = "-"


@dataclass(frozen=True, repr=False)
class ComparisonTable:
    """Tables and sentences; prints as text, and as HTML in a notebook.

    Attributes
    ----------
    quality : list of Grid
        What each scenario reached, trained and took.
    effects : list of Grid
        What it did to heads that stood still, to tasks that it did not train, and to memory.
    legend : list of str
        What the marks mean.
    sentences : list of str
        Verdicts in words.
    race : list of Grid
        One line a candidate of a race; empty without one.
    n_first : int
        How many of the sentences stand above the tables, the first of them.
    """

    quality: list[Grid]
    effects: list[Grid]
    legend: list[str]
    sentences: list[str]
    race: list[Grid] = field(default_factory=list)
    n_first: int = 0

    def text(self) -> str:
        """Return everything as text."""
        grids = (*self.quality, *self.effects, *self.race)
        blocks = ["\n".join(grid.lines(WIDTH)) for grid in grids]
        blocks.insert(len(self.quality), _wrapped(self.legend))
        above, below = self.sentences[: self.n_first], self.sentences[self.n_first :]
        parts = [_wrapped(above), *blocks, _wrapped(below)]
        return "\n\n".join(part for part in parts if part).rstrip()

    __str__ = text
    __repr__ = text

    def _repr_html_(self) -> str:
        grids = [grid.html() for grid in (*self.quality, *self.effects, *self.race)]
        grids.insert(len(self.quality), _small(self.legend))
        words = [f"<p>{html_text(line)}</p>" for line in self.sentences]
        return "".join([*words[: self.n_first], *grids, *words[self.n_first :]])


def _wrapped(lines: Sequence[str]) -> str:
    """Return sentences as lines that fit, what belongs to one indented."""
    shown = map(printable_lines, lines)  # newlines are white space to `fill`
    return "\n".join(fill(line, WIDTH, subsequent_indent="  ") for line in shown)


def _small(lines: Sequence[str]) -> str:
    return f"<p><small>{'<br>'.join(map(html_text, lines))}</small></p>"


def make_table(
    rows: Sequence[ScenarioFigures],
    tasks: Sequence[str],
    old_tasks: Sequence[str],
    best: Mapping[str, Best],
    sentences: Sequence[str],
    race: Grid | None = None,
    *,
    n_first: int = 0,
) -> ComparisonTable:
    """Lay out the rows of a comparison.

    Parameters
    ----------
    rows : sequence of ScenarioFigures
        In their order.
    tasks, old_tasks : sequence of str
        Tasks that were given to train and to watch.
    best : mapping of str to Best
        By task.
    sentences : sequence of str
        To stand below, but for the first of them.
    race : Grid, optional
        Of a race.
    n_first : int
        How many stand above.
    """
    quality = _split(tasks, lambda part, first: _quality(rows, part, best, first))
    effects = _split(
        _touched(rows, [*tasks, *old_tasks]), lambda part, first: _effects(rows, part, first)
    )
    races = [] if race is None else [race]
    return ComparisonTable(quality, effects, _legend(rows, best), list(sentences), races, n_first)


def _split(tasks: Sequence[str], make: Callable[[Sequence[str], bool], Grid]) -> list[Grid]:
    """Make as many grids as it takes for each to be narrow enough, or to hold one task alone."""
    grids: list[Grid] = []
    rest = list(tasks)
    while rest or not grids:
        n = len(rest)
        grid = make(rest, not grids)
        while n > 1 and grid.width > WIDTH:
            n -= 1
            grid = make(rest[:n], not grids)
        grids.append(grid)
        rest = rest[n:]
    return grids


def _quality(
    rows: Sequence[ScenarioFigures], tasks: Sequence[str], best: Mapping[str, Best], first: bool
) -> Grid:
    columns = [Column("frozen")]
    if first:
        columns += [Column("trained"), Column("seconds")]
    for task in tasks:
        metric = next((row.tasks[task].metric for row in rows if task in row.tasks), "")
        columns += [Column(metric_words(metric), task), Column("change", task)]
    grid = Grid(columns)
    for row in rows:
        if not row.seeds:
            grid.add([row.name], row.failure or "not run")
            continue
        cells = [row.name + (" !" if row.errors else "")]
        if first:
            cells.append(
                _NOTHING if row.parameters_trained is None else in_values(row.parameters_trained)
            )
            cells.append(_NOTHING if row.seconds is None else in_time(row.seconds))
        for task in tasks:
            found = row.tasks.get(task)
            cells += [
                _value(row.name, found, best.get(task)),
                "" if found is None else _change(found),
            ]
        grid.add(cells)
    return grid


def _value(name: str, found: TaskFigures | None, best: Best | None) -> str:
    if found is None:
        return _NOTHING
    text = f"{found.mean:.3f}" + ("" if found.spread is None else f" ± {found.spread:.3f}")
    mark = " "
    if best is not None and name == best.name:
        mark = "^" if best.wins else "~"
    elif best is not None and name in best.tied:
        mark = "~"
    return f"{text} {mark}"


def _change(found: TaskFigures) -> str:
    if found.change is None:
        return ""
    return f"{_signed(found.change.value)}{'*' if found.change.significant else ' '}"


def _signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign; nothing is +0."""
    rounded = round(value, digits)
    return f"{rounded if rounded else 0.0:+.{digits}f}"


def _touched(rows: Sequence[ScenarioFigures], tasks: Sequence[str]) -> list[str]:
    """Return the tasks that some scenario did not train, or whose head stood still."""
    return [
        task
        for task in tasks
        if any(
            task in row.tasks
            and (row.tasks[task].forgetting is not None or row.tasks[task].head_drift is not None)
            for row in rows
        )
    ]


def _effects(rows: Sequence[ScenarioFigures], tasks: Sequence[str], first: bool) -> Grid:
    columns = [Column("frozen")]
    pairs = list(dict.fromkeys(pair for row in rows for pair in row.gradient_cosines or {}))
    if first:
        columns += [Column("drift")]
    for task in tasks:
        columns += [Column("lost", task), Column("head drift", task)]
    if first:
        columns += [Column(pair.replace("|", ", "), "gradient cosine") for pair in pairs]
        columns += [Column("memory"), Column("found", "prefixes"), Column("computed", "prefixes")]
        columns += [Column("frozen parts", left=True)]
    grid = Grid(columns)
    for row in rows:
        if not row.seeds or row.parameters_trained is None:
            continue
        cells = [row.name]
        if first:
            cells.append(_NOTHING if row.drift is None else f"{row.drift:.4f}")
        for task in tasks:
            cells += _lost(row.tasks.get(task))
        if first:
            cosines = row.gradient_cosines or {}
            cells += [_signed(cosines[one], 2) if one in cosines else _NOTHING for one in pairs]
            cells.append(in_bytes(row.memory_bytes) if row.memory_bytes else _NOTHING)
            cells += [f"{row.n_found:,}", f"{row.n_computed:,}"]
            cells.append("kept" if row.frozen_ok else "MOVED")
        grid.add(cells)
    return grid


def _lost(found: TaskFigures | None) -> list[str]:
    if found is None:
        return ["", ""]
    lost, drift = "", ""
    if found.forgetting is not None and found.change is not None:
        lost = f"{_signed(found.forgetting)}{'*' if found.change.significant else ' '}"
    if found.head_drift is not None:
        drift = _signed(found.head_drift)
    return [lost, drift]


def _legend(rows: Sequence[ScenarioFigures], best: Mapping[str, Best]) -> list[str]:
    spread = any(one.spread is not None for row in rows for one in row.tasks.values())
    lines = [
        "mean"
        + (" ± standard deviation over seeds" if spread else "")
        + f"; change: against {START}; * significant (paired bootstrap, 5 % for all rows)"
    ]
    marks = []
    if any(one.wins for one in best.values()):
        marks.append("^ best, significantly better than every other row")
    if any(one.tied for one in best.values()):
        marks.append("~ best, or cannot be told apart from it")
    if any(row.errors and row.seeds for row in rows):
        marks.append("! without the seeds that failed")
    if marks:
        lines.append("; ".join(marks))
    lines.append(
        "seconds: training and passes over the frozen prefix, mean over seeds; lost: by tasks not "
        "trained; [ ]: 95 % interval"
    )
    return lines
