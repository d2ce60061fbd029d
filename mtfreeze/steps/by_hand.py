# SPDX-License-Identifier: Apache-2.0
"""Gradients and single optimizer steps on a few rows, for those who write their own loop.

A batch is a mapping from heads to rows, ``{"classifier": [("good", "positive"), ...]}``; heads
given the same rows share one pass. Rows may also come as a `Task`, which carries a weight. The
mathematics is in the core; `mtfreeze.fit` uses the same calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..checks import check_choice, check_flag, check_integer, check_number, check_seed, typed
from ..closest import name_list
from ..errors import ConfigError, SelectorError
from ..freezing.facts import publish
from ..losses.step_gradients import prepare_gradients
from ..quoting import quoted
from ..runtime.precision import FP32, TRAINING_PRECISIONS, check_precision, core_code

if TYPE_CHECKING:
    from ..model.state import ModelState
    from .batch import StepBatch

__all__ = ["StepResult", "computed_in", "gradients", "make_batch", "step"]

Float32 = NDArray[np.float32]


@dataclass(frozen=True)
class StepResult:
    """What one optimizer step did.

    Attributes
    ----------
    losses : dict of str to float
        Mean loss of every head over its labelled rows, before the step, without weights.
    grad_norm : float
        Global norm of the gradients before clipping.
    clip : float
        Factor by which they were multiplied; 1 is none.
    n_stepped : int
        Tensors that changed.
    """

    losses: dict[str, float]
    grad_norm: float
    clip: float
    n_stepped: int


def make_batch(model: ModelState, data: object, seed: int = 0, step: int = 0) -> StepBatch:
    """Turn rows by head into one packed batch with labels.

    Parameters
    ----------
    model : MultiTaskModel
        Its tokenizer and heads.
    data : mapping of str to Task or rows, or a StepBatch
        The loss of a frozen head is left out unless its Task says ``train_through_frozen``.
    seed, step : int
        What heads draw anew for every batch depends on them.

    Raises
    ------
    TypeError, ConfigError, DataError
        If heads, rows or labels do not fit.
    """
    from ..data.batches import Part, group_tasks
    from ..heads.task import Task
    from .batch import StepBatch, TrainingRows, check_tasks

    if isinstance(data, StepBatch):
        return data
    if not isinstance(data, Mapping):
        raise TypeError(
            'a batch must map head names to rows, such as {"classifier": [("good", "positive")]}; '
            f"found {type(data).__name__}"
        )
    whole_model: Any = model
    rows: dict[str, Any] = {
        name: one if isinstance(one, Task) else Task(train=one) for name, one in data.items()
    }
    tasks = {
        name: task
        for name, task in check_tasks(whole_model, rows).items()
        if not model.heads[name].frozen or task.train_through_frozen
    }
    groups = group_tasks(tasks, "joint")
    whole = tuple(Part(i, group.tasks, group.rows) for i, group in enumerate(groups))
    if not whole:
        raise ConfigError(
            f"expected a batch with a loss; found only frozen heads ({name_list(rows)}), whose "
            "tasks contribute none; unfreeze one, or pass Task(..., train_through_frozen=True)"
        )
    return TrainingRows(whole_model, tasks, seed).batch(groups, whole, epoch=step)


def gradients(
    model: ModelState,
    data: object,
    *,
    injections: Mapping[str, Float32] | None = None,
    dropout: bool = False,
    seed: int = 0,
    step: int = 0,
    token_budget: int = 4096,
    precision: str = "fp32",
    save_activations: str = "fp32",
) -> dict[str, Float32]:
    """Return the gradients of a batch, by parameter key; see `MultiTaskModel.gradients`."""
    how = computed_in(precision, save_activations)
    _compute(
        model,
        make_batch(model, data, seed, step),
        injections,
        dropout,
        seed,
        step,
        token_budget,
        how,
    )
    found = {key: model._core.gradient(i) for i, key in enumerate(model.param_keys)}
    return {key: gradient for key, gradient in found.items() if gradient is not None}


def computed_in(precision: object, save_activations: object) -> dict[str, Any]:
    """Return the core's arguments for what a step is computed in and what is kept of it.

    Raises
    ------
    TypeError, ConfigError
        If one is unknown, with the closest name.
    """
    known = TRAINING_PRECISIONS
    code = core_code(check_precision(precision, known))
    kept = check_precision(save_activations, known, name="save_activations")
    return {"precision": code, "save_bf16": kept != FP32}


def _compute(
    model: ModelState,
    batch: StepBatch,
    injections: Mapping[str, Float32] | None,
    dropout: bool,
    seed: int,
    step: int,
    token_budget: int,
    how: Mapping[str, Any],
) -> dict[str, float]:
    """Run forward and backward; return the mean losses by head."""
    outputs = [info.name for info in model._core.outputs()]
    if injections is not None and not isinstance(injections, Mapping):
        raise TypeError(f"injections must map outputs to arrays; found {typed(injections)}")
    for name, values in (injections or {}).items():
        check_choice("output", name, outputs, error=SelectorError)
        if not isinstance(values, np.ndarray):
            raise TypeError(f"injections[{quoted(name)}] must be an array; found {typed(values)}")
    compute = prepare_gradients(
        model._core,
        batch.batch.for_core(),
        batch.losses,
        batch.own,
        injections,
        token_budget=check_integer("token_budget", token_budget, 1),
        seed=check_seed("seed", seed),
        step=check_integer("step", step, 0),
        dropout=check_flag("dropout", dropout),
        **how,
    )
    means, _ = compute()
    return {one.head: mean for one, mean in zip(batch.losses, means, strict=True)}


def step(
    model: ModelState,
    data: object,
    *,
    learning_rate: float | Mapping[str, float],
    weight_decay: float | Mapping[str, float],
    max_grad_norm: float,
    betas: tuple[float, float],
    eps: float,
    dropout: bool,
    seed: int,
    token_budget: int,
    precision: str,
    save_activations: str,
) -> StepResult:
    """Run one AdamW step; see `MultiTaskModel.step`."""
    from ..planning.checks import check_betas
    from ..planning.rates import ParamLike, expand_decay, expand_rates

    model._check_no_run("step")
    how = computed_in(precision, save_activations)
    eps = check_number("eps", eps, above=True)
    beta1, beta2 = check_betas("betas", betas)
    largest = check_number("max_grad_norm", max_grad_norm, -math.inf)
    params = [
        ParamLike(info.key, not (info.frozen or info.is_buffer), info.decays)
        for info in model._core.params()
    ]
    if not any(one.trains for one in params):
        raise ConfigError(
            "expected something trainable; found everything frozen; unfreeze a part, e.g. "
            "model.unfreeze('heads')"
        )
    rates, _ = expand_rates(params, learning_rate, model.select)
    decay = expand_decay(params, weight_decay, model.select)
    facts = model._facts
    batch = make_batch(model, data, seed, facts.n_steps)
    losses = _compute(model, batch, None, dropout, seed, facts.n_steps, token_budget, how)
    after = facts.trained([head for head in losses if not model.heads[head].frozen])
    apply = partial(
        model._core.train_apply,
        rates,
        decay,
        beta1=beta1,
        beta2=beta2,
        eps=eps,
        max_grad_norm=largest,
    )
    [update] = publish(model, replace(after, n_steps=facts.n_steps + 1), apply)
    return StepResult(losses, update.grad_norm, update.clip, update.n_stepped)
