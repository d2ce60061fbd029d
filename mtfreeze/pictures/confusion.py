# SPDX-License-Identifier: Apache-2.0
"""A confusion matrix: how often each label was predicted as which, as counts and as row shares.

Rows are what is right, columns what was predicted. The darkness of a cell is its share of the row,
so that a rare label shows its errors as clearly as a frequent one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError
from ..printable import printable
from .style import new_figure
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

Counts = NDArray[np.int64]


def _check(counts: Counts, labels: Sequence[str]) -> Counts:
    table = np.asarray(counts)
    n = len(labels)
    if n == 0 or table.shape != (n, n):
        raise ConfigError(
            f"confusion matrix: expected counts of shape ({n}, {n}) for {n} labels, at least one; "
            f"found {table.shape}; a row and a column are needed for each label"
        )
    return table.astype(np.int64)


def _shares(counts: Counts) -> NDArray[np.float64]:
    """Return each cell's share of its row; rows without examples are 0."""
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
    counts: Counts, labels: Sequence[str], *, title: str = _TITLE, unit: str = "examples"
) -> Figure:
    """Draw the matrix.

    Parameters
    ----------
    counts : (n, n) integer array
        Right label in the row, predicted one in the column.
    labels : sequence of str
        Of rows and columns.
    title : str
        Above the matrix.
    unit : str
        What was counted: ``"texts"``, ``"words"``.

    Raises
    ------
    ConfigError
        If counts and labels do not fit.
    """
    table = _check(counts, labels)
    n = len(labels)
    cell = 0.62 if n <= 8 else 0.5 if n <= _MOST_WRITTEN else max(0.12, 13.0 / n)
    size = max(3.2, cell * n)
    longest = max(len(_cut(label)) for label in labels)
    figure = new_figure(2.4 + 0.075 * longest + size, 1.5 + 0.075 * longest + size)
    axes = figure.add_subplot()
    shares = _shares(table)
    mesh = axes.pcolormesh(shares, cmap="Blues", vmin=0.0, vmax=1.0, edgecolors="white", lw=0.6)
    if n <= _MOST_WRITTEN:
        _write_cells(axes, table, shares, small=n > 16)
    at = np.arange(n) + 0.5
    letters = 9 if n <= 16 else 7.5 if n <= 40 else 5
    totals = table.sum(axis=1)
    names = [f"{_cut(label)}  ({total:,})" for label, total in zip(labels, totals, strict=True)]
    axes.set_yticks(at, names, fontsize=letters)
    level = n <= 4 and longest * n <= 40
    axes.set_xticks(
        at,
        [_cut(label) for label in labels],
        fontsize=letters,
        rotation=0 if level else 90,
    )
    axes.set_ylim(n, 0)
    axes.set_aspect("equal")
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_ylabel(f"right label  ({unit})", fontsize=9)
    axes.set_xlabel("predicted label", fontsize=9)
    axes.set_title(f"{title}\n{_headline(table, unit)}", fontsize=10)
    bar = figure.colorbar(
        mesh, ax=axes, shrink=0.7, pad=0.02, aspect=28, fraction=0.06, format="{x:.0%}"
    )
    bar.set_label("share of the row", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return figure


def _write_cells(axes: Axes, table: Counts, shares: NDArray[np.float64], small: bool) -> None:
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
            fontweight="bold" if row == column else "normal",
            color="white" if share >= _DARK else "black",
        )


def _short(count: int) -> str:
    return f"{count:,}" if count < 100_000 else f"{count / 1000:,.0f}k"


def _headline(table: Counts, unit: str) -> str:
    total, right = int(table.sum()), int(table.trace())
    share = f" ({right / total:.1%})" if total else ""
    return f"{right:,} of {total:,} {unit} right{share}"


def confusion_text(
    counts: Counts, labels: Sequence[str], *, title: str = _TITLE, unit: str = "examples"
) -> str:
    """Return the same facts in words: the counts, and for each label what it is taken for."""
    table = _check(counts, labels)
    shares = _shares(table)
    rows = [
        (label, *(f"{count:,}" for count in row)) for label, row in zip(labels, table, strict=True)
    ]
    lines = [
        title,
        _headline(table, unit),
        "",
        text_table(("right \\ predicted", *labels), rows),
        "",
    ]
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
