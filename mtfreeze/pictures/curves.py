# SPDX-License-Identifier: Apache-2.0
"""Learning curves: each task's loss step by step and its metric at each evaluation.

One column a task, the loss above, the metric below. Losses of single steps are faint, their
running means strong. Upright lines mark where another part of the model was frozen or unfrozen.
Several runs lie over one another, told apart by colour, dashes and markers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..printable import printable
from .histories import (
    History,
    epoch_ends,
    freeze_changes,
    last_step,
    metric_points,
    primary_metrics,
    smoothed,
    step_losses,
    tasks_of,
)
from .marks import change_handle, mark_changes
from .style import bare, epoch_axis, line_looks, new_figure, step_axis, value_axis
from .words import metric_words, text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["curves_figure", "curves_text"]

Looks = Mapping[str, Mapping[str, Any]]
"""Colour, dashes and marker, by the name of the run."""

_TITLE = "Learning curves"
_FEW_STEPS = 30
"""Up to this many steps of a task each of them is drawn as a dot, not as a faint line only."""


def curves_figure(
    histories: Mapping[str, History],
    *,
    metrics: Mapping[str, str] | None = None,
    order: Sequence[str] = (),
    title: str = _TITLE,
) -> Figure:
    """Draw the learning curves of one run or several.

    Parameters
    ----------
    histories : mapping of str to history
        `Run.history` by the name of the run.
    metrics : mapping of str to str, optional
        Which metric of a task is drawn; by default entity F1 where there is one, else accuracy.
    order : sequence of str
        Of all runs there are, for their looks; see `line_looks`.
    title : str
        Above everything.

    Raises
    ------
    ConfigError
        If no run trained or evaluated anything.
    """
    tasks = _check(histories)
    chosen, looks = _metrics(histories, metrics), line_looks(histories, order)
    changes = {name: freeze_changes(history) for name, history in histories.items()}
    n_rows = 2 if chosen else 1
    figure = new_figure(max(6.4, 4.9 * len(tasks)), 1.2 + 2.7 * n_rows)
    grid = figure.subplots(n_rows, len(tasks), squeeze=False, sharex=True)
    ends = [epoch_ends(history) for history in histories.values()]
    n_steps = max(1, *(last_step(history) for history in histories.values()))
    for column, task in enumerate(tasks):
        above = grid[0][column]
        above.set_xlim(0, 1.02 * n_steps)
        above.set_title(task, fontsize=10)
        above.set_ylabel("loss", fontsize=9)
        _draw_losses(above, histories, task, looks)
        if n_rows == 2:
            below = grid[1][column]
            shown = f"evaluation: {metric_words(chosen[task])}" if task in chosen else ""
            below.set_ylabel(shown, fontsize=9)
            _draw_metrics(below, histories, task, chosen.get(task), looks)
        for row in range(n_rows):
            axes = grid[row][column]
            axes.tick_params(labelsize=8)
            bare(axes)
            mark_changes(axes, changes, row == 0 and len(histories) == 1, looks)
        step_axis(grid[-1][column])
        if all(one == ends[0] for one in ends):  # several runs may have other epochs
            epoch_axis(grid[-1][column], ends[0])
    figure.suptitle(title, fontsize=11)
    named = {name: look for name, look in looks.items() if name in histories}
    _legend(figure, named, bool(chosen), any(changes.values()))
    return figure


def _check(histories: Mapping[str, History]) -> list[str]:
    """Return the tasks of all runs."""
    tasks = dict.fromkeys(task for history in histories.values() for task in tasks_of(history))
    if not tasks:
        raise ConfigError(
            "learning curves: expected the history of a run that trained or evaluated a task; "
            "found none; train something first"
        )
    return list(tasks)


def _metrics(histories: Mapping[str, History], metrics: Mapping[str, str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for history in histories.values():
        found = {**primary_metrics(history), **found}
    return {task: (metrics or {}).get(task, metric) for task, metric in found.items()}


def _draw_losses(axes: Axes, histories: Mapping[str, History], task: str, looks: Looks) -> None:
    for name, history in histories.items():
        steps, losses = step_losses(history, task)
        if not steps.size:
            continue
        look = looks[name]
        alpha = 0.35 if len(histories) == 1 else 0.14
        axes.plot(steps, losses, color=look["color"], linewidth=0.7, alpha=alpha)
        if len(steps) <= _FEW_STEPS:
            axes.plot(steps, losses, ".", color=look["color"], markersize=4, alpha=2 * alpha)
        axes.plot(
            steps, smoothed(losses), color=look["color"], linestyle=look["linestyle"], linewidth=1.8
        )
    if not axes.lines:
        _say_nothing(axes, "no loss: not trained")


def _draw_metrics(
    axes: Axes,
    histories: Mapping[str, History],
    task: str,
    metric: str | None,
    looks: Looks,
) -> None:
    if metric is None:
        _say_nothing(axes, "not evaluated")
        return
    shown: list[float] = []
    for name, history in histories.items():
        steps, values = metric_points(history, task, metric)
        axes.plot(steps, values, markersize=5, linewidth=1.5, **looks[name])
        shown += values.tolist()
    value_axis(axes, shown, 0.08)


def _say_nothing(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, ha="center", fontsize=9, color="#666666", transform=axes.transAxes)
    axes.set_yticks([])


def _legend(figure: Figure, looks: Looks, with_metric: bool, marked: bool) -> None:
    from matplotlib.lines import Line2D

    handles: list[Any] = [
        Line2D([], [], label=printable(name), markersize=5 if with_metric else 0, **look)
        for name, look in looks.items()
    ]
    handles.append(
        Line2D([], [], color="#777777", linewidth=0.8, alpha=0.6, label="loss of single steps")
    )
    if marked:
        handles.append(change_handle())
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=min(len(handles), 5),
        fontsize=8,
        frameon=False,
        handlelength=3.5,
    )


def curves_text(
    histories: Mapping[str, History],
    *,
    metrics: Mapping[str, str] | None = None,
    title: str = _TITLE,
) -> str:
    """Return the same facts in words: losses and metrics at begin and end, and the changes."""
    tasks = _check(histories)
    chosen = _metrics(histories, metrics)
    blocks = [title]
    for name, history in histories.items():
        rows = []
        for task in tasks:
            losses = smoothed(step_losses(history, task)[1])
            values = metric_points(history, task, chosen[task])[1] if task in chosen else losses[:0]
            rows.append(
                (
                    task,
                    f"{losses[0]:.4f} to {losses[-1]:.4f}" if losses.size else "none",
                    metric_words(chosen[task]) if task in chosen else "",
                    " ".join(f"{value:.4f}" for value in values) or "not evaluated",
                )
            )
        lines = [f"{printable(name)}: {last_step(history)} steps"]
        lines.append(text_table(("task", "loss, smoothed", "metric", "evaluations"), rows))
        lines += [
            f"after step {change.step}: {printable(change.name)}: {change.line}"
            for change in freeze_changes(history)
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
