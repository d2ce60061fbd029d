# SPDX-License-Identifier: Apache-2.0
"""Which unit computes which layers: ``backbone.layers[3]`` one, ``backbone.layers[0:12]`` several.

Every family calls the units of what it repeats so, from the input upward. Layers that apply the
same weights are one unit: they freeze and train together, so the backbone can be cut below it and
above it, not inside. Networks of convolutions have stages in place of layers, each of several
units, ``backbone.stages[2].blocks[0]`` and so on; here a stage counts as a layer.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from ..closest import counted, name_list
from ..errors import SelectorError
from ..quoting import quoted

__all__ = ["LayerUnits", "layer_range", "modules_of"]

_PATH = re.compile(
    r"backbone\.(?:layers\[(?P<first>\d+)(?::(?P<stop>\d+))?\]|stages\[(?P<stage>\d+)\]\.blocks\[\d+\])"
)


def layer_range(path: str) -> range | None:
    """Return the numbers of the layers that a unit computes; None for units of no layer.

    Examples
    --------
    >>> layer_range("backbone.layers[3]"), layer_range("backbone.layers[0:12]")
    (range(3, 4), range(0, 12))
    >>> layer_range("backbone.stages[2].blocks[5]")
    range(2, 3)
    >>> layer_range("backbone.embeddings") is None
    True
    """
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    first = int(match["first"] or match["stage"])
    return range(first, int(match["stop"]) if match["stop"] else first + 1)


def modules_of(body: Sequence[str]) -> tuple[str, ...]:
    """Return what stands beside the backbone, of all units that are neither head nor adapter.

    Examples
    --------
    >>> modules_of(["backbone.stem", "encoder.layers[0]", "encoder.layers[1]", "queries"])
    ('encoder', 'queries')
    """
    names = [re.split(r"[.\[]", path, maxsplit=1)[0] for path in body]
    return tuple(dict.fromkeys(name for name in names if name != "backbone"))


@dataclass(frozen=True)
class LayerUnits:
    """The layers of a backbone and the units that compute them.

    Attributes
    ----------
    positions : tuple of int
        Of the units that compute layers, among all units.
    ranges : tuple of range
        The layers that each of them computes.
    word : str
        What they are called: ``"layers"`` or ``"stages"``.

    Examples
    --------
    >>> paths = ["backbone.embeddings", "backbone.layers[0:6]", "backbone.layers[6]"]
    >>> shared = LayerUnits.of(paths)
    >>> shared.n, shared.cuts, shared.cut_at_most(5), shared.units_of("layers[6]", [6])
    (7, (0, 6, 7), 0, [2])
    """

    positions: tuple[int, ...]
    ranges: tuple[range, ...]
    word: str = "layers"

    @classmethod
    def of(cls, paths: Sequence[str]) -> LayerUnits:
        """Return those of a model whose units have these paths, from the input upward."""
        found = [(at, layer_range(path)) for at, path in enumerate(paths)]
        return cls(
            tuple(at for at, numbers in found if numbers is not None),
            tuple(numbers for _, numbers in found if numbers is not None),
            "stages" if any(path.startswith("backbone.stages[") for path in paths) else "layers",
        )

    @property
    def cuts(self) -> tuple[int, ...]:
        """Numbers k for which the layers below k and the others have no weights in common.

        From 0 to the number of layers.
        """
        return (0, *dict.fromkeys(numbers.stop for numbers in self.ranges))

    @property
    def n(self) -> int:
        """How many layers there are."""
        return self.cuts[-1]

    @property
    def inner_cuts(self) -> tuple[int, ...]:
        """The cuts with layers on both sides."""
        return self.cuts[1:-1]

    @property
    def shared(self) -> tuple[range, ...]:
        """The layers that have their weights in common with others, by unit."""
        return tuple(numbers for numbers in self.ranges if len(numbers) > 1)

    def cut_at_most(self, k: int) -> int:
        """Return the highest cut that is not above `k`."""
        return max(cut for cut in self.cuts if cut <= k)

    def shared_text(self) -> str:
        """Return which layers share their weights, in words; ``""`` if none do.

        Examples
        --------
        >>> LayerUnits.of(["backbone.layers[0:6]", "backbone.layers[6:12]"]).shared_text()
        'layers 0-5 share their weights, and so do layers 6-11'
        """
        spans = [f"layers {numbers[0]}-{numbers[-1]}" for numbers in self.shared]
        if not spans:
            return ""
        return ", and so do ".join([f"{spans[0]} share their weights", *spans[1:]])

    def units_of(self, text: str, layers: Collection[int]) -> list[int]:
        """Return the positions of the units that compute these layers and no others.

        Parameters
        ----------
        text : str
            The selector that means these layers, for the message.
        layers : collection of int
            From 0.

        Raises
        ------
        SelectorError
            If a unit computes some of them and others, too.
        """
        chosen = []
        for position, own in zip(self.positions, self.ranges, strict=True):
            n_inside = sum(number in layers for number in own)
            if 0 < n_inside < len(own):
                unit = f"backbone.layers[{own.start}:{own.stop}]"
                raise SelectorError(
                    f"{quoted(text)}: expected all layers that share their weights, or none; found "
                    f"{n_inside} of {counted(len(own), 'layer')} ({own.start} to {own[-1]}): what "
                    f"freezes one freezes all of them; choose {quoted(unit)}, or one of "
                    f"{name_list([f'backbone[:{cut}]' for cut in self.cuts])}"
                )
            if n_inside:
                chosen.append(position)
        return chosen
