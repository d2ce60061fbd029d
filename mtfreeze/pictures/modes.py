# SPDX-License-Identifier: Apache-2.0
"""What freeze modes and schedules train: a grid, one row a mode, one column a unit.

A mode that changes what is frozen has a thin row for each of its phases, the first on top. A
partly trainable unit is cut in proportion, its frozen part to the left. Beside its name a mode has
the marker of the other pictures; behind each row stands how many parameters train.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..freezing.unit_states import UnitState
from ..printable import printable
from ..quantities import in_values
from ..quoting import quoted
from .style import (
    FROZEN,
    TRAINABLE,
    line_looks,
    new_figure,
    short_unit,
    state_legend,
    state_look,
)
from .words import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["Phases", "modes_figure", "modes_text"]

Phases = Sequence[tuple[str, Sequence["UnitState"]]]
"""Names of the phases of one mode, each with the units as they are in it; the units are the same
in all of them, from the input upward, heads last."""

_TITLE = "What each freeze mode trains, from the input to the heads"
_MANY_UNITS = 16
"""With more units than this, columns get narrower."""

_BLOCK = re.compile(r"stage (\d+) block (\d+)")

_GAP = 0.14
"""Between the last phase of a mode and the next mode."""

_CELL = 0.9
"""Width of a cell; columns are 1 apart."""


def modes_figure(
    modes: Mapping[str, Phases], *, order: Sequence[str] = (), title: str = _TITLE
) -> Figure:
    """Draw the grid.

    Parameters
    ----------
    modes : mapping of str to phases
        By mode, from top to bottom; a mode without a schedule has one phase.
    order : sequence of str
        Of all modes, for their looks; see `line_looks`.
    title : str
        Above the grid.

    Raises
    ------
    ConfigError
        If there is no mode, or one without units.
    """
    _check(modes)
    modes = _aligned(modes)
    rows = _rows(modes)
    units = next(iter(modes.values()))[0][1]
    narrow = len(units) > _MANY_UNITS
    column = 0.30 if narrow else 0.72
    n_rows = sum(height for *_, height in rows)
    figure = new_figure(max(6.4, 3.8 + column * len(units)), 1.7 + 0.46 * n_rows)
    axes = figure.add_subplot()
    ticks: dict[str, list[float]] = {}
    top = 0.0
    for mode, phase, states, height in rows:
        _draw_row(axes, top, height, states)
        several = len(modes[mode]) > 1
        axes.text(
            len(units) - 0.35,
            top + height / 2,
            f"{in_values(_n_trained(states))} train" + (f" ({phase})" if several else ""),
            va="center",
            fontsize=7 if several else 8,
        )
        ticks.setdefault(mode, []).append(top + height / 2)
        last = len(ticks[mode]) == len(modes[mode])
        top += height + (_GAP if several and last else 0.0)
    _label(axes, ticks, units, top, title, narrow)
    _mark_modes(axes, ticks, order)
    state_legend(
        figure,
        {FROZEN: "frozen", TRAINABLE: "trainable"},
        title="partly trainable: both, in proportion",
    )
    return figure


def _rows(modes: Mapping[str, Phases]) -> list[tuple[str, str, Sequence[UnitState], float]]:
    """Return mode, phase, units and height of every row; phases are thinner than modes."""
    return [
        (mode, name, units, 1.0 if len(phases) == 1 else max(0.5, 1.0 / len(phases)))
        for mode, phases in modes.items()
        for name, units in phases
    ]


def _check(modes: Mapping[str, Phases]) -> None:
    empty = [mode for mode, phases in modes.items() if not phases or not phases[0][1]]
    if not modes or empty:
        raise ConfigError(
            "picture of freeze modes: expected modes with the units of each phase; found "
            + (f"none for {quoted(empty[0])}" if empty else "no mode")
            + "; draw it when the modes are known"
        )


def _aligned(modes: Mapping[str, Phases]) -> dict[str, Phases]:
    """Return the same with every unit that any mode has, in each: absent ones without values.

    Modes that add an adapter have a unit more; it stands before the heads.
    """
    paths: dict[str, bool] = {}
    for phases in modes.values():
        for _, units in phases:
            paths |= {unit.path: unit.is_head for unit in units}
    order = sorted(paths, key=lambda path: paths[path])  # stable: heads last

    def whole(units: Sequence[UnitState]) -> list[UnitState]:
        own = {unit.path: unit for unit in units}
        return [own.get(path, UnitState(path, 0, 0, paths[path])) for path in order]

    return {
        mode: [(name, whole(units)) for name, units in phases] for mode, phases in modes.items()
    }


def _is_absent(unit: UnitState) -> bool:
    return unit.n_values == 0 and not unit.is_head


def _n_trained(units: Sequence[UnitState]) -> int:
    return sum(unit.n_values - unit.n_frozen for unit in units)


def _draw_row(axes: Axes, top: float, height: float, units: Sequence[UnitState]) -> None:
    thick = height - (0.24 if height == 1.0 else 0.08)
    for position, unit in enumerate(units):
        if _is_absent(unit):
            continue
        # A sliver of a partly trainable unit is drawn wide enough to be seen.
        share = unit.n_frozen / unit.n_values if unit.n_values else float(unit.frozen)
        if unit.state == "partly":
            share = min(0.88, max(0.12, share))
        left = position - _CELL / 2
        for state, part in ((FROZEN, share), (TRAINABLE, 1.0 - share)):
            if part > 0:
                axes.barh(
                    top + height / 2,
                    _CELL * part,
                    left=left,
                    height=thick,
                    **state_look(state),
                )
                left += _CELL * part


def _label(
    axes: Axes,
    ticks: Mapping[str, Sequence[float]],
    units: Sequence[UnitState],
    bottom: float,
    title: str,
    narrow: bool,
) -> None:
    names = [short_unit(unit.path) for unit in units]
    if narrow:  # there is room for numbers only
        blocks = any(_BLOCK.fullmatch(name) for name in names)
        names = [_BLOCK.sub(r"\1.\2", name).removeprefix("layer ") for name in names]
        axes.set_xlabel(f"numbers: {'stage.block' if blocks else 'layers'}", fontsize=8)
    axes.set_xticks(range(len(names)), names, rotation=90 if narrow else 35, fontsize=8)
    if not narrow:
        for label in axes.get_xticklabels():
            label.set_horizontalalignment("right")
            label.set_rotation_mode("anchor")
    axes.set_yticks(
        [sum(at) / len(at) for at in ticks.values()],
        [printable(mode) for mode in ticks],
        fontsize=9,
    )
    axes.set_ylabel("mode: what is frozen", fontsize=9)
    axes.set_ylim(bottom, 0)
    room = 2.6 if not narrow else 6.5
    axes.set_xlim(-1.1, len(names) - 0.4 + room)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    first = next((at for at, unit in enumerate(units) if unit.is_head), None)
    if first is not None:
        axes.axvline(first - 0.5, color="#333333", linewidth=0.8, linestyle=":")
    axes.set_title(title, fontsize=10)


def _mark_modes(axes: Axes, ticks: Mapping[str, Sequence[float]], order: Sequence[str]) -> None:
    """Draw the marker that each mode has in the other pictures beside its name."""
    looks = line_looks(ticks, order)
    for mode, at in ticks.items():
        look = {**looks[mode], "linestyle": "none"}
        axes.plot([-0.85], [sum(at) / len(at)], markersize=6, **look)


def modes_text(modes: Mapping[str, Phases], *, title: str = _TITLE) -> str:
    """Return the same facts as a table: a line a mode and phase, a column a unit."""
    _check(modes)
    modes = _aligned(modes)
    units = next(iter(modes.values()))[0][1]
    rows = []
    for mode, phase, states, _ in _rows(modes):
        name = mode if len(modes[mode]) == 1 else f"{mode}, {phase}"
        cells = [_word(unit) for unit in states]
        rows.append((name, *cells, f"{in_values(_n_trained(states))} train"))
    header = ("mode", *(short_unit(unit.path) for unit in units), "")
    return f"{title}\n\n{text_table(header, rows)}"


def _word(unit: UnitState) -> str:
    if _is_absent(unit):
        return ""
    if unit.state != "partly":
        return "frozen" if unit.frozen else "trains"
    return f"{unit.n_frozen / unit.n_values:.0%} frozen"
