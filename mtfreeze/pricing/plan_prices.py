# SPDX-License-Identifier: Apache-2.0
"""FLOPs of any batch, exactly, from a few plans of the core.

Where every token sees its whole text, FLOPs are linear in the sequences, the tokens and the
squared lengths of a batch, so plans of three short texts give what each of these costs for given
outputs and given features. Where attention has a window they are not, and each length is priced
once. In the row spaces of heads every row costs the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..inputs.row_layout import RowLayout

if TYPE_CHECKING:
    from .. import _core

__all__ = ["Flops", "PlanPrices", "form_bytes", "row_bytes", "sizes_of", "worth_keeping"]

Float64 = NDArray[np.float64]

_PROBES = 3
"""Lengths that are priced, from the shortest on, each as a batch of one sequence."""

_WORTH = 32.0
"""FLOPs that a byte of features must spare: reading is dearer than, for instance, computing the
embeddings of a token again."""

_USUAL_LENGTH = 32
"""Tokens of the text that this is judged by."""


@dataclass(frozen=True)
class Flops:
    """FLOPs of calls of the core: forward, backward to inputs, backward to weights."""

    forward: float = 0.0
    dx: float = 0.0
    dw: float = 0.0

    @property
    def total(self) -> float:
        """All three."""
        return self.forward + self.dx + self.dw

    def __add__(self, other: Flops) -> Flops:
        return Flops(self.forward + other.forward, self.dx + other.dx, self.dw + other.dw)


Sizes = Counter[int | str]
"""Sequences by length, and rows by the name of a row space of heads; those of batches add up."""


def sizes_of(lengths: ArrayLike, of_heads: Mapping[str, int] | None = None) -> Sizes:
    """Return how many sequences there are of each length, with the rows that heads read of them.

    Examples
    --------
    >>> sizes_of([3, 2, 3]) + sizes_of([2, 2], {"pairs": 1})
    Counter({2: 3, 3: 2, 'pairs': 1})
    """
    found, counts = np.unique(np.asarray(lengths, dtype=np.int64), return_counts=True)
    sizes: Sizes = Counter(dict(zip(found.tolist(), counts.tolist(), strict=True)))
    sizes.update(of_heads or {})
    return sizes


class PlanPrices:
    """FLOPs of batches of any lengths under the freeze state in force.

    Parameters
    ----------
    core : _core.Model
        The model; it is not changed. Plans are asked for again when its version has risen.
    """

    def __init__(self, core: _core.Model) -> None:
        self._core, self._layout = core, RowLayout.of(core)
        self._version = -1
        self._known: dict[tuple[Any, ...], Float64 | None] = {}
        self._single: dict[tuple[Any, ...], Float64] = {}

    def flops(
        self,
        outputs: Iterable[str],
        sizes: Sizes,
        *,
        features: Iterable[str] = (),
        training: bool,
    ) -> Flops:
        """Return the FLOPs of a batch, or of many batches whose sizes were added up.

        Parameters
        ----------
        outputs : iterable of str
            Heads whose losses train, or outputs that are inferred.
        sizes : Counter
            From `sizes_of`.
        features : iterable of str
            Outputs that the batches carry.
        training : bool
            Forward and backward, or forward only.
        """
        if self._version != self._core.version:
            self._version, self._known, self._single = self._core.version, {}, {}
        key = (tuple(outputs), tuple(features), training)
        if key not in self._known:
            self._known[key] = self._unit_prices(*key)
        units = self._known[key]
        texts = {one: count for one, count in sizes.items() if isinstance(one, int)}
        if units is not None:
            lengths = np.array([[1, n, n * n] for n in texts], dtype=np.float64).reshape(-1, 3)
            prices = units @ (np.array([*texts.values()], dtype=np.float64) @ lengths)
        else:
            one = [count * self._price(*key, length) for length, count in texts.items()]
            prices = np.sum(one, axis=0) if one else np.zeros(3)
        for space, count in sizes.items():
            if isinstance(space, str):
                prices = prices + count * self._row_price(*key, space)
        return Flops(*map(float, prices))

    def _price(
        self,
        outputs: tuple[str, ...],
        features: tuple[str, ...],
        training: bool,
        length: int,
        offsets: Mapping[str, tuple[int, ...]] | None = None,
    ) -> Float64:
        """Return FLOPs forward, dx and dw of one text of so many tokens, (3,) float64.

        Or of the batch of these offsets, by row space.
        """
        wanted = self._layout_of([length]) if offsets is None else offsets
        key = (outputs, features, training, *wanted.items())
        if key not in self._single:
            plan = self._core.plan(
                outputs,
                training=training,
                offsets={name: np.array(one, dtype=np.int64) for name, one in wanted.items()},
                features=features,
            )
            self._single[key] = np.array([plan.forward_flops, plan.dx_flops, plan.dw_flops])
        return self._single[key]

    def _layout_of(self, lengths: list[int]) -> dict[str, tuple[int, ...]]:
        """Return the offsets of a batch of these lengths by row space."""
        return {name: tuple(one.tolist()) for name, one in self._layout.offsets(lengths).items()}

    def _row_price(
        self, outputs: tuple[str, ...], features: tuple[str, ...], training: bool, space: str
    ) -> Float64:
        """Return the FLOPs of one more row in a row space of heads, (3,) float64."""
        two = self._layout_of([self._layout.shortest] * 2)
        without, with_one = (
            self._price(outputs, features, training, 1, two | {space: (0, n, n)}) for n in (0, 1)
        )
        return with_one - without

    def _unit_prices(
        self, outputs: tuple[str, ...], features: tuple[str, ...], training: bool
    ) -> Float64 | None:
        """Return (3, 3) float64: forward, dx, dw; of a sequence, a token, a squared length.

        None: they do not give the price of the longest text.
        """
        shortest, longest = self._layout.shortest, self._layout.longest
        if longest < shortest + _PROBES:  # images of one size
            return None
        lengths = range(shortest, shortest + _PROBES)
        one, two, three = (self._price(outputs, features, training, n) for n in lengths)
        square = (three - 2 * two + one) / 2
        token = two - one - (2 * shortest + 1) * square
        sequence = one - shortest * token - shortest**2 * square
        units = np.stack([sequence, token, square], axis=1)
        expected = self._price(outputs, features, training, longest)
        found = units @ np.array([1, longest, longest**2], dtype=np.float64)
        return units if np.allclose(found, expected, rtol=1e-9, atol=0) else None


def form_bytes(core: _core.Model, heads: Sequence[str], how: Mapping[str, Any]) -> int:
    """Return the bytes of packed weights that a step reads, forward and backward.

    Parameters
    ----------
    core : _core.Model
        In the freeze state that is meant.
    heads : sequence of str
        Whose losses train; none of them: those that computing every head reads.
    how : mapping
        What a step is computed in: the arguments of ``core.plan``.
    """
    layout = RowLayout.of(core)
    one = layout.offsets([layout.shortest])
    if heads:
        return core.plan(list(heads), training=True, offsets=one, **how).form_bytes
    outputs = [info.name for info in core.outputs()]
    return core.plan(outputs, training=False, offsets=one).form_bytes


def row_bytes(core: _core.Model, outputs: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the row space of outputs, such as ``"tokens"``, and the bytes of a row."""
    known = {info.name: (info.space, 4 * info.width) for info in core.outputs()}
    return {name: known[name] for name in outputs}


def worth_keeping(core: _core.Model, outputs: Sequence[str]) -> bool:
    """Say whether reading what was stored of these outputs is cheaper than computing them."""
    if not outputs:
        return False
    layout = RowLayout.of(core)
    offsets = layout.offsets([min(layout.shortest - 1 + _USUAL_LENGTH, layout.longest)])
    flops = core.plan(list(outputs), training=False, offsets=offsets).forward_flops
    rows = {name: int(one[-1]) for name, one in offsets.items()}
    n_bytes = sum(size * rows.get(space, 1) for space, size in row_bytes(core, outputs).values())
    return flops >= _WORTH * n_bytes
