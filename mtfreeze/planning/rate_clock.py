# SPDX-License-Identifier: Apache-2.0
"""Learning-rate schedules: a factor for each optimizer step, with linear warm-up.

Equal to ``get_linear_schedule_with_warmup`` and ``get_constant_schedule_with_warmup`` of Hugging
Face transformers. With n steps, w of them warm-up, the factor of step s (from 0) is

    s / w                          for s < w
    (n - s) / (n - w)              after it, "linear"
    1                              after it, "constant"

so that with a warm-up the very first step has a rate of zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from ..closest import counted, unknown
from ..errors import ConfigError

__all__ = ["SCHEDULES", "RateClock", "count_warmup_steps", "schedule_factor"]


def _linear(step: int, n_steps: int, n_warmup: int) -> float:
    return max(0.0, (n_steps - step) / max(1, n_steps - n_warmup))


def _constant(step: int, n_steps: int, n_warmup: int) -> float:
    return 1.0


SCHEDULES: dict[str, Callable[[int, int, int], float]] = {"linear": _linear, "constant": _constant}
"""What follows the warm-up, by the name that ``fit(lr_schedule=...)`` takes."""


def count_warmup_steps(n_steps: int, warmup_ratio: float, warmup_steps: int | None) -> int:
    """Return the number of warm-up steps of a run.

    Parameters
    ----------
    n_steps : int
        All optimizer steps of the run.
    warmup_ratio : float
        Share of the steps, in [0, 1], rounded up as transformers does.
    warmup_steps : int or None
        A number of steps; wins over the ratio unless it is None.

    Examples
    --------
    >>> count_warmup_steps(95, 0.1, None), count_warmup_steps(95, 0.1, 3)
    (10, 3)
    """
    if warmup_steps is not None:
        return warmup_steps
    return math.ceil(n_steps * warmup_ratio)


def schedule_factor(kind: str, step: int, n_steps: int, n_warmup: int) -> float:
    """Return the factor on every learning rate at one step.

    Parameters
    ----------
    kind : {"linear", "constant"}
        What follows the warm-up.
    step : int
        The optimizer step, from 0.
    n_steps, n_warmup : int
        Steps of the whole run, and how many of them are warm-up.

    Raises
    ------
    ConfigError
        For an unknown kind; the message names the closest one.

    Examples
    --------
    >>> [schedule_factor("linear", step, 4, 2) for step in range(4)]
    [0.0, 0.5, 1.0, 0.5]
    """
    if kind not in SCHEDULES:
        raise ConfigError(unknown("lr_schedule", kind, SCHEDULES))
    if step < n_warmup:
        return step / max(1, n_warmup)
    return SCHEDULES[kind](step, n_steps, n_warmup)


@dataclass(frozen=True)
class RateClock:
    """A schedule laid over steps of a run: all of them, or those of one phase.

    Attributes
    ----------
    kind : {"linear", "constant"}
        What follows the warm-up.
    first_step : int
        Where it begins, counted over the run from 0.
    n_steps, n_warmup : int
        How long it is, and how much of that is warm-up.
    """

    kind: str
    first_step: int
    n_steps: int
    n_warmup: int

    def factor(self, step: int) -> float:
        """Return the factor on every learning rate at a step, counted over the run from 0.

        Examples
        --------
        >>> RateClock("linear", 10, 4, 0).factor(12)
        0.5
        """
        return schedule_factor(self.kind, step - self.first_step, self.n_steps, self.n_warmup)

    def warmup_notes(self, first_step: int, n_steps: int) -> list[str]:
        """Return what a warm-up takes from a phase: all of its steps, or the highest rates.

        Parameters
        ----------
        first_step, n_steps : int
            Of the phase, counted over the run from 0; it lies inside of the schedule.

        Examples
        --------
        >>> RateClock("linear", 0, 4, 8).warmup_notes(0, 4)
        ['the warm-up takes 8 steps and there are 4: rates rise to 37.5 % of what they are to be...
        """
        notes = []
        if n_steps and not any(self.factor(first_step + step) for step in range(n_steps)):
            notes.append(
                "nothing is learned: its only step is the first of the warm-up, which has a rate "
                "of 0; pass warmup_ratio=0, or make smaller batches or more epochs"
            )
        highest = self.factor(self.first_step + self.n_steps - 1)
        begins = first_step == self.first_step
        if begins and 0 < self.n_steps <= self.n_warmup and highest > 0:
            notes.append(
                f"the warm-up takes {counted(self.n_warmup, 'step')} and there are "
                f"{self.n_steps:,}: rates rise to {100 * highest:.3g} % of what they are to be; "
                "choose a shorter warm-up, or train longer"
            )
        return notes
