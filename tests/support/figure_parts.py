# SPDX-License-Identifier: Apache-2.0
"""What stands in a drawn figure: its words, its hatches, texts that cover each other."""

from __future__ import annotations

from typing import Any


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
    boxes = [(a.get_text(), a.get_window_extent(renderer)) for a in artists if a.get_text()]
    return [
        (one, other)
        for i, (one, box) in enumerate(boxes)
        for other, second in boxes[i + 1 :]
        if box.shrunk(0.96, 0.96).overlaps(second)
    ]
