# SPDX-License-Identifier: Apache-2.0
"""Boxes on an image: what was found where and how surely, and beside it what there is.

Each label has a colour and dashes of its own; names and scores stand at the upper left corners.
What the data say is drawn thin and white, beneath, without names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from ..checks import as_items, check_text, typed
from ..closest import counted
from ..data.boxes import Box
from ..errors import ConfigError
from ..images import Picture
from ..printable import printable
from ..quoting import cut
from .sheets import new_sheet
from .style import EDGE, line_look
from .words import text_table
from .writing import Ax, check_place, give_picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ShownBox", "boxes_figure", "boxes_text", "plot_boxes"]

_LONGER = 6.0
"""Inches of the longer side."""

_LETTERS = 40
"""Of a name that are shown."""

_KEYS = ("scores", "labels", "boxes")


@dataclass(frozen=True)
class ShownBox:
    """A box with its name, corners in pixels of the image, and maybe a score."""

    label: str
    left: float
    top: float
    right: float
    bottom: float
    score: float | None = None

    @property
    def words(self) -> str:
        """Its name, and the score if it has one."""
        name = printable(cut(self.label, _LETTERS))
        return name if self.score is None else f"{name} {self.score:.0%}"


def boxes_figure(
    pixels: NDArray[np.uint8],
    found: Sequence[ShownBox],
    right: Sequence[ShownBox] = (),
    *,
    title: str = "",
    ax: object = None,
) -> Figure:
    """Draw an image, uint8 (height, width, 3), with boxes on it.

    Parameters
    ----------
    pixels : (h, w, 3) uint8 array
    found : sequence of ShownBox
        Drawn with their names, the last on top.
    right : sequence of ShownBox
        What there is.
    title : str
        Above the image.
    ax : Axes, optional
        The user's; see `new_sheet`.
    """
    from matplotlib.patches import Rectangle

    height, width = pixels.shape[:2]
    scale = _LONGER / max(height, width)
    size = max(2.0, width * scale), max(2.0, height * scale) + 0.5 * bool(title)
    sheet = new_sheet(*size, ["the image"], ax)
    (axes,) = sheet.axes
    axes.imshow(pixels)
    axes.set_axis_off()
    for one in right:
        place = (one.left, one.top), one.right - one.left, one.bottom - one.top
        axes.add_patch(Rectangle(*place, fill=False, edgecolor=EDGE, linewidth=2.6))
        axes.add_patch(Rectangle(*place, fill=False, edgecolor="white", linewidth=1.2))
    looks = {name: line_look(i) for i, name in enumerate(sorted({one.label for one in found}))}
    for one in found:
        look = looks[one.label]
        place = (one.left, one.top), one.right - one.left, one.bottom - one.top
        style = {"linewidth": 1.8, "linestyle": look["linestyle"], "edgecolor": look["color"]}
        axes.add_patch(Rectangle(*place, fill=False, **style))
        axes.text(
            max(0.0, one.left),
            max(0.0, one.top),
            one.words,
            fontsize=7.5,
            color="white",
            verticalalignment="top",
            bbox={"facecolor": look["color"], "edgecolor": "none", "pad": 1.2, "alpha": 0.85},
        )
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    if title:
        axes.set_title(title, fontsize=10)
    return sheet.figure


def boxes_text(
    found: Sequence[ShownBox], right: Sequence[ShownBox] = (), *, title: str = ""
) -> str:
    """Return the same facts in words: a table of what was found, and one of what there is."""
    lines = [title] if title else []
    for what, boxes in (("found", found), ("in the data", right)):
        if boxes or what == "found":
            rows = [
                (one.words, *(f"{x:.0f}" for x in (one.left, one.top, one.right, one.bottom)))
                for one in boxes
            ]
            table = text_table(("", "left", "top", "right", "bottom"), rows) if rows else ""
            lines += [f"{what}: {counted(len(boxes), 'thing')}", table]
    return "\n".join(lines)


@overload
def plot_boxes(
    image: object, found: object, path: None = None, *, right: object = (), title: str = ""
) -> Figure: ...
@overload
def plot_boxes(
    image: object,
    found: object,
    path: str | os.PathLike[str],
    *,
    right: object = (),
    title: str = "",
) -> Path: ...
@overload
def plot_boxes(
    image: object, found: object, path: None = None, *, right: object = (), title: str = "", ax: Ax
) -> Ax: ...
def plot_boxes(
    image: object,
    found: object,
    path: str | os.PathLike[str] | None = None,
    *,
    right: object = (),
    title: str = "",
    ax: Any = None,
) -> Any:
    """Draw what was found on an image.

    Parameters
    ----------
    image : path, image of Pillow, uint8 array or Picture
        The image.
    found : dict or list of Box
        What ``predict`` of a detection head gave for it, or boxes.
    path : path, optional
        The picture; the ending (.png, .svg, .pdf) says the format. Folders are made.
    right : dict or list of Box
        What there is, drawn in white beneath.
    title : str
        Above the image.
    ax : Axes, optional
        To draw in.

    Returns
    -------
    Figure, Path or Axes
        Without a path a figure of matplotlib, which a notebook shows; with one the file. That is
        without matplotlib (extra ``viz``) a .txt beside it with the same facts, with a
        PictureWarning. Drawn in `ax`, that.

    Raises
    ------
    TypeError
        If the boxes are none.
    DataError
        If the image cannot be read.
    ConfigError
        If the ending is not that of a known format, a dictionary is not one of ``predict``, there
        are a path and `ax`, or matplotlib is missing and there is no path.

    Examples
    --------
    >>> import numpy as np
    >>> scene = np.full((60, 80, 3), 128, np.uint8)
    >>> mtf.plot_boxes(scene, [mtf.Box("cat", 10, 10, 40, 50)], "boxes.png").name
    'boxes.png'
    """
    place = check_place(path, ax)
    title = cut(check_text("title", title))
    told, there = _shown("found", found), _shown("right", right)
    picture = image if isinstance(image, Picture) else Picture(image)
    pixels = picture.decode()
    return give_picture(
        lambda ax: boxes_figure(pixels, told[::-1], there, title=title, ax=ax),
        lambda: boxes_text(told, there, title=title),
        place,
        ax,
    )


def _shown(name: str, boxes: Any) -> list[ShownBox]:
    """Return boxes as they are drawn, of any form that a user has them in."""
    if isinstance(boxes, Mapping):
        if set(boxes) != set(_KEYS) or len({len(boxes[key]) for key in _KEYS}) > 1:
            raise ConfigError(
                f"{name} must be what predict gives for one image, a dictionary of as many scores, "
                f"labels and boxes; found {typed(boxes)} with the keys {sorted(map(str, boxes))}; "
                "give it as it is, or a list of mtf.Box"
            )
        rows = zip(boxes["labels"], boxes["boxes"], boxes["scores"], strict=True)
        return [
            ShownBox(str(label), float(x0), float(y0), float(x1), float(y1), float(score))
            for label, (x0, y0, x1, y1), score in rows
        ]
    items = None if isinstance(boxes, str) else as_items(boxes)
    listed = None if items is None else list(items)
    if listed is None or not all(isinstance(one, Box) for one in listed):
        raise TypeError(
            f"{name} must be what predict gives for one image, or a list of mtf.Box; found "
            f"{typed(boxes)}; of several images draw each by itself"
        )
    return [ShownBox(str(b.label), b.left, b.top, b.right, b.bottom) for b in listed]
