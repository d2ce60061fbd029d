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
from typing import cast

from ..closest import unknown
from ..data.batches import MIXING
from ..errors import ConfigError
from .schedules import SCHEDULES

__all__ = ["EvalEvery", "FitSettings", "Rate", "check_integer", "check_number", "check_settings"]

Rate = float | Mapping[str, float]
"""One number for everything that trains, or numbers by selector, later entries winning."""

EvalEvery = int | str | None


@dataclass(frozen=True)
class FitSettings:
    """Checked arguments of `fit`; see there for what each means."""

    epochs: int
    batch_size: int
    learning_rate: Rate
    weight_decay: Rate
    warmup_ratio: float
    warmup_steps: int | None
    lr_schedule: str
    max_grad_norm: float
    mixing: str
    seed: int
    token_budget: int
    betas: tuple[float, float]
    eps: float
    eval_every: EvalEvery


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


def _check_choice(name: str, value: object, known: tuple[str, ...]) -> str:
    if not isinstance(value, str):
        raise TypeError(
            f"{name} must be one of {', '.join(map(repr, known))}; "
            f"found {type(value).__name__} {value!r}"
        )
    if value not in known:
        raise ConfigError(unknown(name, value, known))
    return value


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


def check_settings(
    *,
    epochs: object,
    batch_size: object,
    learning_rate: Rate,
    weight_decay: Rate,
    warmup_ratio: object,
    warmup_steps: object,
    lr_schedule: object,
    max_grad_norm: object,
    mixing: object,
    seed: object,
    token_budget: object,
    betas: object,
    eps: object,
    eval_every: object,
    cache: object,
    freeze_schedule: object,
) -> FitSettings:
    """Check every argument of `fit` that is a number or a choice.

    Raises
    ------
    TypeError
        If one is of the wrong type.
    ConfigError
        If one is out of its range or unknown; the message has its name.
    """
    if not (cache is False or cache == "auto"):
        raise ConfigError(
            f"cache must be 'auto' or False; found {cache!r}; this version recomputes the frozen "
            "prefix in every epoch and keeps no cache of it"
        )
    if freeze_schedule is not None:
        raise ConfigError(
            f"freeze_schedule must be None; found {type(freeze_schedule).__name__}; this version "
            "has no schedules: call fit once for each phase, with model.freeze() between the calls"
        )
    # 0 switches clipping off, as does None.
    norm = check_number("max_grad_norm", 0.0 if max_grad_norm is None else max_grad_norm)
    return FitSettings(
        epochs=check_integer("epochs", epochs, 1),
        batch_size=check_integer("batch_size", batch_size, 1),
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        warmup_ratio=check_number("warmup_ratio", warmup_ratio, 0.0, 1.0),
        warmup_steps=(
            None if warmup_steps is None else check_integer("warmup_steps", warmup_steps, 0)
        ),
        lr_schedule=_check_choice("lr_schedule", lr_schedule, tuple(SCHEDULES)),
        max_grad_norm=norm,
        mixing=_check_choice("mixing", mixing, MIXING),
        seed=check_integer("seed", seed, 0),
        token_budget=check_integer("token_budget", token_budget, 1),
        betas=_check_betas(betas),
        eps=check_number("eps", eps, 0.0, above=True),
        eval_every=_check_eval_every(eval_every),
    )
