# SPDX-License-Identifier: Apache-2.0
"""The arguments of `fit`, checked once before anything is read, encoded or trained.

Whatever is wrong with a number is said here, by the argument's name; what needs the model to be
judged (selectors of rates) is checked in ``rates.py``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..closest import unknown
from ..data.batches import MIXING
from ..data.sampling import check_sampling
from ..errors import ConfigError
from ..losses.weighting import WEIGHTING
from ..runtime.precision import FP32, TRAINING_PRECISIONS, check_precision
from .rate_clock import SCHEDULES

if TYPE_CHECKING:
    from .freeze_schedule import FreezeSchedule

__all__ = [
    "EvalEvery",
    "FitSettings",
    "Rate",
    "check_choice",
    "check_integer",
    "check_layer_decay",
    "check_number",
    "check_rate",
    "check_settings",
]

Rate = float | Mapping[str, float]
"""One number for everything that trains, or numbers by selector, later entries winning."""

EvalEvery = int | str | None


@dataclass(frozen=True)
class FitSettings:
    """Checked arguments of `fit`; see there for what each means."""

    epochs: int | None
    batch_size: int
    learning_rate: Rate | None
    weight_decay: Rate
    warmup_ratio: float
    warmup_steps: int | None
    lr_schedule: str
    layer_decay: float | None
    max_grad_norm: float
    mixing: str
    sampling: str
    temperature: float
    loss_weighting: str
    seed: int
    token_budget: int
    betas: tuple[float, float]
    eps: float
    eval_every: EvalEvery
    freeze_schedule: FreezeSchedule | None
    load_best_model_at_end: bool
    metric_for_best_model: str | None
    greater_is_better: bool | None
    cache_dtype: str
    precision: str = FP32
    save_activations: str = FP32
    group_by_length: bool = False


def check_integer(name: str, value: object, lowest: int) -> int:
    """Return `value` as an int that is at least `lowest`.

    Raises
    ------
    TypeError
        If it is no integer (a bool is none, 3.0 is none).
    ConfigError
        If it is too small.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(
            f"{name} must be a whole number; found {type(value).__name__} {value!r}; "
            f"give an int of at least {lowest}"
        )
    number = operator.index(value)
    if number < lowest:
        raise ConfigError(f"{name} must be at least {lowest}; found {number}; give a larger number")
    return number


def check_number(
    name: str,
    value: object,
    lowest: float = 0.0,
    highest: float = math.inf,
    *,
    above: bool = False,
) -> float:
    """Return `value` as a finite float in [lowest, highest] (`above`: larger than `lowest`).

    Raises
    ------
    TypeError
        If it is no number.
    ConfigError
        If it is NaN, infinite or out of range.
    """
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        raise TypeError(
            f"{name} must be a number; found {type(value).__name__} {value!r}; give a float"
        )
    number = float(value)
    too_low = number <= lowest if above else number < lowest
    if not math.isfinite(number) or too_low or number > highest:
        bounds = f"{'above' if above else 'at least'} {lowest:g}"
        if math.isfinite(highest):
            bounds += f" and at most {highest:g}"
        raise ConfigError(f"{name} must be a finite number, {bounds}; found {number!r}")
    return number


def check_choice(name: str, value: object, known: tuple[str, ...]) -> str:
    """Return `value` if it is one of `known`; TypeError or ConfigError (names the closest)."""
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be one of {', '.join(map(repr, known))}; "
            f"found {type(value).__name__} {value!r}"
        )
    if value not in known:
        raise ConfigError(unknown(name, value, known))
    return value


def check_rate(name: str, rate: object) -> dict[str, float]:
    """Return numbers by selector; a single number stands under ``"all"``.

    Raises
    ------
    TypeError
        If it is neither a number nor numbers by selector.
    ConfigError
        If a number is negative or not finite, or the mapping is empty.
    """
    if not isinstance(rate, Mapping):
        return {"all": check_number(name, rate)}
    if not rate:
        raise ConfigError(
            f"{name} is an empty mapping; give a number, or numbers by selector such as "
            '{"backbone": 2e-5, "heads": 1e-3}'
        )
    for selector in rate:
        if not isinstance(selector, str):
            raise TypeError(
                f"{name} must have selectors (str) as keys; found {type(selector).__name__} "
                f"{selector!r}"
            )
    return {selector: check_number(f"{name}[{selector!r}]", one) for selector, one in rate.items()}


def check_layer_decay(value: object) -> float | None:
    """Return by what each layer's rate is divided to get that of the layer below; None: 1.

    Raises
    ------
    TypeError, ConfigError
        If it is no finite number of at least 1.
    """
    if value is None:
        return None
    number = check_number("layer_decay", value, 0.0, above=True)
    if number < 1.0:
        raise ConfigError(
            f"layer_decay must be at least 1: the rate of each layer is that of the one above "
            f"divided by it (ULMFiT: 2.6); found {number:g}; where other libraries multiply by "
            f"{number:g}, write layer_decay=1/{number:g}"
        )
    return number


