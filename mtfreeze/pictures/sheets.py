# SPDX-License-Identifier: Apache-2.0
"""`Sheet`: where a picture is drawn, a figure of its own or axes that the user has.

In the user's axes nothing is done to the figure around them: there is no heading of the whole, and
what stands beside the picture otherwise, such as a legend, stands in or below the axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..checks import typed
from ..closest import name_list
from ..errors import ConfigError
from .style import new_figure, state_look

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["Sheet", "axes_in", "new_sheet", "state_legend"]

_BELOW = -0.16
"""Where a legend below the user's axes begins, as a share of their height."""


@dataclass(frozen=True)
class Sheet:
    """Axes to draw in.

    Attributes
    ----------
    figure : Figure
        Around them.
    axes : list of Axes
        Row by row.
    own : bool
        Whether the figure is the picture's own.
    """

    figure: Figure
    axes: list[Axes]
    own: bool

    def head(self, title: str) -> None:
        """Write a heading above everything; not over the user's own axes."""
        if self.own:
            self.figure.suptitle(title, fontsize=11)

    def legend(self, handles: Sequence[Any], *, inside: bool = True, **options: Any) -> None:
        """Add a legend: beside the axes, where `options` say; in the user's inside or below."""
        if self.own:
            self.figure.legend(handles=handles, **options)
            return
        place: dict[str, Any] = {"loc": "best"}
        if not inside:
            place = {"loc": "upper left", "bbox_to_anchor": (0.0, _BELOW)}
        self.axes[-1].legend(handles=handles, **{**options, **place})


def axes_in(ax: object) -> list[Axes]:
    """Return the axes of ``ax=``: one, or a list or array of them, row by row.

    Raises
    ------
    TypeError
        If it is something else.
    """
    from matplotlib.axes import Axes

    found: list[Any] = [ax]
    for _ in range(2):  # a list, or rows of them, as subplots() gives
        inner = [one.tolist() if isinstance(one, np.ndarray) else one for one in found]
        rows = [one if isinstance(one, list | tuple) else [one] for one in inner]
        found = [item for row in rows for item in row]
    if not found or not all(isinstance(one, Axes) for one in found):
        raise TypeError(
            f"ax must be axes of matplotlib, or a list of them; found {typed(ax)}; use e.g. "
            "figure, ax = plt.subplots()"
        )
    return found


def new_sheet(
    width: float,
    height: float,
    names: Sequence[str],
    ax: object = None,
    *,
    n_rows: int = 1,
    sharex: bool = False,
) -> Sheet:
    """Return axes to draw in.

    Parameters
    ----------
    width, height : float
        Of a figure of its own, in inches.
    names : sequence of str
        What each of the axes shows, row by row.
    ax : Axes or list of Axes, optional
        The user's.
    n_rows, sharex
        Rows of axes in a figure of its own, and whether they have one scale.

    Raises
    ------
    TypeError
        If `ax` is something else.
    ConfigError
        If there are not as many of them as names.
    """
    if ax is None:
        figure = new_figure(width, height)
        grid = figure.subplots(n_rows, len(names) // n_rows, squeeze=False, sharex=sharex)
        return Sheet(figure, list(grid.ravel()), own=True)
    found = axes_in(ax)
    if len(found) != len(names):
        shape = f"{n_rows}, {len(names) // n_rows}" if len(names) > 1 else ""
        raise ConfigError(
            f"ax must be {len(names)} axes, for {name_list(names)}; found {len(found)}; give as "
            f"many, e.g. plt.subplots({shape})[1], or leave ax out for a figure"
        )
    around: Any = found[0].figure  # or a part of a figure, which can do the same
    return Sheet(around, found, own=False)


def state_legend(sheet: Sheet, labels: Mapping[str, str], title: str | None = None) -> None:
    """Add the legend of the states that `labels` (state -> words) names, below the picture."""
    from matplotlib.patches import Patch

    sheet.legend(
        [Patch(label=label, **state_look(state)) for state, label in labels.items()],
        inside=False,
        title=title,
        title_fontsize=8,
        fontsize=8,
        ncols=len(labels),
        handlelength=3.2,
        handleheight=1.5,
        frameon=False,
        loc="outside lower center",
    )
