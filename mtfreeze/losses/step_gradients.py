# SPDX-License-Identifier: Apache-2.0
"""The gradients of a step: by losses of the core, and by those of one's own.

The gradient that a loss of one's own returns is injected where a loss of the core injects its own;
from there on the step is the same. Such a loss sees all rows of the step at once, so the outputs
are there before any backward pass: where a step is cut into several micro-batches, the outputs of
all are computed first, and each micro-batch runs its forward pass once more for its backward.
Dropout depends on the step and the sequence, so both passes give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import _core
from ..quoting import quoted
from .own import Float32, LossFunction, Targets, labelled_rows, value_and_gradient
from .step_loss import StepLoss

__all__ = ["prepare_gradients"]

Means = tuple[list[float], list[int]]


def prepare_gradients(
    core: _core.Model,
    batch: Any,
    losses: Sequence[StepLoss],
    own: Mapping[str, LossFunction],
    injections: Mapping[str, Float32] | None = None,
    *,
    token_budget: int,
    seed: int,
    step: int,
    dropout: bool = True,
    **computed_in: Any,
) -> Callable[[], Means]:
    """Call the losses of one's own; return what is left of the gradients of a step, to be called.

    It is two calls so that errors of the core and of the user's functions are told apart.

    Parameters
    ----------
    core : Model
        No weight changes.
    batch : batch of the core
        The whole step.
    losses : sequence of StepLoss
        Every head once.
    own : mapping of str to callable
        By head; the losses of other heads are those of the core.
    injections : mapping of str to (N, width) array, optional
        Gradients at named outputs, added to those of the losses.
    token_budget, seed, step, dropout, computed_in
        As the core's ``train_gradients`` takes them.

    Returns
    -------
    callable
        Returns, for each of `losses`, its mean over labelled rows without weight, and how many
        these are. The gradients then wait in the core.

    Raises
    ------
    TrainingError
        If a loss of one's own does not return what it should.
    """
    options = {"seed": seed, "step": step, "dropout": dropout, **computed_in}
    added = dict(injections or {})

    def by_core(of_core: Sequence[StepLoss]) -> Means:
        return core.train_gradients(batch, of_core, added, token_budget=token_budget, **options)

    if not own:
        return partial(by_core, losses)
    rows = {one.head: labelled_rows(one.targets) for one in losses}
    counts = {head: int(labelled.sum()) for head, labelled in rows.items()}
    means = dict.fromkeys(counts, 0.0)
    waits = False
    if any(counts[head] for head in counts if head in own):
        core.train_begin(**options)
        wanted = list(dict.fromkeys([*(head for head in counts if counts[head]), *added]))
        values, waits = core.train_outputs(batch, wanted, token_budget)
        outputs = dict(zip(wanted, values, strict=True))
        for head, targets, weight, *_ in losses:
            if head in own and counts[head]:
                means[head], gradient = _of_all_rows(
                    own[head],
                    outputs[head],
                    targets,
                    rows[head],
                    f"step {step + 1}, task {quoted(head)}",
                )
                gradient *= np.float32(weight)
                added[head] = gradient + added[head] if head in added else gradient
    of_core = [one for one in losses if one.head not in own and counts[one.head]]

    def finish() -> Means:
        if waits:
            divisors = [one.divisor() for one in of_core]
            scaled = [
                one._replace(weight=one.weight / by)
                for one, by in zip(of_core, divisors, strict=True)
            ]
            sums = core.train_backward(scaled, added)
            found = [total / by for total, by in zip(sums, divisors, strict=True)]
        else:
            found, _ = by_core(of_core)
        means.update(zip((one.head for one in of_core), found, strict=True))
        return list(means.values()), list(counts.values())

    return finish


def _of_all_rows(
    loss: LossFunction,
    outputs: Float32,
    targets: Targets,
    labelled: NDArray[np.bool_],
    where: str,
) -> tuple[float, Float32]:
    """Return mean and gradient of a loss on the labelled rows; the gradient of others is zero."""
    mean, of_labelled = value_and_gradient(loss, outputs[labelled], targets[labelled], where)
    gradient = np.zeros_like(outputs)
    gradient[labelled] = of_labelled
    return mean, gradient
