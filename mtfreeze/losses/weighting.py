# SPDX-License-Identifier: Apache-2.0
"""How much each task's loss counts in a step: fixed weights, or weights that are learned.

The loss of a step is the sum over its tasks of a factor x the task's mean loss. Static weights:
the factor is ``Task.weight``. Uncertainty weighting: every task i has a scalar s_i = log sigma_i^2,
and for classification

    L = sum_i  exp(-s_i) w_i L_i + s_i / 2          dL/ds_i = -exp(-s_i) w_i L_i + 1/2

(Kendall, Gal, Cipolla 2018, "Multi-task learning using uncertainty to weigh losses for scene
geometry and semantics", https://arxiv.org/abs/1705.07115, equation 10 and the end of section 3.2,
with w_i = Task.weight in front of the losses). For a constant loss s_i settles where
exp(s_i) = 2 w_i L_i. The scalars are no parameters of the model: an Adam of their own steps
them, they have no share in the clipping norm, and they do not decay.

How a training loop uses it::

    weighting = make_weighting("uncertainty", {name: task.weight for ...}, rate=0.01)
    losses = weighting.weigh(batch.losses)                  # before train_gradients
    means, _ = core.train_gradients(..., losses, ...)
    core.train_apply(...)
    history_row |= weighting.figures(heads)                 # the factors this step used
    weighting.update({head: mean, ...})                     # unweighted mean losses of the step

The order matters: `figures` before `update`, which moves the factors on.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from ..checks import as_number, typed
from ..closest import name_list, unknown
from ..errors import CheckpointError, ConfigError, TrainingError
from ..quoting import quoted
from .step_loss import StepLoss

__all__ = [
    "DEFAULT_WEIGHTING_RATE",
    "WEIGHTING",
    "LossWeighting",
    "UncertaintyWeighting",
    "make_weighting",
]

DEFAULT_WEIGHTING_RATE = 0.01
"""Of the scalars' Adam: a few hundred steps move a factor by about e, as far as losses fall."""

_BETA1, _BETA2, _EPS = 0.9, 0.999, 1e-8

_LIMIT = 10.0
"""Bounds of s: without them a loss that reaches zero would get an infinite factor."""


class LossWeighting:
    """Static weights: each task's loss counts ``Task.weight`` times, for the whole run.

    Parameters
    ----------
    task_weights : mapping of str to float
        ``Task.weight`` of every task whose loss may train, by name.

    Attributes
    ----------
    kind : str
        ``"static"``; the name that ``fit(loss_weighting=...)`` takes.
    """

    kind: ClassVar[str] = "static"

    def __init__(self, task_weights: Mapping[str, float]) -> None:
        self._task_weights = {name: float(weight) for name, weight in task_weights.items()}

    def weights(self, tasks: Iterable[str]) -> dict[str, float]:
        """Return the factor of each of these tasks' losses in the step that comes."""
        return {name: self._task_weights[name] for name in tasks}

    def weigh(self, losses: Sequence[StepLoss]) -> list[StepLoss]:
        """Return a batch's losses with the present factors as weights."""
        now = self.weights(one.head for one in losses)
        return [one._replace(weight=now[one.head]) for one in losses]

    def update(self, losses: Mapping[str, float]) -> None:
        """Learn from a step that was applied.

        Parameters
        ----------
        losses : mapping of str to float
            Mean loss of each task of the step, without factor. Tasks that were not in it do not
            move.
        """

    def figures(self, tasks: Iterable[str]) -> dict[str, float]:
        """Return what a step's history row says: ``weight.<task>``; nothing if they never change.

        Call it before `update`.
        """
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Return everything that a checkpoint must hold, as JSON values."""
        return {"kind": self.kind, "task_weights": dict(self._task_weights)}

    def from_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `to_dict` returned.

        Raises
        ------
        CheckpointError
            If it is of another kind of weighting or of other tasks; nothing is changed then.
        """
        kind, weights = state.get("kind"), state.get("task_weights")
        if kind != self.kind:
            raise CheckpointError(
                f"expected the state of loss_weighting={quoted(self.kind)}; found {quoted(kind)}; "
                "resume with "
                "the weighting that the run began with"
            )
        if weights != self._task_weights:
            raise CheckpointError(
                f"expected the state of tasks with weights {self._task_weights}; found {weights}; "
                "resume with the tasks and weights that the run began with"
            )


