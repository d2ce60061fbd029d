# SPDX-License-Identifier: Apache-2.0
"""Learning rates and weight decay: one number, or numbers by selector -> one number a parameter.

Later entries win, so ``{"backbone": 2e-5, "backbone.layers[5]": 1e-4, "heads": 1e-3}`` reads from
the general to the particular. Every trainable tensor must end up with a learning rate. Biases and
norms are not decayed by default: an entry that covers weights as well leaves them out, and only an
entry that names nothing else (``{"*.LayerNorm.*": 0.01}``) decays them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..closest import counted, name_list
from ..errors import ConfigError
from ..freezing.model_index import ModelIndex
from .checks import Rate, check_rate

__all__ = [
    "ParamLike",
    "Rates",
    "expand_decay",
    "expand_rates",
    "layer_factors",
    "layer_rates",
]

Float64 = NDArray[np.float64]
Select = Callable[[str], NDArray[np.bool_]]
"""A selector -> (n_params,) mask; raises SelectorError for one that matches nothing."""


@dataclass(frozen=True)
class ParamLike:
    """What this file needs to know of one parameter: its key, whether it trains, and decays."""

    key: str
    trains: bool
    decays: bool


@dataclass(frozen=True)
class Rates:
    """Numbers for the optimizer.

    Attributes
    ----------
    learning_rate, weight_decay : (n_params,) float64 arrays
        Peak rates before the schedule's factor, and decay. 0 for what is frozen.
    groups : dict of str to float
        For the history: the learning rates as the user wrote them, by selector, without those that
        nothing trains with; with a layer decay also those of `layer_rates`.
    """

    learning_rate: Float64
    weight_decay: Float64
    groups: dict[str, float]


def expand_rates(
    params: Sequence[ParamLike], rate: Rate, select: Select
) -> tuple[Float64, dict[str, float]]:
    """Return the learning rate of each parameter, (n_params,), and the entries that count.

    An entry counts if something trains with its rate: not all that it selects is frozen, or has
    its rate from a later entry.

    Raises
    ------
    TypeError, ConfigError
        For something that is no finite number of at least 0, or if a trainable tensor has no rate.
    SelectorError
        If an entry's selector matches nothing.
    """
    entries = check_rate("learning_rate", rate)
    result = np.full(len(params), np.nan)
    source = np.full(len(params), -1)
    for position, (selector, number) in enumerate(entries.items()):
        chosen = select(selector)
        result[chosen], source[chosen] = number, position
    missing = [
        one.key for one, value in zip(params, result, strict=True) if one.trains and np.isnan(value)
    ]
    if missing:
        raise ConfigError(
            f"learning_rate covers {name_list(entries)}; found "
            f"{counted(len(missing), 'trainable tensor')} without a rate: "
            f"{name_list(missing, 3)}; add an entry for them or freeze them"
        )
    still = [not one.trains for one in params]
    result[still], source[still] = 0.0, -1
    return result, {name: one for at, (name, one) in enumerate(entries.items()) if at in source}


def layer_factors(index: ModelIndex, layer_decay: float | None) -> Float64:
    """Return what every parameter's learning rate is multiplied by, (n_params,).

    1 for heads, the top layer and what lies above it; divided by `layer_decay` for each layer
    downward from there; embeddings are one below layer 0. Layers that share their weights count as
    one.
    """
    units = np.ones(len(index.unit_paths))
    layers = index.layers.positions
    if layer_decay is not None and layers:
        distinct = list(dict.fromkeys(index.layers.ranges))  # a stage has several units
        for unit, own in zip(layers, index.layers.ranges, strict=True):
            units[unit] = layer_decay ** -(len(distinct) - 1 - distinct.index(own))
        units[: layers[0]] = layer_decay ** -len(distinct)
    return units[index.unit_of]


def layer_rates(index: ModelIndex, trains: NDArray[np.bool_], rates: Float64) -> dict[str, float]:
    """Return the highest rate in each unit of the backbone that trains, ``"layers[0]"`` and so on.

    Parameters
    ----------
    index : ModelIndex
        Of the model.
    trains : (n_params,) bool array
        What trains.
    rates : (n_params,) float64 array
        Rates with the layer decay.
    """
    found = {}
    for unit, path in enumerate(index.unit_paths):
        mine = trains & (index.unit_of == unit)
        if mine.any() and index.in_body[unit]:
            found[path.removeprefix("backbone.")] = float(rates[mine].max())
    return found


def expand_decay(params: Sequence[ParamLike], decay: Rate, select: Select) -> Float64:
    """Return the weight decay of each parameter, (n_params,); 0 where no entry reaches.

    Raises
    ------
    TypeError, ConfigError, SelectorError
        As in `expand_rates`, but no tensor needs an entry.
    """
    decays = np.array([one.decays for one in params], dtype=bool)
    trains = np.array([one.trains for one in params], dtype=bool)
    result = np.zeros(len(params))
    for selector, number in check_rate("weight_decay", decay).items():
        chosen = select(selector)
        if (chosen & decays).any():
            chosen = chosen & decays
        result[chosen] = number
    return np.where(trains, result, 0.0)
