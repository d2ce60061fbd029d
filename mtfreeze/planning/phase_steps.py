# SPDX-License-Identifier: Apache-2.0
"""The steps of a phase: a rule, drawn an epoch at a time, so that a long plan takes no memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import overload

from ..data.batches import Step
from ..errors import ConfigError

__all__ = ["MOST_STEPS", "PhaseSteps", "PlannedStep", "check_n_steps"]

MOST_STEPS = 1_000_000
"""Of a run. Each leaves a row in the history, and what is asked of all of them takes a while."""


@dataclass(frozen=True)
class PlannedStep:
    """One optimizer step to come.

    Attributes
    ----------
    epoch : int
        Whose rows it has: counted over the whole run, from 0.
    step : tuple of Part
        Its rows; the parts count in the groups of the phase.
    ends_epoch : bool
        Whether it is the last of its epoch.
    before : bool
        Whether it comes before the first epoch.
    """

    epoch: int
    step: Step
    ends_epoch: bool
    before: bool = False

    @property
    def number(self) -> int:
        """Of its epoch, as people count: from 1; 0 for what comes before the first."""
        return 0 if self.before else self.epoch + 1


class PhaseSteps(Sequence[PlannedStep]):
    """The steps of a phase, in order; only those of one epoch are in memory.

    Parameters
    ----------
    draw : callable
        Number of an epoch -> its steps, the same at every call.
    first_epoch : int
        Of the phase, counted over the run.
    per_epoch : int
        Steps of every epoch; of the last one perhaps only the first are taken.
    n_steps : int
        Steps of the phase.
    before : bool
        Whether they come before the first epoch of the run, which then is one of its own.
    """

    def __init__(
        self,
        draw: Callable[[int], list[Step]],
        first_epoch: int,
        per_epoch: int,
        n_steps: int,
        before: bool = False,
    ) -> None:
        self._draw, self._first_epoch, self.before = draw, first_epoch, before
        self._per_epoch, self._n_steps = per_epoch, n_steps
        self._epoch, self._drawn = -1, list[Step]()

    @property
    def epochs(self) -> range:
        """The numbers of the epochs whose rows it has, counted over the whole run."""
        return range(self._first_epoch, self._first_epoch + self._n_drawn)

    @property
    def n_epochs(self) -> int:
        """Epochs that have steps in the phase; the last step of each ends it."""
        return min(1, self._n_steps) if self.before else self._n_drawn

    @property
    def _n_drawn(self) -> int:
        return -(-self._n_steps // self._per_epoch) if self._n_steps else 0

    def __len__(self) -> int:
        return self._n_steps

    @overload
    def __getitem__(self, at: int) -> PlannedStep: ...
    @overload
    def __getitem__(self, at: slice) -> list[PlannedStep]: ...
    def __getitem__(self, at: int | slice) -> PlannedStep | list[PlannedStep]:
        places = range(self._n_steps)[at]
        if isinstance(places, range):
            return [self._step(place) for place in places]
        return self._step(places)

    def __iter__(self) -> Iterator[PlannedStep]:
        return self.following(0)

    def following(self, first: int) -> Iterator[PlannedStep]:
        """Yield the steps from number `first` on, one after the other."""
        return map(self._step, range(first, self._n_steps))

    def _step(self, place: int) -> PlannedStep:
        number, within = divmod(place, self._per_epoch)
        epoch = self._first_epoch + number
        if epoch != self._epoch:
            self._drawn, self._epoch = self._draw(epoch), epoch
        ends = place + 1 == self._n_steps or (within + 1 == self._per_epoch and not self.before)
        return PlannedStep(epoch, self._drawn[within], ends, self.before)


def check_n_steps(n_epochs: int, n_steps: int) -> None:
    """Refuse a run that is longer than anybody waits for.

    Raises
    ------
    ConfigError
        If it has more than `MOST_STEPS` steps, or as many epochs without a step.
    """
    if max(n_steps, n_epochs) > MOST_STEPS:
        raise ConfigError(
            f"a run must have at most {MOST_STEPS:,} steps; found {n_epochs:,} epochs with "
            f"{n_steps:,} steps together; take fewer epochs, or a larger batch_size"
        )
