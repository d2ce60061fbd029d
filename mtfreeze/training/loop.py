# SPDX-License-Identifier: Apache-2.0
"""The optimizer steps of a run: batch -> gradients -> clipped AdamW, one history row each.

A step is two calls of the core. `train_gradients` runs forward and backward in micro-batches whose
losses add up to the mean over the whole step; `train_apply` clips by the global norm and steps
every trainable tensor that a loss reached. The core refuses a non-finite loss in the first and a
non-finite norm in the second, before any weight changes; here the message gets its names.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.batches import Step
from ..encoding import core_batch
from ..errors import TrainingError
from .encoded import StepBatch, TrainingRows
from .progress import Reporter
from .rates import Rates
from .schedules import schedule_factor
from .settings import FitSettings

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["LoopResult", "PlannedStep", "run_steps"]

_SMOOTHING = 0.9
"""Weight of the past in the losses beside the progress bar."""


@dataclass(frozen=True)
class PlannedStep:
    """One optimizer step to come: its epoch (from 0), its rows, whether it ends the epoch."""

    epoch: int
    step: Step
    ends_epoch: bool


@dataclass(frozen=True)
class LoopResult:
    """What the steps came to.

    Attributes
    ----------
    n_steps, n_sequences, n_tokens : int
        Done.
    seconds : float
        Spent in steps, evaluations between them not counted.
    loss : float
        Mean of the steps' losses.
    interrupted : bool
        Whether the user asked for the end.
    """

    n_steps: int
    n_sequences: int
    n_tokens: int
    seconds: float
    loss: float
    interrupted: bool


def _culprit(model: MultiTaskModel) -> str:
    """Name the first tensor that holds a value that is not finite: weights, then gradients."""
    core = model._core
    params = core.params()
    for index, param in enumerate(params):
        values = core.view(index)
        if not np.isfinite(values).all():
            n = int((~np.isfinite(values)).sum())
            return f"{param.key} holds {n} of {param.size} values that are not finite"
    for index, param in enumerate(params):
        gradient = core.gradient(index)
        if gradient is not None and not np.isfinite(gradient).all():
            return f"the gradient of {param.key} is not finite"
    return "every weight and gradient is finite, their sums are not"


def _after(number: int) -> str:
    """End of a message about step `number` (from 0)."""
    return (
        f"the weights are those after step {number}; use a lower learning rate, a longer warm-up "
        "or a smaller max_grad_norm"
    )


def _one_step(
    model: MultiTaskModel,
    data: StepBatch,
    number: int,
    settings: FitSettings,
    rates: Rates,
    factor: float,
) -> dict[str, Any]:
    """Run step `number` (from 0) and return its figures."""
    core, batch = model._core, data.batch
    try:
        means, counts = core.train_gradients(
            core_batch(batch),
            data.losses,
            token_budget=settings.token_budget,
            seed=settings.seed,
            step=number,
        )
    except TrainingError:
        raise TrainingError(
            f"step {number + 1}: expected a finite loss of {data.name}; found none: "
            f"{_culprit(model)}; {_after(number)}"
        ) from None
    try:
        update = core.train_apply(
            rates.learning_rate * factor,
            rates.weight_decay,
            beta1=settings.betas[0],
            beta2=settings.betas[1],
            eps=settings.eps,
            max_grad_norm=settings.max_grad_norm,
        )
    except TrainingError:
        raise TrainingError(
            f"step {number + 1}: expected finite gradients from {data.name}; found none: "
            f"{_culprit(model)}; {_after(number)}"
        ) from None
    reached = [head for (head, _, _), n in zip(data.losses, counts, strict=True) if n]
    model.mark_trained(head for head in reached if not model.heads[head].frozen)
    weights = [weight for _, _, weight in data.losses]
    figures: dict[str, Any] = {
        "loss": math.fsum(w * mean for w, mean in zip(weights, means, strict=True))
    }
    # Of each task by itself, without its weight.
    figures |= {f"{head}_loss": mean for (head, _, _), mean in zip(data.losses, means, strict=True)}
    return figures | {"grad_norm": update.grad_norm, "clip": update.clip}


def run_steps(
    model: MultiTaskModel,
    rows: TrainingRows,
    steps: Sequence[PlannedStep],
    settings: FitSettings,
    rates: Rates,
    n_warmup: int,
    history: list[dict[str, Any]],
    frozen: str,
    reporter: Reporter,
    stop: Callable[[], bool],
    after_step: Callable[[int, PlannedStep], None],
) -> LoopResult:
    """Run all steps, appending a row of figures to `history` after each.

    Parameters
    ----------
    n_warmup : int
        Warm-up steps of the schedule.
    frozen : str
        What is frozen, for the history.
    stop : callable
        Asked after every step whether to end.
    after_step : callable
        Called with the number of steps done and the step; evaluates if it is time to.

    Raises
    ------
    TrainingError
        For a non-finite loss or norm, naming step and tensor; weights as after the step before.
    """
    n_sequences = n_tokens = 0
    seconds, losses = 0.0, []
    smooth: dict[str, float] = {}
    with reporter.bar(len(steps), "training"):
        for number, planned in enumerate(steps):
            begin = time.perf_counter()
            data = rows.batch(planned.step)
            factor = schedule_factor(settings.lr_schedule, number, len(steps), n_warmup)
            figures = _one_step(model, data, number, settings, rates, factor)
            took = time.perf_counter() - begin
            losses.append(figures["loss"])
            for head, _, _ in data.losses:
                loss = figures[f"{head}_loss"]
                smooth[head] = _SMOOTHING * smooth.get(head, loss) + (1 - _SMOOTHING) * loss
            history.append(
                {
                    "step": number + 1,
                    "epoch": planned.epoch + 1,
                    "task": data.name,
                    **figures,
                    **{
                        "learning_rate" if name == "all" else f"learning_rate.{name}": rate * factor
                        for name, rate in rates.groups.items()
                    },
                    "frozen": frozen,
                    "n_sequences": data.batch.n_sequences,
                    "n_tokens": data.batch.n_tokens,
                    "seconds": took,
                }
            )
            n_sequences += data.batch.n_sequences
            n_tokens += data.batch.n_tokens
            seconds += took
            reporter.advance(1, **smooth)
            if stop():
                break
            after_step(number + 1, planned)
            if stop():
                break
    mean = math.fsum(losses) / len(losses) if losses else 0.0
    return LoopResult(len(losses), n_sequences, n_tokens, seconds, mean, stop())
