# SPDX-License-Identifier: Apache-2.0
"""`ModelIndex`: the names of a model's units and parameters, and sets of them (`Selection`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..adapters.adapter import UNITS
from .layer_units import LayerUnits, modules_of

if TYPE_CHECKING:
    from .._core import ParamInfo, UnitInfo
    from ..families import Family

__all__ = ["ModelIndex", "Selection"]


@dataclass(frozen=True)
class Selection:
    """What selectors chose.

    Attributes
    ----------
    params : (n_params,) bool array
        Parameters.
    units : (n_units,) bool array
        Units chosen as a whole; says which heads without parameters are meant.
    """

    params: NDArray[np.bool_]
    units: NDArray[np.bool_]

    def __or__(self, other: Selection) -> Selection:
        return Selection(self.params | other.params, self.units | other.units)

    def __bool__(self) -> bool:
        return bool(self.params.any() or self.units.any())


class ModelIndex:
    """Names of a model's units and parameters, in the core's order.

    Parameters
    ----------
    params : sequence of ParamInfo
        From the core.
    units : sequence of UnitInfo
        From the core.
    family : Family
        Of the backbone.

    Attributes
    ----------
    family : Family
        What is told of the backbone's names beside those that the core knows.
    keys : tuple of str
        Parameter keys.
    key_index : dict of str to int
        Position by key, aliases of tied tensors included.
    buffers : frozenset of str
        Keys of those that are statistics: they have no gradient, and those that do not move are
        frozen whatever a state says.
    moving : mapping of str to tuple of str
        Keys of statistics that steps move, and those of the same norm, which are frozen together.
    unit_paths : tuple of str
        ``"backbone.embeddings"``, ``"backbone.layers[0]"``, ..., head names.
    unit_index : dict of str to int
        Position by unit path.
    heads : tuple of str
        Names of the heads.
    adapter : str or None
        ``"lora"`` or ``"ia3"``, the unit of an adapter, if the model has one.
    in_body : (n_units,) bool array
        The units that are neither heads nor an adapter: the backbone's and those of `modules`.
    modules : tuple of str
        What the family has beside its backbone, such as ``"encoder"`` and ``"queries"``, in order.
    layers : LayerUnits
        The units that compute layers, from the input upward.
    unit_of : (n_params,) int array
        The unit in which each parameter lies.
    """

    def __init__(
        self, params: Sequence[ParamInfo], units: Sequence[UnitInfo], family: Family
    ) -> None:
        self.family = family
        self._params, self._units = params, units
        self.keys = tuple(info.key for info in params)
        self.key_index = {info.key: i for i, info in enumerate(params)}
        for i, info in enumerate(params):
            self.key_index.update(dict.fromkeys(info.aliases, i))
        self.buffers = frozenset(info.key for info in params if info.is_buffer)
        moving = [info.key for info in params if info.moves]
        norms: dict[str, list[str]] = {}
        for key in moving:
            norms.setdefault(key.rpartition(".")[0], []).append(key)
        self.moving = {key: tuple(norms[key.rpartition(".")[0]]) for key in moving}
        self.unit_paths = tuple(unit.path for unit in units)
        self.unit_index = {path: i for i, path in enumerate(self.unit_paths)}
        self.is_head = np.array([unit.is_head for unit in units], dtype=bool)
        self.heads = tuple(unit.path for unit in units if unit.is_head)
        self.adapter = next((path for path in self.unit_paths if path in UNITS), None)
        self.in_body = ~self.is_head & [path not in UNITS for path in self.unit_paths]
        body = [path for path, own in zip(self.unit_paths, self.in_body, strict=True) if own]
        self.modules = modules_of(body)
        self.layers = LayerUnits.of(self.unit_paths)
        self.unit_of = np.array([info.unit for info in params], dtype=np.int64)

    @property
    def body(self) -> tuple[str, ...]:
        """Selectors of all that is neither a head nor an adapter."""
        return ("backbone", *self.modules)

    def units_under(self, name: str) -> list[int]:
        """Return the positions of the units whose paths are `name`, or begin with it."""
        begins = (f"{name}.", f"{name}[")
        return [
            at
            for at, path in enumerate(self.unit_paths)
            if self.in_body[at] and (path == name or path.startswith(begins))
        ]

    @property
    def n_layers(self) -> int:
        """Number of layers of the backbone."""
        return self.layers.n

    def without_unit(self, name: str) -> ModelIndex:
        """Return the names that the core has once a head, or the adapter, is removed."""
        gone = self.unit_index[name]
        # By `unit_of`: what the core said of the units was before any other was removed.
        stays = self.unit_of != gone
        rest = ModelIndex(
            [info for info, kept in zip(self._params, stays, strict=True) if kept],
            [unit for unit in self._units if unit.path != name],
            self.family,
        )
        rest.unit_of = self.unit_of[stays] - (self.unit_of[stays] > gone)
        return rest

    def of_units(self, positions: Iterable[int]) -> Selection:
        """Select whole units."""
        units = np.zeros(len(self.unit_paths), dtype=bool)
        units[list(positions)] = True
        return Selection(units[self.unit_of], units)

    def of_params(self, positions: Iterable[int]) -> Selection:
        """Select single parameters; units count as chosen where all of theirs are."""
        params = np.zeros(len(self.keys), dtype=bool)
        params[list(positions)] = True
        units = [
            bool(params[self.unit_of == unit].all()) and bool((self.unit_of == unit).any())
            for unit in range(len(self.unit_paths))
        ]
        return Selection(params, np.array(units, dtype=bool))

    def without(self, one: Selection, other: Selection) -> Selection:
        """Return what the first selects and the other does not; a unit of which the other has a
        part is not chosen as a whole."""
        touched = np.zeros(len(self.unit_paths), dtype=bool)
        touched[self.unit_of[one.params & other.params]] = True
        return Selection(one.params & ~other.params, one.units & ~other.units & ~touched)

    def keys_of(self, unit: int) -> list[str]:
        """Return the keys of the parameters of a unit."""
        return [self.keys[at] for at in np.flatnonzero(self.unit_of == unit)]

    def names(self) -> list[str]:
        """Return what a message may propose: parts, heads, units."""
        units = [path for path in self.unit_paths if path not in self.heads]
        short = [path.removeprefix("backbone.") for path in units]
        groups = [*self.modules, self.layers.word]
        return ["all", "none", "backbone", "heads", *self.heads, *groups, *units, *short]
