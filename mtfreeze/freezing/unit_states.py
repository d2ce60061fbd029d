# SPDX-License-Identifier: Apache-2.0
"""What a freeze state makes of each unit, in plain values: for lines of text, pictures, files."""

from __future__ import annotations

from dataclasses import dataclass

from ..adapters.adapter import UNITS
from .state import Freezable, FreezeState, masks

__all__ = ["UnitState", "unit_states"]


@dataclass(frozen=True)
class UnitState:
    """One unit of a model under one freeze state.

    Attributes
    ----------
    path : str
        E.g. ``"backbone.layers[2]"``, or the head's name.
    n_values, n_frozen : int
        Values of its parameters, and how many of them are frozen. Statistics of batch norms are no
        parameters: they have no gradient, so nothing trains them.
    is_head : bool
    empty_frozen : bool
        Of a unit without parameters: whether it is frozen.
    """

    path: str
    n_values: int
    n_frozen: int
    is_head: bool
    empty_frozen: bool = False

    @property
    def in_body(self) -> bool:
        """Whether it is neither a head nor an adapter."""
        return not self.is_head and self.path not in UNITS

    @property
    def frozen(self) -> bool:
        """Whether all of it is frozen."""
        return self.n_frozen == self.n_values if self.n_values else self.empty_frozen

    @property
    def state(self) -> str:
        """``"frozen"``, ``"partly"`` or ``"trainable"``."""
        if self.frozen:
            return "frozen"
        return "partly" if self.n_frozen else "trainable"


def unit_states(model: Freezable, state: FreezeState | None = None) -> list[UnitState]:
    """Return the units as they are, or as they would be in `state`; the model is left alone."""
    units, infos = model._core.units(), model._core.params()
    if state is None:
        frozen, whole = [one.frozen for one in infos], [one.frozen for one in units]
    else:
        params, flags = masks(model, state)
        frozen, whole = params.astype(bool).tolist(), flags.astype(bool).tolist()
    n_values, n_frozen = [0] * len(units), [0] * len(units)
    for info, still in zip(infos, frozen, strict=True):
        if not info.is_buffer:
            n_values[info.unit] += info.size
            n_frozen[info.unit] += info.size if still else 0
    return [
        UnitState(unit.path, size, n, unit.is_head, not size and still)
        for unit, size, n, still in zip(units, n_values, n_frozen, whole, strict=True)
    ]
