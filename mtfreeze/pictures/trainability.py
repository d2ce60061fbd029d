# SPDX-License-Identifier: Apache-2.0
"""The map of what is frozen: one row a unit, from the input at the bottom to the heads on top.

Columns are kinds of parameters; a cell is as wide as the logarithm of how many there are, because a
norm has a thousandth of a product's. Frozen cells are cross-hatched, trainable ones hatched
diagonally, and a cell that is both is cut in proportion; lightness differs too, so it reads in
grey. The narrow column at the left is the unit as a whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..quantities import in_bytes, in_values
from .sheets import Sheet, new_sheet, state_legend
from .style import EDGE, FROZEN, PARTLY, TRAINABLE, short_unit, state_look
from .words import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ..pricing.summary import PartRow, Summary, UnitRow

__all__ = ["trainability_figure", "trainability_text"]

_WIDEST = 0.93
"""Width of the largest cell; columns are 1 apart."""

_STRIP = (-0.62, 0.42)
"""Left side and width of the cell of the whole unit."""

_LINE, _PADDING = 0.115, 0.10
"""Height of a line of column names, and of the room around them, in inches."""


@dataclass(frozen=True)
class _Group:
    """Units that have the same columns: the embeddings, the layers, the heads.

    Attributes
    ----------
    rows : list of UnitRow
        From below.
    kinds : list of str
        The columns.
    """

    rows: list[UnitRow]
    kinds: list[str]


def trainability_figure(table: Summary, *, ax: object = None) -> Figure:
    """Draw the map of a model.

    Parameters
    ----------
    table : Summary
        Of ``model.summary()``; its rows and parts.
    ax : Axes, optional
        The user's; see `new_sheet`.
    """
    parts = _parts(table)
    groups = _groups(table, parts)
    row, size = _row_height(len(table.rows))
    # Column names need the same room however thin the rows are.
    headers = [(_PADDING + _LINE * max(map(len, _headings(g, parts)))) / row for g in groups]
    n_columns = max(len(group.kinds) for group in groups)
    height = 1.45 + row * (len(table.rows) + sum(headers))
    sheet = new_sheet(max(7.6, 3.9 + 0.78 * n_columns), height, ["what is frozen"], ax)
    (axes,) = sheet.axes
    widest = math.log10(1 + max(part.n_values for part in parts.values()))
    at, ticks = 0.0, []
    for group, header in zip(groups, headers, strict=True):
        for unit in group.rows:
            _draw_unit(
                axes, at, unit, [parts.get((unit.unit, kind)) for kind in group.kinds], widest
            )
            ticks.append(at)
            at += 1.0
        _name_columns(axes, at - 0.42, group, parts)
        at += header
        if group is not groups[-1]:
            axes.axhline(at - 0.5, color="#bbbbbb", linewidth=0.6)
    axes.set_yticks(ticks, [short_unit(unit.unit) for unit in table.rows], fontsize=size)
    axes.set_ylim(-0.62, at - 0.4)
    axes.set_xlim(-0.75, n_columns + 2.1)
    _caption(axes, ticks, table.rows, n_columns, size)
    _mark_prefix(axes, ticks, table.rows, n_columns)
    axes.set_xticks([])
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title(_title(table), fontsize=9, loc="left", x=-0.02)
    _legend(sheet, table)
    return sheet.figure


def _row_height(n_rows: int) -> tuple[float, float]:
    """Return the height of a row in inches, and the size of its letters."""
    if n_rows <= 12:
        return 0.34, 9.0
    return (0.25, 8.0) if n_rows <= 32 else (0.175, 6.5)


def _parts(table: Summary) -> dict[tuple[str, str], PartRow]:
    return {(part.unit, part.kind): part for part in table.parts}


def _groups(table: Summary, parts: dict[tuple[str, str], PartRow]) -> list[_Group]:
    """Put units under common columns: all layers, all heads, every other unit by itself."""
    groups: dict[str, _Group] = {}
    for row in table.rows:
        backbone = row.unit.removeprefix("backbone.")
        name = "heads" if row.trained is not None else backbone.partition("[")[0]
        group = groups.setdefault(name, _Group([], []))
        group.rows.append(row)
        own = [kind for unit, kind in parts if unit == row.unit]
        group.kinds.extend(kind for kind in own if kind not in group.kinds)
    for group in groups.values():  # biases belong to all the others
        group.kinds.sort(key=lambda kind: kind == "biases")
    return list(groups.values())


def _draw_unit(
    axes: Axes, at: float, row: UnitRow, parts: Sequence[PartRow | None], widest: float
) -> None:
    left, width = _STRIP
    axes.barh(at, width, left=left, height=0.8, **state_look(row.state))
    for column, part in enumerate(parts):
        if part is None or not part.n_values:
            continue
        length = _WIDEST * max(0.12, math.log10(1 + part.n_values) / widest)
        share = part.n_frozen / part.n_values
        if 0.0 < share < 1.0:
            share = min(0.8, max(0.2, share))
        begin = float(column)
        for state, piece in ((FROZEN, share * length), (TRAINABLE, (1.0 - share) * length)):
            if piece > 0:
                axes.barh(at, piece, left=begin, height=0.8, **state_look(state))
                begin += piece


def _headings(group: _Group, parts: dict[tuple[str, str], PartRow]) -> list[list[str]]:
    """Return the lines over each column: the kind, and a cell's values where all have as many."""
    found = []
    for kind in group.kinds:
        sizes = {parts[row.unit, kind].n_values for row in group.rows if (row.unit, kind) in parts}
        lines = kind.split(" ", 1) if len(kind) > 12 else [kind]
        found.append(lines + ([in_values(sizes.pop())] if len(sizes) == 1 else []))
    return found


