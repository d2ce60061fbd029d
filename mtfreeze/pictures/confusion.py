# SPDX-License-Identifier: Apache-2.0
"""A confusion matrix: how often each label was predicted as which, as counts and as row shares.

Rows are what is right, columns what was predicted. The darkness of a cell is its share of the row,
so that a rare label shows its errors as clearly as a frequent one. Of sets of labels a row is a
label, and its columns say how often it was given and not, to what has it and to what has it not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..printable import printable
from .sheets import new_sheet
from .words import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["confusion_figure", "confusion_text"]

_TITLE = "Confusion matrix"
_MOST_WRITTEN = 26
"""With more labels than this there is no room for figures in the cells."""

_DARK = 0.55
"""From this share on letters are white."""

_LONGEST = 24
"""Letters of a label that are shown."""

_GIVEN = ("has it, given", "has it, missed", "has it not, given", "has it not, not given")
"""Columns of sets of labels."""

Counts = NDArray[np.int64]


def _check(counts: Counts, labels: Sequence[str]) -> Counts:
    """Return the table that is shown: (n, n), or (n, 4) of sets of labels."""
    table = np.asarray(counts)
    n = len(labels)
    if n == 0 or table.shape not in ((n, n), (n, 2, 2)):
        raise ConfigError(
            f"confusion matrix: expected counts of shape ({n}, {n}) for {n} labels, at least one, "
            f"or ({n}, 2, 2) of sets of labels; found {table.shape}; a row and a column are needed "
            "for each label"
        )
    table = table.astype(np.int64)
    return table if table.ndim == 2 else table[:, (1, 1, 0, 0), (1, 0, 1, 0)]


def _shares(counts: Counts, sets: bool) -> NDArray[np.float64]:
    """Return each cell's share of its row, of sets of its half; what is empty is 0."""
    if sets:
        return np.hstack([_shares(half, False) for half in np.hsplit(counts, 2)])
    totals = counts.sum(axis=1, keepdims=True)
    shares = np.zeros(counts.shape)
    np.divide(counts, totals, out=shares, where=totals > 0)
    return shares


def _cut(label: str) -> str:
    """Shorten a label in its middle: labels that begin alike often end differently."""
    label = printable(label)
    if len(label) <= _LONGEST:
        return label
    return f"{label[: _LONGEST - 13]}...{label[-10:]}"


def confusion_figure(
    counts: Counts,
    labels: Sequence[str],
    *,
    title: str = _TITLE,
    unit: str = "examples",
    ax: object = None,
) -> Figure:
    """Draw the matrix.

    Parameters
    ----------
    counts : (n, n) or (n, 2, 2) integer array
        Right label in the row, predicted one in the column. Of sets of labels such a matrix of
        each label: without it and with it, not given and given.
    labels : sequence of str
        Of rows and columns.
    title : str
        Above the matrix.
    unit : str
        What was counted: ``"texts"``, ``"words"``.
    ax : Axes, optional
        The user's, from which the scale of colours takes room; see `new_sheet`.

    Raises
    ------
    ConfigError
        If counts and labels do not fit.
    """
    table, sets = _check(counts, labels), np.ndim(counts) == 3
    n, columns = len(labels), list(_GIVEN if sets else labels)
    cell = 0.62 if n <= 8 else 0.5 if n <= _MOST_WRITTEN else max(0.12, 13.0 / n)
    size = max(3.2, cell * n)
    longest = max(len(_cut(label)) for label in [*labels, *columns])
    wide, high = 2.4 + 0.075 * longest + size, 1.5 + 0.075 * longest + size
    sheet = new_sheet(wide, high, ["confusion matrix"], ax)
    figure, (axes,) = sheet.figure, sheet.axes
    shares = _shares(table, sets)
    mesh = axes.pcolormesh(shares, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="white", lw=0.6)
    if n <= _MOST_WRITTEN:
        _write_cells(axes, shares, table, _right(table, sets), small=n > 16)
    at = np.arange(n) + 0.5
    letters = 9 if n <= 16 else 7.5 if n <= 40 else 5
    totals = table[:, :2].sum(axis=1) if sets else table.sum(axis=1)
    names = [f"{_cut(label)}  ({total:,})" for label, total in zip(labels, totals, strict=True)]
    axes.set_yticks(at, names, fontsize=letters)
    level = n <= 4 and longest * len(columns) <= 40
    axes.set_xticks(
        np.arange(len(columns)) + 0.5,
        [_cut(label) for label in columns],
        fontsize=letters,
        rotation=0 if level else 90,
    )
    axes.set_ylim(n, 0)
    axes.set_aspect("equal")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_ylabel(f"{'label' if sets else 'right label'}  ({unit})", fontsize=9)
    if not sets:
        axes.set_xlabel("predicted label", fontsize=9)
    axes.set_title(f"{title}\n{_headline(table, unit, sets)}", fontsize=10)
    bar = figure.colorbar(
        mesh, ax=axes, shrink=0.7, pad=0.02, aspect=28, fraction=0.06, format="{x:.0%}"
    )
    of = "those that have it, or have it not" if sets else "the row"
    bar.set_label(f"share of {of}", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _right(table: Counts, sets: bool) -> NDArray[np.bool_]:
    """Say which cells count what is right."""
    if sets:
        return np.tile([True, False, False, True], (len(table), 1))
    return np.eye(len(table), dtype=bool)


def _write_cells(
    axes: Axes,
    shares: NDArray[np.float64],
    table: Counts,
    right: NDArray[np.bool_],
    small: bool,
) -> None:
    """Write count and share into each cell that is not 0; the count alone where it is rare."""
    for row, column in zip(*np.nonzero(table), strict=True):
        share = shares[row, column]
        percent = f"{share:.0%}" if share >= 0.005 else "<1%"
        axes.text(
            column + 0.5,
            row + 0.5,
            f"{_short(int(table[row, column]))}\n{percent}",
            ha="center",
            va="center",
            linespacing=1.05,
            fontsize=5.8 if small else 7.5,
            fontweight="bold" if right[row, column] else "normal",
            color="white" if share >= _DARK else "black",
        )


def _short(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1000:,.0f}k"


def _headline(table: Counts, unit: str, sets: bool) -> str:
    total, right = int(table.sum()), int(table[_right(table, sets)].sum())
    share = f" ({right / total:.1%})" if total else ""
    what = f"labels of {unit}" if sets else unit
    return f"{right:,} of {total:,} {what} right{share}"


def confusion_text(
    counts: Counts, labels: Sequence[str], *, title: str = _TITLE, unit: str = "examples"
) -> str:
    """Return the same facts in words: the counts, and for each label what it is taken for."""
    table, sets = _check(counts, labels), np.ndim(counts) == 3
    shares = _shares(table, sets)
    header = ("label", *_GIVEN) if sets else ("right \\ predicted", *labels)
    rows = [
        (label, *(f"{count:,}" for count in row)) for label, row in zip(labels, table, strict=True)
    ]
    lines = [title, _headline(table, unit, sets), "", text_table(header, rows), ""]
    if sets:
        return "\n".join(lines[:-1])
    for i, label in enumerate(labels):
        total = int(table[i].sum())
        parts = [
            f"{printable(labels[j])} {shares[i, j]:.1%}"
            for j in np.argsort(-table[i], kind="stable")
            if table[i, j]
        ]
        lines.append(
            f"{printable(label)}: {total:,} {unit}"
            + (f", predicted {', '.join(parts)}" if parts else "")
        )
    return "\n".join(lines)
