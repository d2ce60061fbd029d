# SPDX-License-Identifier: Apache-2.0
"""Upright lines in pictures over time: where another part of the model was frozen or unfrozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .histories import Change
from .style import EDGE, line_looks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["change_handle", "mark_changes"]

_DASHES = (0, (2, 2))
_LABELS_APART = 0.035
"""Least distance of the names of two phases, as a share of the axis."""


def mark_changes(
    axes: Axes,
    changes: Mapping[str, Sequence[Change]],
    labelled: bool,
    looks: Mapping[str, Mapping[str, Any]] | None = None,
) -> None:
    """Draw a line at each change, in the run's colour where there are several runs.

    Parameters
    ----------
    axes : Axes
        Its limits in x must be final.
    changes : mapping of str to sequence of Change
        By the name of the run.
    labelled : bool
        Write the names of the phases beside the lines, as far as there is room.
    looks : mapping of str to mapping, optional
        Of the runs; by default in their order.
    """
    from matplotlib.patheffects import withStroke

    rim = withStroke(linewidth=2.0, foreground="white")  # names can be read on curves
    apart = _LABELS_APART * axes.get_xlim()[1]
    looks = line_looks(changes) if looks is None else looks
    for name in changes:
        labelled_at = -apart
        for change in changes[name]:
            if change.step > 0:
                axes.axvline(
                    change.step,
                    color=EDGE if len(changes) == 1 else looks[name]["color"],
                    linestyle=_DASHES,
                    linewidth=0.9,
                    zorder=0,
                )
            if labelled and change.step - labelled_at >= apart:
                labelled_at = change.step
                axes.annotate(
                    change.name,
                    (change.step, 1.0),
                    (2.5, -2),
                    xycoords=("data", "axes fraction"),
                    textcoords="offset points",
                    rotation=90,
                    va="top",
                    fontsize=7,
                    color="#444444",
                    path_effects=[rim],
                )


def change_handle() -> Any:
    """Return the line of the legend."""
    from matplotlib.lines import Line2D

    return Line2D([], [], color=EDGE, linestyle=_DASHES, linewidth=0.9, label="freeze change")
