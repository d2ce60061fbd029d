# SPDX-License-Identifier: Apache-2.0
"""What all pictures share: figures without pyplot, hatches of the states, colours of the lines.

Whatever is told by colour is told by something else as well: states by hatch and lightness, lines
by dashes and markers. Lines have the colours of Okabe and Ito (2008), which the colour-blind tell
apart, without the yellow one, which is too light on white.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "EDGE",
    "FROZEN",
    "PARTLY",
    "TRAINABLE",
    "bare",
    "epoch_axis",
    "line_look",
    "line_looks",
    "new_figure",
    "short_unit",
    "state_legend",
    "state_look",
    "step_axis",
    "value_axis",
]

EDGE = "#333333"
"""Of everything that has an edge."""

FROZEN, PARTLY, TRAINABLE = "frozen", "partly", "trainable"
"""States, as in `mtfreeze.pricing.summary.UnitRow`."""

_LOOKS: Mapping[str, dict[str, Any]] = {
    FROZEN: {"facecolor": "#8fa9c4", "hatch": "xxxx"},
    PARTLY: {"facecolor": "#d5c6dc", "hatch": "oo"},
    TRAINABLE: {"facecolor": "#fdecd0", "hatch": "///"},
}
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000", "#e69f00", "#56b4e9", "#7f7f7f")
_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.5, 1, 1.5)))
_MARKERS = "osD^vPX*<"  # one more than colours: the two repeat together after 72 lines
_EPOCHS_BELOW = 31
"""Points from the axis to the scale of epochs: the ticks of the steps, and what they are."""

_LAYERS = re.compile(r"(?:(?P<of>[a-z_]+)\.)?layers\[(?P<first>\d+)(?::(?P<stop>\d+))?\]")
_BLOCK = re.compile(r"stages\[(\d+)\]\.blocks\[(\d+)\]")


def new_figure(width: float, height: float) -> Figure:
    """Return a figure of a size in inches that draws itself into memory, unknown to pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    from .notebook_figure import NotebookFigure

    figure = NotebookFigure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def state_look(state: str) -> dict[str, Any]:
    """Return colour, hatch and edge of a state, for patches."""
    return {"edgecolor": EDGE, "linewidth": 0.6, **_LOOKS[state]}


def state_legend(
    figure: Figure, labels: Mapping[str, str], title: str | None = None, **place: Any
) -> None:
    """Add the legend of the states that `labels` (state -> words) names, below the figure."""
    from matplotlib.patches import Patch

    figure.legend(
        handles=[Patch(label=label, **state_look(state)) for state, label in labels.items()],
        title=title,
        title_fontsize=8,
        fontsize=8,
        ncols=len(labels),
        handlelength=3.2,
        handleheight=1.5,
        frameon=False,
        **{"loc": "outside lower center", **place},
    )


def line_look(position: int) -> dict[str, Any]:
    """Return colour, dashes and marker of the line with this number, from 0; they repeat late."""
    return {
        "color": _COLOURS[position % len(_COLOURS)],
        "linestyle": _DASHES[(position + position // len(_COLOURS)) % len(_DASHES)],
        "marker": _MARKERS[position % len(_MARKERS)],
    }


def line_looks(names: Iterable[str], order: Iterable[str] = ()) -> dict[str, dict[str, Any]]:
    """Return the look of each line by its name, in the order that legends have.

    Parameters
    ----------
    names : iterable of str
        What is drawn.
    order : iterable of str
        Names whose places count, drawn or not, so that a name looks the same in several pictures;
        names that are not in it come after them.
    """
    places = {name: number for number, name in enumerate(dict.fromkeys([*order, *names]))}
    return {name: line_look(number) for name, number in places.items()}


def bare(axes: Axes, sides: Sequence[str] = ("top", "right")) -> None:
    """Take away the lines on some sides of the axes."""
    for side in sides:
        axes.spines[side].set_visible(False)


def step_axis(axes: Axes) -> None:
    """Let an axis count in whole optimizer steps."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axes.set_xlabel("optimizer step", fontsize=9)
    axes.tick_params(labelsize=8)


def value_axis(axes: Axes, values: Sequence[float], share: float) -> None:
    """Let the upright axis fit values, which may all be equal, with a share of room around them.

    Where the values are shares themselves, no tick says more than all or less than nothing.
    """
    known = [value for value in values if isfinite(value)]
    if not known:
        return
    low, high = min(known), max(known)
    room = share * (high - low) or 0.05
    limits = low - room, high + room
    axes.set_ylim(limits)
    if low >= 0 and high <= 1:
        least, most = max(limits[0], 0.0), min(limits[1], 1.0)
        axes.set_yticks([tick for tick in axes.get_yticks() if least <= tick <= most])
        axes.set_ylim(limits)


def epoch_axis(axes: Axes, epochs: Sequence[tuple[int, int]]) -> None:
    """Add a scale of epochs below that of the steps, with ticks at the ends of whole epochs.

    It stands at a distance in points, so that it and what is below it stay apart whatever is left
    of the figure for the axes.

    Parameters
    ----------
    axes : Axes
        In steps.
    epochs : sequence of (int, int)
        Epochs, each with its last step. Of many some are left out, of fewer than two all.
    """
    if len(epochs) < 2:
        return
    apart = -(-len(epochs) // 20)
    shown = [(epoch, step) for epoch, step in epochs if epoch % apart == 0]
    below = axes.secondary_xaxis("bottom")
    below.spines["bottom"].set_position(("outward", _EPOCHS_BELOW))
    below.set_xticks([step for _, step in shown], [str(epoch) for epoch, _ in shown], fontsize=8)
    below.set_xlabel("end of epoch", fontsize=9)
    below.minorticks_off()
    below.spines["bottom"].set_visible(False)


def short_unit(path: str) -> str:
    """Return how a picture calls a unit.

    Examples
    --------
    >>> short_unit("backbone.layers[4]"), short_unit("backbone.embeddings"), short_unit("ner_head")
    ('layer 4', 'embeddings', 'ner_head')
    >>> short_unit("backbone.layers[0:12]")
    'layers 0-11'
    >>> short_unit("backbone.stages[2].blocks[5]")
    'stage 2 block 5'
    >>> short_unit("decoder.layers[2]"), short_unit("decoder.norm")
    ('decoder layer 2', 'decoder.norm')
    """
    short = _BLOCK.sub(r"stage \1 block \2", path.removeprefix("backbone."))
    return _LAYERS.sub(_layers, short)


def _layers(found: re.Match[str]) -> str:
    first, stop = found["first"], found["stop"]
    numbers = f"layers {first}-{int(stop) - 1}" if stop else f"layer {first}"
    return f"{found['of']} {numbers}" if found["of"] else numbers
