# SPDX-License-Identifier: Apache-2.0
"""Draw what transfer learning is, and the three ways of it: docs/transfer.png, docs/ways.png.

    python tools/draw_ways.py [FOLDER]

Drawings, no measurements: the colours and hatches of states are those of every picture here.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from mtfreeze.pictures.sheets import Sheet, state_legend
from mtfreeze.pictures.style import (
    EDGE,
    FROZEN,
    TRAINABLE,
    new_figure,
    state_look,
)

DOCS = Path(__file__).resolve().parent.parent / "docs"
LAYERS = ("embeddings", "layer 0", "layer 1", "layer 2", "layer 3")
WIDTH, HEIGHT, GAP, COLUMN = 2.0, 0.62, 0.14, 4.2
ASKED = {"facecolor": "white", "edgecolor": EDGE, "linewidth": 1.0, "linestyle": ":"}
"""Of what is still to be chosen."""
LEGEND = {FROZEN: "frozen: no gradient, bits stay", TRAINABLE: "trains"}


def stack(axes: Any, x: float, states: list[str], head: str, head_state: str) -> float:
    """Draw a backbone and its head, from the bottom up; return the height of the top."""
    from matplotlib.patches import FancyBboxPatch

    boxes = [*zip(LAYERS, states, strict=True), (head, head_state)]
    for number, (name, state) in enumerate(boxes):
        last = number == len(LAYERS)
        y = number * (HEIGHT + GAP) + (0.25 if last else 0.0)
        width = WIDTH * (0.7 if last else 1.0)
        axes.add_patch(
            FancyBboxPatch(
                (x - width / 2, y), width, HEIGHT, boxstyle="round,pad=0,rounding_size=0.08",
                **(state_look(state) if state else ASKED),
            )
        )  # fmt: skip
        label = {"boxstyle": "round,pad=0.2", "facecolor": "white", "edgecolor": "none"}
        axes.text(x, y + HEIGHT / 2, name, ha="center", va="center", fontsize=9, bbox=label)
    return len(LAYERS) * (HEIGHT + GAP) + 0.25 + HEIGHT


def panel(figure: Any, columns: int) -> Any:
    """Return axes without ticks, of so many stacks side by side."""
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(0, columns * COLUMN)
    axes.set_ylim(-1.3, 5.3)
    axes.set_aspect("equal")
    return axes


def words(axes: Any, x: float, y: float, text: str, **how: Any) -> None:
    """Write lines of text around a point."""
    axes.text(x, y, text, ha="center", va="top", fontsize=9, color=EDGE, linespacing=1.35, **how)


def transfer() -> Any:
    """Return the drawing of what transfer learning is."""
    figure = new_figure(6.4, 5.0)
    axes = panel(figure, 2)
    left, right = COLUMN * 0.5, COLUMN * 1.5
    top = stack(axes, left, [TRAINABLE] * len(LAYERS), "old task", TRAINABLE)
    stack(axes, right, [""] * len(LAYERS), "new head", TRAINABLE)
    for title, x in (("pre-training", left), ("your fine-tuning", right)):
        axes.text(x, top + 0.2, title, ha="center", va="bottom", fontsize=11, weight="bold")
    words(axes, left, -0.25, "millions of texts or images,\nweeks of somebody else's machine")
    words(axes, right, -0.25, "a few hundred of your own rows,\nminutes of yours")
    arrow = {"arrowstyle": "-|>", "color": EDGE, "linewidth": 1.6}
    for number in range(len(LAYERS)):
        y = number * (HEIGHT + GAP) + HEIGHT / 2
        axes.annotate("", (right - 1.1, y), (left + 1.1, y), arrowprops=arrow)
    axes.text(COLUMN, 4.1, "weights are\ncopied", ha="center", va="center", fontsize=9)
    words(axes, COLUMN, -1.0, "dotted: freeze it, or train it?", style="italic")
    return figure


def ways() -> Any:
    """Return the drawing of the three ways."""
    figure = new_figure(9.4, 5.0)
    axes = panel(figure, 3)
    half = [FROZEN] * 3 + [TRAINABLE] * 2
    drawn = (
        ("added layers on a frozen model", [FROZEN] * len(LAYERS),
         'freeze("backbone")\n'
         "the backbone is computed once a row;\nno other task on it can suffer"),
        ("a part frozen", half,
         'freeze("backbone[:2]")\n'
         "the frozen part is computed once a row;\nless is learned, less forgotten"),
        ("everything updated", [TRAINABLE] * len(LAYERS),
         'unfreeze()\nmost can be learned, and forgotten;\nevery step goes through all layers'),
    )  # fmt: skip
    for number, (title, states, said) in enumerate(drawn):
        x = COLUMN * (number + 0.5)
        top = stack(axes, x, states, "new head", TRAINABLE)
        axes.text(x, top + 0.2, title, ha="center", va="bottom", fontsize=10, weight="bold")
        words(axes, x, -0.25, said)
    state_legend(Sheet(figure, [axes], own=True), LEGEND)
    return figure


def main() -> None:
    """Write both drawings."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else DOCS
    for name, figure in (("transfer", transfer()), ("ways", ways())):
        figure.savefig(folder / f"{name}.png", dpi=110)


if __name__ == "__main__":
    main()