def _name_columns(
    axes: Axes, at: float, group: _Group, parts: dict[tuple[str, str], PartRow]
) -> None:
    for column, lines in enumerate(_headings(group, parts)):
        axes.text(column, at, "\n".join(lines), fontsize=7, va="bottom", linespacing=1.0)


def _caption(
    axes: Axes, ticks: Sequence[float], rows: Sequence[UnitRow], n_columns: int, size: float
) -> None:
    for at, row in zip(ticks, rows, strict=True):
        words = in_values(row.n_values)
        if row.state == "partly":
            n_trained = row.n_values - row.n_frozen
            smaller = min((row.n_frozen, "frozen"), (n_trained, "train"))
            words += f", {in_values(smaller[0])} {smaller[1]}"
        if row.trained is False:
            words += ", never trained"
        axes.text(n_columns + 0.08, at, words, va="center", fontsize=min(size, 8.0))


def _mark_prefix(
    axes: Axes, ticks: Sequence[float], rows: Sequence[UnitRow], n_columns: int
) -> None:
    """Draw a bracket beside the units that are never run backward."""
    inside = [at for at, row in zip(ticks, rows, strict=True) if row.in_prefix]
    if not inside:
        return
    right, low, high = n_columns + 1.62, min(inside) - 0.4, max(inside) + 0.4
    axes.plot([right - 0.1, right, right, right - 0.1], [low, low, high, high], color=EDGE, lw=1.0)
    tall = len(inside) >= 5
    axes.text(
        right + 0.08,
        (low + high) / 2,
        "prefix: no backward pass" if tall else "prefix: no\nbackward pass",
        rotation=90 if tall else 0,
        va="center",
        fontsize=8 if tall else 7,
    )


def _title(table: Summary) -> str:
    trained = table.n_values - table.n_frozen
    keeps = table.gradient_bytes + table.moment_bytes + table.saved_bytes
    return (
        f"{table.title}\n{in_values(table.n_frozen)} parameters frozen, {in_values(trained)} train"
        f"; a step keeps {in_bytes(keeps)} of {in_bytes(table.full_bytes)} and takes "
        f"{table.work:.0%} of the work"
    )


def _legend(sheet: Sheet, table: Summary) -> None:
    trained = table.n_values - table.n_frozen
    share = table.n_frozen / table.n_values if table.n_values else 0.0
    state_legend(
        sheet,
        {
            FROZEN: f"frozen: {in_values(table.n_frozen)} ({share:.1%})",
            TRAINABLE: f"trainable: {in_values(trained)} ({1 - share:.1%})",
            PARTLY: "unit partly trainable",
        },
        title="left: the unit as a whole; width of a cell: logarithm of its parameters",
    )


def trainability_text(table: Summary, explanation: str = "") -> str:
    """Return the same facts in words: the table, the parameters by kind, and what follows.

    Parameters
    ----------
    table : Summary
        Of ``model.summary()``.
    explanation : str
        Of ``model.explain()``.
    """
    parts = _parts(table)
    rows = []
    for group in _groups(table, parts):
        first, last = short_unit(group.rows[0].unit), short_unit(group.rows[-1].unit)
        name = first if first == last else f"{first} to {last}"
        for kind in group.kinds:
            mine = [parts[row.unit, kind] for row in group.rows if (row.unit, kind) in parts]
            n_values = sum(part.n_values for part in mine)
            n_frozen = sum(part.n_frozen for part in mine)
            rows.append(
                (f"{name}: {kind}", *map(in_values, (n_values, n_frozen, n_values - n_frozen)))
            )
    by_kind = text_table(("kind", "parameters", "frozen", "train"), rows)
    return "\n\n".join(block for block in (str(table), by_kind, explanation) if block)