def _check_betas(value: object) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ConfigError(f"betas must be two numbers, such as (0.9, 0.999); found {value!r}")
    pair = tuple(check_number(f"betas[{i}]", one, 0.0, 1.0) for i, one in enumerate(value))
    if 1.0 in pair:
        raise ConfigError(f"betas must be below 1, or nothing is ever forgotten; found {value!r}")
    return cast("tuple[float, float]", pair)


def _check_eval_every(value: object) -> EvalEvery:
    if value is None or value == "epoch":
        return cast(EvalEvery, value)
    if isinstance(value, str):
        raise ConfigError(f"eval_every must be None, 'epoch' or a number of steps; found {value!r}")
    return check_integer("eval_every", value, 1)


def _check_best(load: object, metric: object, greater: object, eval_every: object) -> None:
    if not isinstance(load, bool):
        raise TypeError(f"load_best_model_at_end must be True or False; found {load!r}")
    if metric is not None and not isinstance(metric, str):
        raise TypeError(
            f"metric_for_best_model must be the name of a metric; found {type(metric).__name__} "
            f"{metric!r}"
        )
    if greater is not None and not isinstance(greater, bool):
        raise TypeError(f"greater_is_better must be True, False or None; found {greater!r}")
    if not load and (metric is not None or greater is not None):
        name = "greater_is_better" if metric is None else "metric_for_best_model"
        raise ConfigError(
            f"{name} says which model is best; found load_best_model_at_end=False, so none is "
            "kept; pass load_best_model_at_end=True"
        )
    if load and eval_every is None:
        raise ConfigError(
            "load_best_model_at_end needs evaluations during the run; found eval_every=None; pass "
            "eval_every='epoch' or a number of steps"
        )


def check_settings(
    *,
    epochs: object,
    batch_size: object,
    learning_rate: Rate | None,
    weight_decay: Rate,
    warmup_ratio: object,
    warmup_steps: object,
    lr_schedule: object,
    layer_decay: object,
    max_grad_norm: object,
    mixing: object,
    sampling: object,
    temperature: object,
    loss_weighting: object,
    seed: object,
    token_budget: object,
    betas: object,
    eps: object,
    eval_every: object,
    cache_dtype: str,
    freeze_schedule: FreezeSchedule | None,
    load_best_model_at_end: object,
    metric_for_best_model: object,
    greater_is_better: object,
    precision: object,
    save_activations: object,
    group_by_length: object,
) -> FitSettings:
    """Check every argument of `fit` that is a number or a choice.

    Raises
    ------
    TypeError
        If one is of the wrong type.
    ConfigError
        If one is out of its range or unknown; the message has its name.
    """
    # 0 switches clipping off, as does None.
    norm = check_number("max_grad_norm", 0.0 if max_grad_norm is None else max_grad_norm)
    how = check_choice("mixing", mixing, MIXING)
    drawn, heat = check_sampling(sampling, temperature, how)
    every = _check_eval_every(eval_every)
    _check_best(load_best_model_at_end, metric_for_best_model, greater_is_better, every)
    if not isinstance(group_by_length, bool):
        raise TypeError(f"group_by_length must be True or False; found {group_by_length!r}")
    return FitSettings(
        epochs=None if epochs is None else check_integer("epochs", epochs, 1),
        batch_size=check_integer("batch_size", batch_size, 1),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup_ratio=check_number("warmup_ratio", warmup_ratio, 0.0, 1.0),
        warmup_steps=(
            None if warmup_steps is None else check_integer("warmup_steps", warmup_steps, 0)
        ),
        lr_schedule=check_choice("lr_schedule", lr_schedule, tuple(SCHEDULES)),
        layer_decay=check_layer_decay(layer_decay),
        max_grad_norm=norm,
        mixing=how,
        sampling=drawn,
        temperature=heat,
        loss_weighting=check_choice("loss_weighting", loss_weighting, WEIGHTING),
        seed=check_integer("seed", seed, 0),
        token_budget=check_integer("token_budget", token_budget, 1),
        betas=_check_betas(betas),
        eps=check_number("eps", eps, 0.0, above=True),
        eval_every=every,
        freeze_schedule=freeze_schedule,
        load_best_model_at_end=bool(load_best_model_at_end),
        metric_for_best_model=cast("str | None", metric_for_best_model),
        greater_is_better=cast("bool | None", greater_is_better),
        cache_dtype=cache_dtype,
        precision=check_precision(precision, TRAINING_PRECISIONS),
        save_activations=check_precision(
            save_activations, TRAINING_PRECISIONS, name="save_activations"
        ),
        group_by_length=group_by_length,
    )
