# SPDX-License-Identifier: Apache-2.0
"""FLOPs of any batch, exactly, from a few plans of the core.

FLOPs of a batch are those of its sequences, each alone, and those of a sequence are a square of its
length: three small plans give them for any length. Where attention sees a window only, that holds
up to the window; then every length that occurs is asked for, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from .. import _core

__all__ = ["Flops", "PlanPrices", "Sizes", "form_bytes", "row_bytes", "sizes_of", "worth_keeping"]

Float64 = NDArray[np.float64]

_PROBES = (1, 2, 3)
"""Lengths of the sequences that give the square."""

Sizes = Counter[int]
"""How many sequences of each length: of a batch, or of many batches added up."""

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


def sizes_of(lengths: ArrayLike) -> Sizes:
    """Count the sequences of each length.

    Examples
    --------
    >>> sizes_of([3, 2, 3])
    Counter({3: 2, 2: 1})
    """
    return Counter(np.asarray(lengths, dtype=np.int64).tolist())


class PlanPrices:
    """FLOPs of batches of any lengths under the freeze state in force.

    Parameters
    ----------
    core : _core.Model
        The model; it is not changed. Plans are asked for again when its version has risen.
    """

    def __init__(self, core: _core.Model) -> None:
        self._core = core
        self._version = -1
        self._known: dict[tuple[Any, ...], _PricesByLength] = {}

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
        sizes : Counter of int
            From `sizes_of`.
        features : iterable of str
            Outputs that the batches carry.
        training : bool
            Forward and backward, or forward only.
        """
        if self._version != self._core.version:
            self._version, self._known = self._core.version, {}
        key = (tuple(outputs), tuple(features), training)
        if key not in self._known:
            self._known[key] = _PricesByLength(self._core, *key)
        forward, dx, dw = self._known[key].total(sizes)
        return Flops(float(forward), float(dx), float(dw))


class _PricesByLength:
    """FLOPs of sequences by their length, for one choice of outputs and features."""

    def __init__(
        self,
        core: _core.Model,
        outputs: tuple[str, ...],
        features: tuple[str, ...],
        training: bool,
    ) -> None:
        self._core = core
        self._asked: dict[str, Any] = {
            "outputs": outputs,
            "features": features,
            "training": training,
        }
        one, two, three = (self._of(length) for length in _PROBES)
        square = (three - 2 * two + one) / 2
        token = two - one - 3 * square
        self._square = np.stack([one - token - square, token, square])
        self._square_up_to = _PROBES[-1]
        self._others: dict[int, Float64] = {}

    def _of(self, length: int) -> Float64:
        """Ask for one sequence: (3,) forward, dx, dw."""
        offsets = {"tokens": np.array([0, length], dtype=np.int64)}
        plan = self._core.plan(**self._asked, offsets=offsets)
        return np.array([plan.forward_flops, plan.dx_flops, plan.dw_flops], dtype=np.float64)

    def _holds(self, longest: int) -> bool:
        """Whether the square holds up to a length: a window makes all longer ones cheaper."""
        if longest > self._square_up_to and longest not in self._others:
            found = self._of(longest)
            if np.array_equal(found, np.array([1, longest, longest**2]) @ self._square):
                self._square_up_to = longest
            else:
                self._others[longest] = found
        return longest <= self._square_up_to

    def total(self, sizes: Sizes) -> Float64:
        """Return the sum over all sequences, (3,)."""
        lengths = np.fromiter(sizes.keys(), np.float64, len(sizes))
        counts = np.fromiter(sizes.values(), np.float64, len(sizes))
        if not sizes or self._holds(max(sizes)):
            powers = np.stack([np.ones_like(lengths), lengths, lengths**2])
            whole: Float64 = (powers @ counts) @ self._square
            return whole
        for length in sizes.keys() - self._others.keys():
            self._others[length] = self._of(length)
        each = np.stack([self._others[length] for length in sizes])
        total: Float64 = counts @ each
        return total


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
    one = {"tokens": np.array([0, 1], dtype=np.int64)}
    if heads:
        return core.plan(list(heads), training=True, offsets=one, **how).form_bytes
    outputs = [info.name for info in core.outputs()]
    return core.plan(outputs, training=False, offsets=one).form_bytes


def row_bytes(core: _core.Model, outputs: Iterable[str]) -> dict[str, tuple[str, int]]:
    """Return the row space of outputs, ``"tokens"`` or ``"sequences"``, and the bytes of a row."""
    known = {info.name: (info.space, 4 * info.width) for info in core.outputs()}
    return {name: known[name] for name in outputs}


def worth_keeping(core: _core.Model, outputs: Sequence[str]) -> bool:
    """Say whether reading what was stored of these outputs is cheaper than computing them."""
    if not outputs:
        return False
    longest = {space.name: space.max_length for space in core.spaces()}
    length = min(_USUAL_LENGTH, longest["tokens"])
    offsets = {"tokens": np.array([0, length], dtype=np.int64)}
    flops = core.plan(list(outputs), training=False, offsets=offsets).forward_flops
    sizes = row_bytes(core, outputs).values()
    n_bytes = sum(size * (length if space == "tokens" else 1) for space, size in sizes)
    return flops >= _WORTH * n_bytes
