# SPDX-License-Identifier: Apache-2.0
"""The picture of what is frozen: one bar a unit, from the input at the bottom to the heads.

Frozen bars are cross-hatched, trainable ones hatched diagonally, partly trainable units have both
in proportion; the grey values differ too, so it reads in black and white. Bars are as long as the
logarithm of the number of parameters, because a head has a thousandth of a layer's.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .notices import PictureWarning, warn
from .pricing import in_bytes, in_values
from .summary import Summary, UnitRow, summarize

if TYPE_CHECKING:
    from .model import MultiTaskModel

__all__ = ["plot_trainability"]

_STYLES: dict[str, dict[str, Any]] = {
    "frozen": {"facecolor": "#8fa9c4", "hatch": "xxx"},
    "trainable": {"facecolor": "#fbe3c0", "hatch": "///"},
}
_EDGE = "#333333"


def plot_trainability(model: MultiTaskModel, path: Path) -> Path:
    """Draw the trainability of a model; see `MultiTaskModel.plot_trainability`."""
    table = summarize(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        text = path.with_suffix(".txt")
        text.write_text(f"{table}\n\n{model.explain()}\n", encoding="utf-8")
        warn(
            f"pictures need matplotlib, which is not installed: run `pip install mtfreeze[viz]`; "
            f"the facts were written to {str(text)!r} instead of {str(path)!r}",
            PictureWarning,
        )
        return text
    figure = Figure(figsize=(8.0, 1.9 + 0.36 * len(table.rows)), layout="constrained")
    FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), table)
    figure.savefig(path, dpi=150)
    return path


def _draw(axes: Any, table: Summary) -> None:
    longest = max(_length(row.n_values) for row in table.rows)
    for position, row in enumerate(table.rows):
        _draw_bar(axes, position, row)
        axes.text(
            _length(row.n_values) + 0.012 * longest,
            position,
            _caption(row),
            va="center",
            fontsize=8,
        )
    axes.set_yticks(range(len(table.rows)), [row.unit for row in table.rows], fontsize=9)
    axes.set_xlim(0, 1.5 * longest)
    axes.set_xticks([])
    axes.set_ylim(-0.7, len(table.rows) - 0.3)
    axes.set_xlabel("parameters (length of a bar: logarithm)", fontsize=8)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    heads = [i for i, row in enumerate(table.rows) if row.trained is not None]
    if heads:
        axes.axhline(heads[0] - 0.5, color=_EDGE, linewidth=0.8, linestyle=":")
    axes.set_title(_title(table), fontsize=9, loc="left")
    _legend(axes)


def _length(n: int) -> float:
    return math.log10(10 + n)


def _draw_bar(axes: Any, position: int, row: UnitRow) -> None:
    """Draw one unit; a partly trainable one is cut in proportion, frozen part first."""
    length = _length(row.n_values)
    parts = [("frozen", length)] if row.state == "frozen" else [("trainable", length)]
    if row.state == "partly":
        share = min(0.94, max(0.06, row.n_frozen / row.n_values))
        parts = [("frozen", share * length), ("trainable", (1 - share) * length)]
    left = 0.0
    for style, width in parts:
        axes.barh(
            position,
            width,
            left=left,
            height=0.72,
            edgecolor=_EDGE,
            linewidth=0.8,
            **_STYLES[style],
        )
        left += width


def _caption(row: UnitRow) -> str:
    words = [in_values(row.n_values)]
    if row.state == "partly":
        words.append(f"{in_values(row.n_frozen)} of them frozen")
    if row.in_prefix:
        words.append("prefix: no backward pass")
    if row.trained is False:
        words.append("never trained")
    return ", ".join(words)


def _title(table: Summary) -> str:
    trained = table.n_values - table.n_frozen
    keeps = table.gradient_bytes + table.moment_bytes + table.saved_bytes
    return (
        f"{table.title}\n{in_values(table.n_frozen)} parameters frozen, {in_values(trained)} train"
        f"; a step keeps {in_bytes(keeps)} of {in_bytes(table.full_bytes)} and takes "
        f"{table.work:.0%} of the work"
    )


def _legend(axes: Any) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(edgecolor=_EDGE, label=name, **_STYLES[name]) for name in ("frozen", "trainable")
    ]
    axes.figure.legend(
        handles=handles,
        loc="outside lower right",
        ncols=3,
        fontsize=8,
        handlelength=3,
        handleheight=1.6,
        title="partly trainable: both, in proportion",
        title_fontsize=7,
    )
