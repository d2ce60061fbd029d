# SPDX-License-Identifier: Apache-2.0
"""Learning rates over the steps of a run, on a logarithmic axis: by layer, by part, or one for all.

Layers go from dark (near the input) to light; parts have colours and dashes of their own. A line
ends where its part is frozen, and where the rate is 0, which has no logarithm.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ConfigError
from ..printable import printable
from .histories import Float64, History, epoch_ends, freeze_changes, last_step, learning_rates
from .marks import change_handle, mark_changes
from .style import bare, epoch_axis, line_look, new_figure, short_unit, step_axis
from .words import text_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["rates_figure", "rates_text"]

_TITLE = "Learning rates"
_LAYER = re.compile(r"layers\[(\d+)\]")
_MOST_NAMED = 12
"""Up to this many layers each has its line in the legend; more have a scale of colours."""

_LIGHTEST = 0.82
"""Share of the scale of colours that stands out on white."""


def _series(history: History) -> tuple[Float64, dict[str, Float64], dict[int, Float64]]:
    """Return steps, the rates of parts, and the rates of layers by number."""
    steps, rates = learning_rates(history)
    if not rates:
        raise ConfigError(
            "learning rates: expected the history of a run that took steps; found none; train "
            "something first"
        )
    numbers = {name: _LAYER.fullmatch(name) for name in rates}
    layers = {int(found[1]): rates[name] for name, found in numbers.items() if found}
    parts = {name: values for name, values in rates.items() if not numbers[name]}
    if any(name.startswith("layers[") for name in rates):
        parts.pop("backbone", None)  # the rate of its top layer, which has a line
    return steps, parts, dict(sorted(layers.items(), reverse=True))


def rates_figure(history: History, *, title: str = _TITLE) -> Figure:
    """Draw the learning rates of a run.

    Parameters
    ----------
    history : history
        `Run.history`.
    title : str
        Above the picture.

    Raises
    ------
    ConfigError
        If no step was taken.
    """
    steps, parts, layers = _series(history)
    figure = new_figure(8.0, 4.4)
    axes = figure.add_subplot()
    axes.set_xlim(0, 1.02 * max(1, last_step(history)))
    handles = _draw_parts(axes, steps, parts) + _draw_layers(axes, steps, layers)
    changes = freeze_changes(history)
    mark_changes(axes, {"run": changes}, labelled=True)
    if len(changes) > 1:
        handles.append(change_handle())
    # The names of the phases stand above the lines.
    _set_scale(axes, [*parts.values(), *layers.values()], room=8.0 if changes else 2.0)
    axes.set_ylabel("learning rate (logarithmic)", fontsize=9)
    axes.set_title(title, fontsize=11)
    bare(axes)
    step_axis(axes)
    epoch_axis(axes, epoch_ends(history))
    figure.legend(
        handles=handles,
        loc="outside right upper" if len(layers) <= _MOST_NAMED else "outside lower center",
        ncols=1 if len(layers) <= _MOST_NAMED else 5,
        fontsize=8,
        frameon=False,
        handlelength=3.2,
    )
    return figure


def _draw_parts(axes: Axes, steps: Float64, parts: dict[str, Float64]) -> list[Any]:
    handles = []
    for number, (name, values) in enumerate(parts.items()):
        look = {**line_look(number), "marker": ""}
        look["linestyle"] = (0, (4 + 2 * number, 1.5))  # a plain line is a layer
        label = "everything" if name == "all" else short_unit(name)
        handles += axes.plot(steps, _above_zero(values), linewidth=1.8, label=label, **look)
    return handles


def _draw_layers(axes: Axes, steps: Float64, layers: dict[int, Float64]) -> list[Any]:
    """Draw the layers; return their lines for the legend, none if they have a scale of colours."""
    if not layers:
        return []
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import ListedColormap, Normalize

    colours = ListedColormap(colormaps["viridis"](np.linspace(0, _LIGHTEST, 256)))
    span = Normalize(min(layers), max(max(layers), min(layers) + 1))
    handles = [
        axes.plot(
            steps,
            _above_zero(values),
            color=colours(span(number)),
            linewidth=1.4,
            label=f"layer {number}",
        )[0]
        for number, values in layers.items()
    ]
    if len(layers) <= _MOST_NAMED:
        return handles
    bar = axes.figure.colorbar(ScalarMappable(span, colours), ax=axes, pad=0.02)
    bar.set_label("layer", fontsize=9)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return []


def _above_zero(values: Float64) -> Float64:
    return np.where(values > 0, values, np.nan)


def _set_scale(axes: Axes, series: list[Float64], room: float) -> None:
    """Set the limits: warmup and decay end at 0, whose surroundings say little."""
    peak = max(float(np.nanmax(values)) for values in series)
    if peak <= 0:
        axes.text(0.5, 0.5, "all rates are 0", ha="center", transform=axes.transAxes)
        axes.set_yticks([])
        return
    axes.set_yscale("log")
    lowest = min(
        (float(np.nanmax(values)) for values in series if np.nanmax(values) > 0), default=peak
    )
    axes.set_ylim(0.01 * lowest, room * peak)
    # The usual labels are formulas, which names in pictures are kept from being.
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(lambda value, _: "")


def rates_text(history: History, *, title: str = _TITLE) -> str:
    """Return the same facts as a table: when each part trained, its first, highest, last rate."""
    steps, parts, layers = _series(history)
    named = {"everything" if name == "all" else short_unit(name): v for name, v in parts.items()}
    named |= {f"layer {number}": values for number, values in layers.items()}
    rows = []
    for name, values in named.items():
        there = ~np.isnan(values)
        own, at = values[there], steps[there]
        rows.append(
            (
                name,
                f"{at[0]:.0f} to {at[-1]:.0f}",
                *(f"{x:.3g}" for x in (own[0], own.max(), own[-1])),
            )
        )
    table = text_table(("part", "trained in steps", "first", "highest", "last"), rows)
    lines = [
        f"after step {one.step}: {printable(one.name)}: {one.line}"
        for one in freeze_changes(history)
    ]
    return "\n\n".join([title, table, *(["\n".join(lines)] if lines else [])])
