# SPDX-License-Identifier: Apache-2.0
"""One optimizer step: batch -> gradients -> clipped AdamW -> its figures.

A step is two calls of the core. `train_gradients` runs forward and backward in micro-batches whose
losses add up to the mean over the whole step (``losses/step_gradients.py`` where one of them is not
of the core); `train_apply` clips by the global norm and steps every trainable tensor that a loss
reached. The core refuses a non-finite loss in the first and a
non-finite norm or update in the second, before any weight changes; here the message gets its names.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import TrainingError
from ..freezing.facts import publish
from ..losses.step_gradients import prepare_gradients
from ..planning.rates import Rates
from ..planning.settings import FitSettings
from .batch import StepBatch
from .by_hand import computed_in

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["run_step"]


def _culprit(model: ModelState) -> str | None:
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
    return None


def _after(number: int) -> str:
    """End of a message about step `number` (from 0)."""
    return (
        f"the weights are those after step {number}; use a lower learning rate, a longer warm-up "
        "or a smaller max_grad_norm"
    )


def run_step(
    model: ModelState,
    data: StepBatch,
    number: int,
    settings: FitSettings,
    rates: Rates,
    factor: float,
) -> dict[str, Any]:
    """Run step `number` (from 0, over the whole run) and return its figures.

    Where nothing is labelled there is no loss: 0.0 would be the best one there is.

    Parameters
    ----------
    data : StepBatch
        Sequences and losses of the step.
    factor : float
        The schedule's factor on every learning rate of `rates`.

    Raises
    ------
    TrainingError
        For a non-finite loss or norm, naming step and tensor; weights as after the step before.
    """
    core = model._core
    gradients = prepare_gradients(
        core,
        data.batch.for_core(),
        data.losses,
        data.own,
        token_budget=settings.token_budget,
        seed=settings.seed,
        step=number,
        **computed_in(settings.precision, settings.save_activations),
    )
    try:
        means, counts = gradients()
    except TrainingError:
        raise TrainingError(
            f"step {number + 1}: expected a finite loss of {data.name}; found none: "
            f"{_culprit(model) or 'every weight and gradient is finite, their sums are not'}; "
            f"{_after(number)}"
        ) from None
    apply = partial(
        core.train_apply,
        rates.learning_rate * factor,
        rates.weight_decay,
        beta1=settings.betas[0],
        beta2=settings.betas[1],
        eps=settings.eps,
        max_grad_norm=settings.max_grad_norm,
    )
    reached = [one.head for one, n in zip(data.losses, counts, strict=True) if n]
    trained = [head for head in reached if not model.heads[head].frozen]
    try:
        [update] = publish(model, model._facts.trained(trained), apply)
    except TrainingError:
        culprit = _culprit(model)
        if culprit is None:  # it is what the update would make of a weight: the core names it
            raise
        raise TrainingError(
            f"step {number + 1}: expected finite gradients from {data.name}; found none: "
            f"{culprit}; {_after(number)}"
        ) from None
    weights = [one.weight for one in data.losses]
    figures: dict[str, Any] = {}
    if reached:
        figures["loss"] = math.fsum(w * mean for w, mean in zip(weights, means, strict=True))
    # Of each task by itself, without its weight.
    by_head = zip(data.losses, means, counts, strict=True)
    figures |= {f"{one.head}_loss": mean for one, mean, n in by_head if n}
    return figures | {"grad_norm": update.grad_norm, "clip": update.clip}
