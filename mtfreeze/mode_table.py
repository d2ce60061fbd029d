# SPDX-License-Identifier: Apache-2.0
"""The table of freeze modes: one row a mode, metrics of every task, change against one row.

Used by the demo; made of plain values, so that anything that trains several modes can fill it. It
prints as text (monospace), as HTML in a notebook, and is written as CSV. Figures of metrics are
fractions, times are seconds, parameters are counted as values (not tensors).
"""

from __future__ import annotations

import csv
import html
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .metrics import metric_name

__all__ = ["ModeRow", "ModeTable", "TaskColumns"]

_TITLES = {"f1": "F1", "f1_macro": "macro F1", "accuracy": "accuracy", "mcc": "MCC"}


@dataclass(frozen=True)
class TaskColumns:
    """Which metrics of one task are shown.

    Attributes
    ----------
    task : str
        The head's name.
    metrics : tuple of str
        Metric names without the task; the first is the one whose change is shown.
    """

    task: str
    metrics: tuple[str, ...]


@dataclass(frozen=True)
class ModeRow:
    """One row.

    Attributes
    ----------
    mode : str
        What was frozen, or ``"majority"``, ``"start"``.
    metrics : mapping of str to float
        By the names of ``run.metrics``, e.g. ``eval_ner_head_f1``.
    n_trained : int or None
        Parameters that trained; None where nothing was trained at all (the baseline).
    seconds : float or None
        Training time, without evaluation.
    verdict : str
        Whether what was frozen stayed as it was.
    """

    mode: str
    metrics: Mapping[str, float]
    n_trained: int | None = None
    seconds: float | None = None
    verdict: str = ""


@dataclass(repr=False)
class ModeTable:
    """Rows under common columns.

    Attributes
    ----------
    columns : sequence of TaskColumns
        The tasks, in the order shown.
    rows : list of ModeRow
        Grows while modes are trained.
    reference : str
        The row that changes are counted from.

    Examples
    --------
    >>> table = ModeTable([TaskColumns("t", ("accuracy",))])
    >>> table.rows.append(ModeRow("start", {"eval_t_accuracy": 0.8}, 10, 1.0, "3 unchanged"))
    >>> table.rows.append(ModeRow("none", {"eval_t_accuracy": 0.9}, 20, 2.0, "nothing frozen"))
    >>> print(table.text())
                              t
    mode   trained  seconds   accuracy  change   verdict
    start       10      1.0      0.800           3 unchanged
    none        20      2.0      0.900  +0.100   nothing frozen
    """

    columns: Sequence[TaskColumns]
    rows: list[ModeRow] = field(default_factory=list)
    reference: str = "start"

    def change(self, row: ModeRow, columns: TaskColumns) -> float | None:
        """Return the change of a task's first metric against the reference row, if both have it."""
        name = metric_name(columns.task, columns.metrics[0])
        base = next((one for one in self.rows if one.mode == self.reference), None)
        if base is None or row is base or row.n_trained is None:
            return None
        if name not in row.metrics or name not in base.metrics:
            return None
        return row.metrics[name] - base.metrics[name]

    def _cells(self, row: ModeRow) -> list[str]:
        cells = [
            row.mode,
            "-" if row.n_trained is None else f"{row.n_trained:,}",
            "-" if row.seconds is None else f"{row.seconds:.1f}",
        ]
        for columns in self.columns:
            for metric in columns.metrics:
                value = row.metrics.get(metric_name(columns.task, metric))
                cells.append("-" if value is None else f"{value:.3f}")
            change = self.change(row, columns)
            cells.append("" if change is None else f"{change:+.3f}")
        return [*cells, row.verdict]

    def _header(self) -> list[str]:
        titles = ["mode", "trained", "seconds"]
        for columns in self.columns:
            titles += [_TITLES.get(metric, metric) for metric in columns.metrics]
            titles.append("change")
        return [*titles, "verdict"]

    def text(self) -> str:
        """Return the table as lines of text: two of header, then one a row."""
        header = self._header()
        body = [self._cells(row) for row in self.rows]
        widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
        # A wider gap before each task's first column and before the verdict.
        first, at = {}, 3
        for columns in self.columns:
            first[at] = columns.task
            at += len(columns.metrics) + 1
        gaps = [0] + [3 if i in first or i == len(header) - 1 else 2 for i in range(1, len(header))]

        def line(cells: Sequence[str]) -> str:
            out = ""
            for i, (cell, width) in enumerate(zip(cells, widths, strict=True)):
                left = i in (0, len(header) - 1)
                out += " " * gaps[i] + (cell.ljust(width) if left else cell.rjust(width))
            return out.rstrip()

        names, end = "", 0
        for i, (gap, width) in enumerate(zip(gaps, widths, strict=True)):
            if i in first:
                names = names.ljust(end + gap) + first[i]
            end += gap + width
        return "\n".join([names.rstrip(), line(header), *map(line, body)])

    def __repr__(self) -> str:
        return self.text()

    def _repr_html_(self) -> str:
        def cells(tag: str, texts: Sequence[str]) -> str:
            return "".join(f"<{tag}>{html.escape(text)}</{tag}>" for text in texts)

        groups = "<th></th>" * 3 + "".join(
            f'<th colspan="{len(one.metrics) + 1}" style="text-align:center">'
            f"{html.escape(one.task)}</th>"
            for one in self.columns
        )
        rows = "".join(f"<tr>{cells('td', self._cells(row))}</tr>" for row in self.rows)
        return (
            f"<table><thead><tr>{groups}<th></th></tr><tr>{cells('th', self._header())}</tr>"
            f"</thead><tbody>{rows}</tbody></table>"
        )

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write the table, figures unrounded, and return the path; makes its folder.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        place = Path(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        names = [metric_name(c.task, metric) for c in self.columns for metric in c.metrics]
        changes = [f"change_{metric_name(c.task, c.metrics[0])}" for c in self.columns]
        with place.open("w", newline="", encoding="utf-8") as file:
            out = csv.writer(file)
            out.writerow(["mode", "trained", "seconds", *names, *changes, "verdict"])
            for row in self.rows:
                figures: list[float | int | None] = [row.n_trained, row.seconds]
                figures += [row.metrics.get(name) for name in names]
                figures += [self.change(row, columns) for columns in self.columns]
                out.writerow([row.mode, *("" if x is None else x for x in figures), row.verdict])
        return place
