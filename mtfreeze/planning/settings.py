# SPDX-License-Identifier: Apache-2.0
"""The table of run settings: what of the arguments of `fit` decides what a run computes.

A row is a field of `FitSettings`: name, type, default, check. It is the one place where a setting
is listed. `fit` and `estimate` hand their arguments to `check_settings`, YAML jobs take its names
as keys, and a run goes on from a checkpoint only if all of them agree. So a new setting is a row
here and an argument of `fit`, whose signature and docstring are for people and agree with the
table (tests/planning/test_settings.py).

What does not change a result (cache, callbacks, checkpoints, the output folder, progress) is no
setting: `prepare` takes it by name. What needs the model to be judged (selectors of rates) is
checked in ``rates.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from ..checks import check_integer, check_number, check_optional_flag, check_seed, typed
from ..data.batches import MIXING
from ..data.sampling import SAMPLING, check_sampling, check_temperature
from ..errors import ConfigError
from ..losses.weighting import WEIGHTING
from ..quoting import quoted
from ..runtime.precision import FP32
from .checks import Rate, check_betas, check_layer_decay
from .defaults import BATCH_SIZE
from .freeze_schedule import FreezeSchedule, as_schedule
from .rate_clock import SCHEDULES
from .run_setting import (
    RunSetting,
    ValueCheck,
    choice,
    flag,
    number,
    optional,
    setting,
    step_precision,
    unchecked,
    whole,
)
from .start import Start, check_start

__all__ = ["RUN_SETTINGS", "EvalEvery", "FitSettings", "check_settings"]

EvalEvery = int | str | None


def _check_norm(name: str, value: object) -> float:
    # 0 switches clipping off, as does None.
    return check_number(name, 0.0 if value is None else value)


def _check_every(name: str, value: object) -> EvalEvery:
    if value is None:
        return None
    if isinstance(value, str):
        if value == "epoch":
            return value
        raise ConfigError(
            f"{name} must be None, 'epoch' or a number of steps; found {quoted(value)}"
        )
    return check_integer(name, value, 1)


def _check_metric(name: str, value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name} must be the name of a metric; found {typed(value)}")
    return value


def _check_schedule(name: str, value: object) -> FreezeSchedule | None:
    return as_schedule(value)


@dataclass(frozen=True)
class FitSettings:
    """Checked settings of a run, as `check_settings` makes them; see `fit` for what each means."""

    epochs: int | None = setting(None, optional(whole(1)))
    batch_size: int = setting(BATCH_SIZE, whole(1))
    learning_rate: Rate | None = setting(None, unchecked("rate"))
    weight_decay: Rate = setting(0.01, unchecked("rate"))
    warmup_ratio: float = setting(0.1, number(0.0, 1.0))
    warmup_steps: int | None = setting(None, optional(whole(0)))
    lr_schedule: str = setting("linear", choice(SCHEDULES))
    layer_decay: float | None = setting(None, ValueCheck("number", check_layer_decay))
    max_grad_norm: float = setting(1.0, ValueCheck("number", _check_norm))
    mixing: str = setting("proportional", choice(MIXING))
    sampling: str = setting("size", choice(SAMPLING))
    temperature: float = setting(1.0, ValueCheck("number", check_temperature))
    loss_weighting: str = setting("static", choice(WEIGHTING))
    seed: int = setting(0, ValueCheck("number", check_seed))
    token_budget: int = setting(4096, whole(1))
    betas: tuple[float, float] = setting((0.9, 0.999), ValueCheck("other", check_betas))
    eps: float = setting(1e-8, number(0.0, above=True))
    eval_every: EvalEvery = setting(None, ValueCheck("other", _check_every))
    freeze_schedule: FreezeSchedule | None = setting(None, ValueCheck("schedule", _check_schedule))
    start: Start = setting("heads", ValueCheck("other", check_start))
    load_best_model_at_end: bool = setting(False, flag())
    metric_for_best_model: str | None = setting(None, ValueCheck("text", _check_metric))
    greater_is_better: bool | None = setting(None, ValueCheck("flag", check_optional_flag))
    cache_dtype: str = setting("float32", unchecked("text"))
    precision: str = setting(FP32, step_precision())
    save_activations: str = setting(FP32, step_precision())
    group_by_length: bool = setting(False, flag())


RUN_SETTINGS: dict[str, RunSetting] = {
    one.name: RunSetting(one.name, one.default, one.metadata["kind"], one.metadata["check"])
    for one in fields(FitSettings)
}
"""The rows of the table by name, in order."""


def _check_sharing(settings: FitSettings) -> None:
    check_sampling(settings.sampling, settings.temperature, settings.mixing)


def _check_best(settings: FitSettings) -> None:
    """Check what says which model is best, where one is to be kept."""
    metric, greater = settings.metric_for_best_model, settings.greater_is_better
    if not settings.load_best_model_at_end and (metric is not None or greater is not None):
        name = "greater_is_better" if metric is None else "metric_for_best_model"
        raise ConfigError(
            f"{name} says which model is best; found load_best_model_at_end=False, so none is "
            "kept; pass load_best_model_at_end=True"
        )
    if settings.load_best_model_at_end and settings.eval_every is None:
        raise ConfigError(
            "load_best_model_at_end needs evaluations during the run; found eval_every=None; pass "
            "eval_every='epoch' or a number of steps"
        )


_TOGETHER: tuple[Callable[[FitSettings], None], ...] = (_check_sharing, _check_best)
"""What settings must fulfil together, once each of them holds."""


def check_settings(**given: Any) -> FitSettings:
    """Check settings by name; what is not given has its default.

    Raises
    ------
    TypeError
        If one is of the wrong type, or there is no such setting.
    ConfigError
        If one is out of its range or unknown, or several do not go together; the message has the
        name.

    Examples
    --------
    >>> check_settings(epochs=2).batch_size
    32
    """
    checked = dict(given)
    for row in RUN_SETTINGS.values():
        checked[row.name] = row.check(row.name, given.get(row.name, row.default))
    settings = FitSettings(**checked)
    for check in _TOGETHER:
        check(settings)
    return settings
