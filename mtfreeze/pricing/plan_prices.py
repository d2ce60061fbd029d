# SPDX-License-Identifier: Apache-2.0
"""FLOPs of any batch, exactly, from three plans of the core.

FLOPs are linear in the sequences, the tokens and the squared lengths of a batch, so plans of three
small batches give what each of these costs for given outputs and given features.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from .. import _core

__all__ = ["Flops", "PlanPrices", "form_bytes", "row_bytes", "sizes_of", "worth_keeping"]

Float64 = NDArray[np.float64]

_PROBES = (1, 2, 3)
"""Tokens of the one sequence of each batch that is priced."""

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


def sizes_of(lengths: ArrayLike) -> Float64:
    """Return sequences, tokens and squared lengths, (3,) float64, of sequences of these lengths.

    Examples
    --------
    >>> sizes_of([3, 2]).tolist()
    [2.0, 5.0, 13.0]
    """
    each = np.asarray(lengths, dtype=np.float64)
    return np.array([len(each), each.sum(), each @ each])


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
        self._known: dict[tuple[Any, ...], Float64] = {}

    def flops(
        self,
        outputs: Iterable[str],
        sizes: Float64,
        *,
        features: Iterable[str] = (),
        training: bool,
    ) -> Flops:
        """Return the FLOPs of a batch, or of many batches whose sizes were added up.

        Parameters
        ----------
        outputs : iterable of str
            Heads whose losses train, or outputs that are inferred.
        sizes : (3,) float64 array
            From `sizes_of`.
        features : iterable of str
            Outputs that the batches carry.
        training : bool
            Forward and backward, or forward only.
        """
        forward, dx, dw = self._unit_prices(tuple(outputs), tuple(features), training) @ sizes
        return Flops(float(forward), float(dx), float(dw))

    def _unit_prices(
        self, outputs: tuple[str, ...], features: tuple[str, ...], training: bool
    ) -> Float64:
        """Return (3, 3) float64: forward, dx, dw; of a sequence, a token, a squared length."""
        if self._version != self._core.version:
            self._version, self._known = self._core.version, {}
        key = (outputs, features, training)
        if key not in self._known:
            plans = [
                self._core.plan(
                    outputs,
                    training=training,
                    offsets={"tokens": np.array([0, length], dtype=np.int64)},
                    features=features,
                )
                for length in _PROBES
            ]
            one, two, three = np.array(
                [[p.forward_flops, p.dx_flops, p.dw_flops] for p in plans], dtype=np.float64
            )
            square = (three - 2 * two + one) / 2
            token = two - one - 3 * square
            self._known[key] = np.stack([one - token - square, token, square], axis=1)
        return self._known[key]


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
