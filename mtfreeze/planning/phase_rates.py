# SPDX-License-Identifier: Apache-2.0
"""How fast a phase learns: its own rates and clock, else the run's, else what is usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..freezing.state import masks
from .phase import Phase
from .rate_clock import RateClock, count_warmup_steps
from .rates import (
    ADAPTER_RATES,
    DEFAULT_RATES,
    FROZEN_BACKBONE_RATES,
    MODULE_RATE,
    ParamLike,
    Rates,
    expand_decay,
    expand_rates,
    layer_factors,
    layer_rates,
)
from .resolving import ResolvedPhase
from .settings import FitSettings

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["phase_clock", "phase_rates"]

_SMALL_HEAD_RATE = 1e-4
"""At or below this, on a frozen backbone, a run says that heads may not learn."""


def phase_rates(
    model: ModelState, phase: ResolvedPhase, settings: FitSettings, notes: list[str]
) -> Rates:
    """Return the rates of a phase: its own, else the run's, else what is usual."""
    frozen, _ = masks(model, phase.freeze)
    params = [
        ParamLike(info.key, not still, info.decays)
        for info, still in zip(model._core.params(), frozen, strict=True)
    ]
    units = phase.units
    heads_only = all(unit.frozen for unit in units if not unit.is_head and unit.n_values)
    heads_train = any(unit.is_head and unit.n_frozen < unit.n_values for unit in units)
    own = phase.options
    given = settings.learning_rate if own.learning_rate is None else own.learning_rate
    if given is not None:
        rate = given
    elif heads_only:
        rate = FROZEN_BACKBONE_RATES
    else:
        rate = DEFAULT_RATES if own.usual_rate is None else own.usual_rate
        if isinstance(rate, Mapping):
            rate = {**dict.fromkeys(model.index.modules, MODULE_RATE), **rate}
        adapter = model.index.adapter
        if adapter is not None and isinstance(rate, Mapping):
            rate = {**rate, adapter: rate.get(adapter, ADAPTER_RATES[adapter])}
    peak, groups = expand_rates(params, rate, model.select)
    if heads_only and heads_train:
        notes += _head_rate_note(float(peak.max()), given is not None)
    layer_decay = settings.layer_decay if own.layer_decay is None else own.layer_decay
    weight_decay = settings.weight_decay if own.weight_decay is None else own.weight_decay
    rates = peak * layer_factors(model.index, layer_decay)
    if layer_decay is not None:
        # No tensor below the top layer has the rate that its selector was given.
        groups |= layer_rates(model.index, frozen == 0, rates)
    return Rates(
        rates,
        expand_decay(params, weight_decay, model.select),
        groups,
    )


def _head_rate_note(highest: float, given: bool) -> list[str]:
    """Say which rate heads get on a frozen backbone, or that the user's is very small for them."""
    usual = max(FROZEN_BACKBONE_RATES.values())
    if not given:
        return [
            f"learning rate of heads: {usual:g}, since the whole backbone is frozen; pass "
            "learning_rate to choose another"
        ]
    if highest <= _SMALL_HEAD_RATE:
        return [
            f"learning rate of heads: {highest:g} is small where the whole backbone is frozen; "
            f"{usual:g} is usual; with 5e-05 a head stayed at chance on a frozen RoBERTa (not "
            'shown for your model; see "Rates" in docs/freezing.md)'
        ]
    return []


def phase_clock(
    own: Phase, first_step: int, n_steps: int, settings: FitSettings
) -> RateClock | None:
    """Return warm-up and decay over the phase's own steps, if it asks for them."""
    if not own.has_own_rates:
        return None
    ratio = settings.warmup_ratio if own.warmup_ratio is None else own.warmup_ratio
    steps = own.warmup_steps
    if steps is None and own.warmup_ratio is None:
        steps = settings.warmup_steps
    kind = settings.lr_schedule if own.lr_schedule is None else own.lr_schedule
    return RateClock(kind, first_step, n_steps, count_warmup_steps(n_steps, ratio, steps))
