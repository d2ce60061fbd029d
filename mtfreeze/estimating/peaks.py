# SPDX-License-Identifier: Apache-2.0
"""The most memory that a run takes in the core, read off the plans of its largest batches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..inputs.row_layout import RowLayout

__all__ = ["CorePeak"]

_CANDIDATES = 6
"""Batches that are asked for a plan: so many with most tokens, so many with the longest text."""


class CorePeak:
    """Follows the memory of a model through a run: arenas only grow, state follows the freezing.

    Parameters
    ----------
    core : _core.Model
        In the freeze state of each phase as it is asked.
    token_budget : int
        Of the run.
    how : mapping
        What its steps are computed in and what they keep: arguments of the core's plans.
    """

    def __init__(self, core: _core.Model, token_budget: int, how: Mapping[str, Any]) -> None:
        self._core, self._budget, self._how = core, token_budget, how
        self._arenas = np.zeros(4, dtype=np.int64)

    def add_batches(
        self,
        outputs: Sequence[str],
        lengths: Sequence[NDArray[np.int64]],
        features: Iterable[str],
        *,
        training: bool,
    ) -> None:
        """Let the arenas grow to the largest of these batches.

        Parameters
        ----------
        outputs : sequence of str
            As for ``core.plan``.
        lengths : sequence of (b,) int64 arrays
            Tokens of the sequences of each batch.
        features : iterable of str
            Outputs that the batches carry.
        training : bool
            Whether they are trained on.
        """
        if not lengths:
            return
        tokens = np.array([one.sum() for one in lengths])
        longest = np.array([one.max(initial=0) for one in lengths])
        chosen = {*np.argsort(-tokens)[:_CANDIDATES], *np.argsort(-longest)[:_CANDIDATES]}
        layout = RowLayout.of(self._core)
        for at in sorted(chosen):
            plan = self._core.plan(
                list(outputs),
                training=training,
                offsets=layout.offsets(lengths[at]),
                features=tuple(features),
                token_budget=self._budget,
                **(self._how if training else {}),
            )
            found = (
                plan.saved_bytes,
                plan.activation_grad_bytes,
                plan.worker_bytes,
                plan.shared_bytes,
            )
            self._arenas = np.maximum(self._arenas, found)

    def phase_bytes(self, heads: Sequence[str]) -> int:
        """Return what the model takes, state of what the heads' losses train now, and the arenas.

        Weights, the plans themselves, and the packed copies of weights for products of every
        precision that occurs are measured on the model of this object, which lets go of its state
        and arenas for that.
        """
        self._core.train_reset()
        layout = RowLayout.of(self._core)
        one = layout.offsets([layout.shortest])  # state does not depend on the batch
        training = bool(heads)
        outputs = list(heads) or [self._core.outputs()[0].name]
        plan = self._core.plan(outputs, training=training, offsets=one)
        state = plan.gradient_bytes + plan.moment_bytes + plan.row_bytes if training else 0
        return int(self._core.memory_info().bytes_now + state + self._arenas.sum())
