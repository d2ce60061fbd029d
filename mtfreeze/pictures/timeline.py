# SPDX-License-Identifier: Apache-2.0
"""The unfreezing timeline: which unit was frozen when, one row a unit, steps from left to right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..closest import counted
from ..errors import ConfigError
from ..printable import printable
from ..quantities import in_values
from ..quoting import cut
from .style import (
    FROZEN,
    PARTLY,
    TRAINABLE,
    bare,
    epoch_axis,
    new_figure,
    short_unit,
    state_legend,
    state_look,
    step_axis,
)
from .words import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..freezing.unit_states import UnitState

__all__ = ["TimelinePhase", "timeline_figure", "timeline_text"]

_TITLE = "What was frozen when"
_LONGEST = 44
"""Letters of a phase's name that are shown; the text has all."""

_LETTER = 0.046
"""Inches that a letter of a slanted name takes upward."""

_NAMES_APART = 0.028
"""Least distance of the names of two phases, as a share of the axis."""


@dataclass(frozen=True)
class TimelinePhase:
    """Steps under one freeze state.

    Attributes
    ----------
    name : str
        Of the phase.
    n_steps : int
        Optimizer steps taken in it.
    units : sequence of UnitState
        From the input upward, heads last; the same units in each phase.
    """

    name: str
    n_steps: int
    units: Sequence[UnitState]

    @property
    def n_trained(self) -> int:
        """Values that train."""
        return sum(unit.n_values - unit.n_frozen for unit in self.units)


def _check(phases: Sequence[TimelinePhase]) -> None:
    if not phases or not phases[0].units:
        raise ConfigError(
            "unfreezing timeline: expected at least one phase with the units of the model; found "
            f"{'no phase' if not phases else 'no units'}; draw it after the run has begun"
        )


def _ends(phases: Sequence[TimelinePhase]) -> tuple[list[float], list[float], bool]:
    """Return where phases begin and end, and whether that counts steps.

    If no step was taken at all, each phase is one wide.
    """
    counts = any(phase.n_steps for phase in phases)
    begins, ends, at = [], [], 0.0
    for phase in phases:
        begins.append(at)
        at += phase.n_steps if counts else 1
        ends.append(at)
    return begins, ends, counts


def timeline_figure(
    phases: Sequence[TimelinePhase],
    *,
    epochs: Sequence[tuple[int, int]] = (),
    title: str = _TITLE,
) -> Figure:
    """Draw the timeline of a run.

    Parameters
    ----------
    phases : sequence of TimelinePhase
        In order.
    epochs : sequence of (int, int), optional
        Epochs, each with its last step; a second scale below the steps.
    title : str
        Above the picture.

    Raises
    ------
    ConfigError
        If there is no phase, or one without units.
    """
    _check(phases)
    begins, ends, counts = _ends(phases)
    units = phases[0].units
    row = 0.34 if len(units) <= 14 else 0.25 if len(units) <= 32 else 0.175
    names = [_phase_words(phase) for phase in phases if phase.n_steps or not counts]
    above = _LETTER * max(map(len, names)) if names else 0.0
    figure = new_figure(8.4, 1.75 + above + row * len(units))
    axes = figure.add_subplot()
    for position in range(len(units)):
        for begin, end, state in _stretches(phases, position):
            axes.barh(
                position,
                ends[end] - begins[begin],
                left=begins[begin],
                height=0.8,
                **state_look(state),
            )
    names = [short_unit(unit.path) for unit in units]
    axes.set_yticks(range(len(names)), names, fontsize=9 if row > 0.3 else 8 if row > 0.2 else 6.5)
    axes.set_ylim(-0.6, len(names) - 0.4)
    axes.set_xlim(0, ends[-1])
    _name_phases(axes, phases, begins, ends)
    bare(axes, ("top", "right", "left"))
    axes.tick_params(axis="y", length=0)
    if counts:
        step_axis(axes)
        epoch_axis(axes, epochs)
    else:
        axes.set_xticks([])
        axes.set_xlabel("no optimizer step was taken", fontsize=9)
    heads = [i for i, unit in enumerate(units) if unit.is_head]
    if heads:
        axes.axhline(heads[0] - 0.5, color="#333333", linewidth=0.8, linestyle=":")
    figure.suptitle(title, fontsize=11)
    states = {unit.state for phase in phases for unit in phase.units}
    words = {FROZEN: "frozen", PARTLY: "partly trainable", TRAINABLE: "trainable"}
    state_legend(figure, {state: word for state, word in words.items() if state in states})
    return figure


def _stretches(phases: Sequence[TimelinePhase], position: int) -> list[tuple[int, int, str]]:
    """Return first phase, last phase and state of each stretch in which a unit stays as it is."""
    found: list[tuple[int, int, str]] = []
    for number, phase in enumerate(phases):
        unit = phase.units[position]
        if found and phases[number - 1].units[position] == unit:
            found[-1] = (found[-1][0], number, unit.state)
        else:
            found.append((number, number, unit.state))
    return found


def _phase_words(phase: TimelinePhase) -> str:
    """Return what stands above a phase."""
    return f"{cut(phase.name, _LONGEST)} ({in_values(phase.n_trained)} train)"


def _name_phases(
    axes: Axes, phases: Sequence[TimelinePhase], begins: Sequence[float], ends: Sequence[float]
) -> None:
    """Write the phases above, slanted; those for which there is no room stand in the text only."""
    named_at = -ends[-1]
    for phase, begin, end in zip(phases, begins, ends, strict=True):
        if end == begin:
            continue
        if begin > 0:
            axes.axvline(begin, color="black", linewidth=1.0 if len(phases) <= 12 else 0.4)
        middle = (begin + end) / 2
        if middle - named_at < _NAMES_APART * ends[-1]:
            continue
        named_at = middle
        axes.annotate(
            _phase_words(phase),
            (middle, 1.0),
            (0, 3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=50,
            rotation_mode="anchor",
            fontsize=7.5,
        )


def timeline_text(
    phases: Sequence[TimelinePhase],
    *,
    epochs: Sequence[tuple[int, int]] = (),
    title: str = _TITLE,
) -> str:
    """Return the same facts as a table: a line a unit, from the heads down, a column a phase."""
    _check(phases)
    words = {FROZEN: "frozen", TRAINABLE: "trains"}
    rows = []
    for position in reversed(range(len(phases[0].units))):
        states = [phase.units[position] for phase in phases]
        rows.append(
            (
                short_unit(states[0].path),
                *(
                    words.get(one.state) or f"{one.n_frozen / one.n_values:.0%} frozen"
                    for one in states
                ),
            )
        )
    lines = [title, "", text_table(("unit", *(phase.name for phase in phases)), rows), ""]
    lines += [
        f"{printable(phase.name)}: {counted(phase.n_steps, 'step')}, "
        f"{in_values(phase.n_trained)} train"
        for phase in phases
    ]
    if epochs:
        lines.append("epochs end at steps " + ", ".join(str(step) for _, step in epochs))
    return "\n".join(lines)
