# SPDX-License-Identifier: Apache-2.0
"""The picture of several freeze modes: a grid, one row a mode, one column a unit.

Styles are those of ``plots.py``: frozen cross-hatched, trainable hatched diagonally. A partly
trainable unit is cut in proportion. Behind each row stand the parameters that train.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .notices import PictureWarning, warn
from .plots import _EDGE, _STYLES, _legend
from .pricing import in_values

if TYPE_CHECKING:
    from .model import MultiTaskModel

__all__ = ["draw_modes"]


def draw_modes(models: Mapping[str, MultiTaskModel], path: str | os.PathLike[str]) -> Path:
    """Draw what each mode froze.

    Parameters
    ----------
    models : mapping of str to MultiTaskModel
        By mode; all with the same units.
    path : path
        The picture; its folder is made.

    Returns
    -------
    Path
        The file; without matplotlib a text file with the same facts, with a PictureWarning.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return _as_text(models, place)
    n_units = max(len(model.index.unit_paths) for model in models.values())
    figure = Figure(figsize=(3.2 + 0.75 * n_units, 1.7 + 0.42 * len(models)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for row, model in enumerate(models.values()):
        for column, unit in enumerate(model._core.units()):
            share = 1.0 if unit.frozen else unit.n_values_frozen / max(1, unit.n_values)
            _draw_cell(axes, row, column, share)
        values = sum(param.size for param in model._core.params() if not param.frozen)
        axes.text(n_units - 0.35, row, f"{in_values(values)} train", va="center", fontsize=8)
    _label(axes, models, n_units)
    _legend(axes)
    figure.savefig(place, dpi=150)
    return place


def _draw_cell(axes: Any, row: int, column: int, share: float) -> None:
    """Draw one unit of one mode, its frozen share first."""
    parts = [("frozen", share), ("trainable", 1.0 - share)]
    left = column - 0.44
    for style, width in parts:
        if width > 0:
            axes.barh(
                row,
                0.88 * width,
                left=left,
                height=0.74,
                edgecolor=_EDGE,
                linewidth=0.8,
                **_STYLES[style],
            )
            left += 0.88 * width


def _label(axes: Any, models: Mapping[str, MultiTaskModel], n_units: int) -> None:
    first = next(iter(models.values()))
    names = [path.removeprefix("backbone.") for path in first.index.unit_paths]
    names = [name.replace("layers[", "layer ").removesuffix("]") for name in names]
    axes.set_xticks(range(n_units), names, rotation=35, ha="right", fontsize=8)
    axes.set_yticks(range(len(models)), list(models), fontsize=9)
    axes.set_ylabel("mode: what is frozen", fontsize=9)
    axes.invert_yaxis()
    axes.set_xlim(-0.6, n_units + 0.9)
    axes.tick_params(length=0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.set_title("What each freeze mode trains, from the input to the heads", fontsize=10)


def _as_text(models: Mapping[str, MultiTaskModel], place: Path) -> Path:
    text = place.with_suffix(".txt")
    blocks = [f"mode {mode}\n{model.summary()}\n" for mode, model in models.items()]
    text.write_text("\n".join(blocks), encoding="utf-8")
    warn(
        f"pictures need matplotlib, which is not installed: run `pip install mtfreeze[viz]`; "
        f"the facts were written to {str(text)!r} instead of {str(place)!r}",
        PictureWarning,
    )
    return text
