# SPDX-License-Identifier: Apache-2.0
"""What candidates cost, and the best of a ranking that time and memory allow.

Costs are `estimate`'s: the run is planned by the code that runs it, and a few steps are timed. What
does not fit into memory is never taken.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError
from ..estimating.estimator import estimate
from ..heads.task import Task
from ..runtime.progress import Reporter
from .candidates import NAMES, Candidate

if TYPE_CHECKING:
    from ..estimating import Estimate
    from ..multi_task_model import MultiTaskModel

__all__ = ["Choice", "Limits", "Priced", "choose", "possible", "price"]


@dataclass(frozen=True)
class Limits:
    """What training may take.

    Attributes
    ----------
    seconds : float or None
        The budget.
    memory : int or None
        Bytes; None: what this machine has free.
    """

    seconds: float | None = None
    memory: int | None = None

    def allow(self, one: Priced) -> bool:
        """Say whether a candidate keeps within the budget."""
        return self.seconds is None or one.seconds <= self.seconds


@dataclass(frozen=True)
class Priced:
    """A candidate and what training by it will cost.

    Attributes
    ----------
    candidate : Candidate
    estimate : Estimate
    """

    candidate: Candidate
    estimate: Estimate

    @property
    def seconds(self) -> float:
        """Of the whole run."""
        return self.estimate.seconds


@dataclass(frozen=True)
class Choice:
    """What is taken of a ranking, and what beside it.

    Attributes
    ----------
    chosen : Priced
    others : list of Priced
        The next best, those that the budget alone rules out among them.
    too_large : list of (Candidate, str)
        What does not fit into memory, and the words for it.
    """

    chosen: Priced
    others: list[Priced]
    too_large: list[tuple[Candidate, str]]


def possible(model: MultiTaskModel, ranked: Sequence[Candidate]) -> list[Candidate]:
    """Return the candidates that can train something, without those that pins make equal.

    Raises
    ------
    ConfigError
        If everything is pinned.
    """
    found: dict[tuple[frozenset[str], ...], Candidate] = {}
    for one in ranked:
        try:
            phases = one.schedule.resolve(one.on(model))
        except ConfigError:
            continue  # nothing that it would train is left by the pins
        # Pins can make candidates equal: what trains in turn tells them apart. The one that is
        # meant to train so little has the rates for it.
        trained = tuple(dict.fromkeys(phase.freeze.frozen for phase in phases))
        key = (*trained, frozenset([one.first_call]))
        same = found.get(key)
        if same is None or NAMES.index(one.name) < NAMES.index(same.name):
            found[key] = one
    if not found:
        raise ConfigError(
            "expected something that may train; found everything pinned by model.freeze(); call "
            "model.unfreeze() for what advice may be about"
        )
    return list(found.values())


def choose(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    ranked: Sequence[Candidate],
    fit_arguments: Mapping[str, Any],
    limits: Limits,
    n_alternatives: int,
    reporter: Reporter,
    further: Sequence[Candidate] = (),
) -> Choice:
    """Return the first of a ranking that the limits allow, and the next ones after it.

    Parameters
    ----------
    model, tasks
        As for `fit`; only copies compute.
    ranked : sequence of Candidate
        The best first.
    fit_arguments : mapping
        Arguments of `fit` beside the schedule.
    limits : Limits
        If nothing keeps within the budget, the cheapest is taken.
    n_alternatives : int
        How many others to price; better ones that take too long are among them.
    reporter : Reporter
        Draws the progress bar.
    further : sequence of Candidate
        Priced, and shown if they keep within the limits, where these rule the first out.

    Raises
    ------
    MemoryError
        If nothing fits into memory; the message says what would.
    """
    priced: list[Priced] = []
    too_large: list[tuple[Candidate, str]] = []
    chosen: Priced | None = None
    most = len(ranked) if limits.seconds is not None else min(len(ranked), n_alternatives + 1)
    with reporter.bar(most, "pricing schedules", unit="schedule"):
        for one in ranked:
            if chosen is not None and len(priced) > n_alternatives:
                break
            found = price(model, tasks, one, fit_arguments, limits.memory)
            if isinstance(found, str):
                too_large.append((one, found))
            else:
                priced.append(found)
                if chosen is None and limits.allow(found):
                    chosen = found
            reporter.advance(1)
    if not priced:
        raise MemoryError("; ".join(f"{one.name}: {why}" for one, why in too_large))
    if chosen is None:
        chosen = min(priced, key=lambda one: one.seconds)
    others = [one for one in priced if one is not chosen][: max(n_alternatives, 0)]
    if chosen.candidate is not ranked[0]:
        more = [price(model, tasks, one, fit_arguments, limits.memory) for one in further]
        others += [one for one in more if isinstance(one, Priced) and limits.allow(one)]
    return Choice(chosen, others, too_large)


def price(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    one: Candidate,
    fit_arguments: Mapping[str, Any],
    memory: int | None,
) -> Priced | str:
    """Price a candidate; what is too large for the memory gives the words for it."""
    with warnings.catch_warnings():
        # What a run would say of pins and heads is not news while schedules are priced.
        warnings.simplefilter("ignore")
        try:
            found = estimate(
                one.on(model),
                tasks,
                freeze_schedule=one.schedule,
                memory=memory,
                progress=False,
                **fit_arguments,
            )
        except MemoryError as error:
            return str(error).removeprefix("memory: ")
    if found.memory is not None and found.memory.fits is False:
        return str(found.memory).removeprefix("memory: ")
    return Priced(one, found)
