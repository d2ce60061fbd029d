# SPDX-License-Identifier: Apache-2.0
"""What stands in a drawn figure: its words, its hatches, texts that cover each other."""

from __future__ import annotations

from typing import Any

import numpy as np


def words_of(figure: Any) -> str:
    """Return everything that is written in a figure, joined by lines."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    shown = [t.get_text() for t in figure.findobj(Text) if t.get_visible()]
    return "\n".join(text for text in shown if text)


def hatches_of(axes: Any) -> list[str]:
    """Return the hatches of all patches of axes, from left to right and from below."""
    patches = [p for p in axes.patches if p.get_hatch()]
    patches.sort(key=lambda p: (round(p.get_y() + p.get_height() / 2, 3), p.get_x()))
    return [p.get_hatch() for p in patches]


def overlaps(artists: list[Any], renderer: Any) -> list[tuple[str, str]]:
    """Return the pairs of texts that cover each other."""
    named = [artist for artist in artists if artist.get_text()]
    if not named:
        return []
    boxes = np.array([artist.get_window_extent(renderer).extents for artist in named])
    low, high = boxes[:, :2], boxes[:, 2:]
    within = low + 0.96 * (high - low)  # a touch at the edge covers nothing
    cover = (low[:, None] <= high) & (low <= within[:, None])
    found = np.argwhere(np.triu(cover.all(axis=2), k=1))
    return [(named[i].get_text(), named[j].get_text()) for i, j in found]