class UncertaintyWeighting(LossWeighting):
    """Learned weights after Kendall, Gal and Cipolla; see the module's docstring.

    The loss in the history is the weighted sum without the terms s / 2, so that it stays a loss.
    With one task a step AdamW divides a gradient by its own size, so factors act mostly through
    clipping; ``mixing="joint"`` lets them act in full.

    Parameters
    ----------
    task_weights : mapping of str to float
        w of every task whose loss may train; above 0.
    rate : float
        Learning rate of the scalars' Adam (betas 0.9 and 0.999, eps 1e-8), above 0.

    Raises
    ------
    TypeError, ConfigError
        If the rate or a weight cannot be used.
    """

    kind: ClassVar[str] = "uncertainty"

    def __init__(
        self, task_weights: Mapping[str, float], rate: float = DEFAULT_WEIGHTING_RATE
    ) -> None:
        super().__init__(task_weights)
        number = as_number(rate)
        if number is None:
            raise TypeError(
                f"weighting_rate must be a number; found {typed(rate)}; give a float above 0"
            )
        self.rate = number
        if not math.isfinite(self.rate) or self.rate <= 0:
            raise ConfigError(
                f"weighting_rate must be a finite number above 0; found {quoted(self.rate)}; "
                f"{DEFAULT_WEIGHTING_RATE} is usual"
            )
        for name, weight in self._task_weights.items():
            if not weight > 0:
                raise ConfigError(
                    f"loss_weighting='uncertainty' needs weights above 0; found "
                    f"Task(weight={weight}) for {quoted(name)}; leave its training data out, or "
                    "use "
                    "loss_weighting='static'"
                )
        # Per task: s, both moments of Adam, its step count.
        self._state = {name: [0.0, 0.0, 0.0, 0] for name in self._task_weights}

    @property
    def log_variances(self) -> dict[str, float]:
        """The scalar s of every task."""
        return {name: values[0] for name, values in self._state.items()}

    def weights(self, tasks: Iterable[str]) -> dict[str, float]:
        """Return exp(-s) w of each of these tasks."""
        return {name: math.exp(-self._state[name][0]) * self._task_weights[name] for name in tasks}

    def gradients(self, losses: Mapping[str, float]) -> dict[str, float]:
        """Return dL/ds of each task of a step at the present factors."""
        now = self.weights(losses)
        return {name: 0.5 - now[name] * loss for name, loss in losses.items()}

    def update(self, losses: Mapping[str, float]) -> None:
        """Step the scalars of these tasks by Adam; see `LossWeighting.update`.

        Raises
        ------
        TrainingError
            If a loss is not finite; nothing is changed then.
        """
        bad = [name for name, loss in losses.items() if not math.isfinite(loss)]
        if bad:
            raise TrainingError(
                f"expected finite losses to weigh tasks by; found {losses[bad[0]]} for "
                f"{quoted(bad[0])}; "
                "lower the learning rate"
            )
        for name, gradient in self.gradients(losses).items():
            s, moment1, moment2, n_steps = self._state[name]
            n_steps += 1
            moment1 = _BETA1 * moment1 + (1 - _BETA1) * gradient
            moment2 = _BETA2 * moment2 + (1 - _BETA2) * gradient * gradient
            size = math.sqrt(moment2 / (1 - _BETA2**n_steps)) + _EPS
            s -= self.rate * moment1 / (1 - _BETA1**n_steps) / size
            self._state[name] = [min(max(s, -_LIMIT), _LIMIT), moment1, moment2, n_steps]

    def figures(self, tasks: Iterable[str]) -> dict[str, float]:
        """Return ``weight.<task>`` of these tasks; call it before `update`."""
        return {f"weight.{name}": weight for name, weight in self.weights(tasks).items()}

    def to_dict(self) -> dict[str, Any]:
        """Return everything that a checkpoint must hold, as JSON values."""
        state = {name: list(values) for name, values in self._state.items()}
        return {**super().to_dict(), "rate": self.rate, "state": state}

    def from_dict(self, state: Mapping[str, Any]) -> None:
        """Take over the state that `to_dict` returned; see `LossWeighting.from_dict`."""
        super().from_dict(state)
        if state.get("rate") != self.rate:
            raise CheckpointError(
                f"expected the state of weighting_rate={self.rate}; found {state.get('rate')}; "
                "resume with the rate that the run began with"
            )
        saved = state.get("state")
        if not isinstance(saved, Mapping) or set(saved) != set(self._state):
            found = name_list(saved) if isinstance(saved, Mapping) else type(saved).__name__
            raise CheckpointError(
                f"expected the weighting's state of {name_list(self._state)}; found {found}; "
                "the checkpoint is damaged: resume from another"
            )
        for name, values in saved.items():
            if (
                not isinstance(values, list)
                or len(values) != 4
                or not all(type(v) in (int, float) and math.isfinite(v) for v in values)
            ):
                raise CheckpointError(
                    f"expected four numbers as the weighting's state of {quoted(name)}; found "
                    f"{str(values)[:60]}; the checkpoint is damaged: resume from another"
                )
        self._state = {
            name: [float(v) for v in saved[name][:3]] + [int(saved[name][3])]
            for name in self._task_weights
        }


WEIGHTING = (LossWeighting.kind, UncertaintyWeighting.kind)
"""What ``fit(loss_weighting=...)`` takes."""


def make_weighting(
    kind: object, task_weights: Mapping[str, float], rate: float = DEFAULT_WEIGHTING_RATE
) -> LossWeighting:
    """Return the weighting of a run, at its beginning.

    Parameters
    ----------
    kind : {"static", "uncertainty"}
        See the module's docstring.
    task_weights : mapping of str to float
        ``Task.weight`` of every task whose loss may train in some phase of the run.
    rate : float
        Learning rate of the learned weights; not read by "static".

    Raises
    ------
    TypeError, ConfigError
        If a value cannot be used.
    """
    if not isinstance(kind, str):
        raise TypeError(
            f"weighting must be one of {', '.join(map(repr, WEIGHTING))}; found {typed(kind)}"
        )
    if kind not in WEIGHTING:
        raise ConfigError(unknown("weighting", kind, WEIGHTING))
    if kind == LossWeighting.kind:
        return LossWeighting(task_weights)
    return UncertaintyWeighting(task_weights, rate)
