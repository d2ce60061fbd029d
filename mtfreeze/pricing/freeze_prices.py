# SPDX-License-Identifier: Apache-2.0
"""What the present freeze choice runs and keeps, beside training everything: two plans of the core.

The numbers are those of the plan that the core executes, for one micro-batch of 4,096 tokens: 128
texts of 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..closest import counted
from ..freezing.state import FreezeState, masks
from ..freezing.unit_states import UnitState, unit_states
from ..inputs.row_layout import RowLayout

if TYPE_CHECKING:
    from .._core import PlanInfo
    from ..freezing.state import FreezeMasks
    from ..model.state import ModelState

__all__ = ["Prices", "price"]

N_TOKENS = 4096
"""Of the micro-batch that is priced: 128 texts of 32 tokens, or as many images as it takes."""

STATE_BYTES = 12
"""Of a trainable float32 value: its gradient and two moments."""


@dataclass(frozen=True)
class Prices:
    """Two plans of the same model.

    Attributes
    ----------
    now : PlanInfo
        With the present freeze state.
    full : PlanInfo
        With nothing frozen.
    active : tuple of str
        Heads whose losses train something: those that are not frozen.
    units : tuple of UnitState
        The units with their present state.
    step : str
        The step that is priced, in words.
    """

    now: PlanInfo
    full: PlanInfo
    active: tuple[str, ...]
    units: tuple[UnitState, ...]
    step: str

    def saved_by(self, position: int) -> int:
        """Return the bytes that freezing saves in one unit, against training everything."""
        state = STATE_BYTES * self.units[position].n_frozen
        return state + self.full.units[position].saved_bytes - self.now.units[position].saved_bytes

    @property
    def work(self) -> tuple[float, float]:
        """FLOPs of forward and backward pass, now and with nothing frozen."""
        now, full = self.now, self.full
        return (
            now.forward_flops + now.dx_flops + now.dw_flops,
            full.forward_flops + full.dx_flops + full.dw_flops,
        )


def price(model: ModelState) -> Prices:
    """Ask the core for the plans of the present freeze state and of training everything.

    A frozen head's task contributes no loss, so it asks for no backward pass. A model without
    heads is priced as if a loss on its pooled vector trained it.
    """
    state = model.freeze_state()
    active = tuple(name for name, head in model.heads.items() if not head.frozen)
    everything = list(model.heads) or ["pooled"]
    units = tuple(unit_states(model))
    trains = bool(model.trainable("all")) and (bool(active) or not model.heads)
    now = _plan(model, (list(active) or everything) if trains else everything, trains)
    if not state.frozen and not state.frozen_heads:
        return Prices(now, now, active, units, _step(model))
    full = _plan(model, everything, True, masks(model, FreezeState()))
    return Prices(now, full, active, units, _step(model))


def _plan(
    model: ModelState, outputs: list[str], training: bool, frozen: FreezeMasks | None = None
) -> PlanInfo:
    offsets = RowLayout.of(model._core).offsets([model.usual_length] * _n_sequences(model))
    return model._core.plan(
        outputs, training=training, offsets=offsets, token_budget=N_TOKENS, frozen=frozen
    )


def _n_sequences(model: ModelState) -> int:
    """Return how many texts or images of the usual length a step has that is priced."""
    rows = N_TOKENS * RowLayout.of(model._core).rows_per_token
    return rows // model.usual_length or 1


def _step(model: ModelState) -> str:
    return counted(_n_sequences(model), "image") if model.reads_images else f"{N_TOKENS:,} tokens"
