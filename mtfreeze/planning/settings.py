# SPDX-License-Identifier: Apache-2.0
"""The arguments of `fit`, checked once before anything is read, encoded or trained.

Whatever is wrong with a number is said here, by the argument's name; what needs the model to be
judged (selectors of rates) is checked in ``rates.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from ..data.batches import MIXING
from ..data.sampling import check_sampling
from ..errors import ConfigError
from ..losses.weighting import WEIGHTING
from ..runtime.precision import FP32, TRAINING_PRECISIONS, check_precision
from .checks import Rate, check_choice, check_integer, check_layer_decay, check_number
from .rate_clock import SCHEDULES

if TYPE_CHECKING:
    from .freeze_schedule import FreezeSchedule

__all__ = [
    "EvalEvery",
    "FitSettings",
    "check_settings",
]


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
