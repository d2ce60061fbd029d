# SPDX-License-Identifier: Apache-2.0
"""What candidates cost, and the best of a ranking that a budget allows.

Costs are `estimate`'s: the run is planned by the code that runs it, and a few steps are timed.
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

__all__ = ["Priced", "choose", "possible"]


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
            phases = one.schedule.resolve(model)
        except ConfigError:
            continue  # nothing that it would train is left by the pins
        # Pins can make candidates equal: what trains in turn tells them apart. The one that is
        # meant to train so little has the rates for it.
        trained = tuple(dict.fromkeys(phase.freeze.frozen for phase in phases))
        same = found.get(trained)
        if same is None or NAMES.index(one.name) < NAMES.index(same.name):
            found[trained] = one
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
    budget: float | None,
    n_alternatives: int,
    reporter: Reporter,
) -> tuple[Priced, list[Priced]]:
    """Return the first of a ranking that the budget allows, and the next ones after it.

    Parameters
    ----------
    model, tasks
        As for `fit`; only copies compute.
    ranked : sequence of Candidate
        The best first.
    fit_arguments : mapping
        Arguments of `fit` beside the schedule.
    budget : float or None
        Seconds. If nothing keeps within it, the cheapest is taken.
    n_alternatives : int
        How many others to price; better ones that take too long are among them.
    reporter : Reporter
        Draws the progress bar.
    """
    priced: list[Priced] = []
    chosen: Priced | None = None
    most = len(ranked) if budget is not None else min(len(ranked), n_alternatives + 1)
    with reporter.bar(most, "pricing schedules", unit="schedule"):
        for one in ranked:
            if chosen is not None and len(priced) > n_alternatives:
                break
            with warnings.catch_warnings():
                # What a run would say of pins and heads is not news while schedules are priced.
                warnings.simplefilter("ignore")
                found = estimate(
                    one.on(model),
                    tasks,
                    freeze_schedule=one.schedule,
                    progress=False,
                    **fit_arguments,
                )
            priced.append(Priced(one, found))
            if chosen is None and (budget is None or found.seconds <= budget):
                chosen = priced[-1]
            reporter.advance(1)
    if chosen is None:
        chosen = min(priced, key=lambda one: one.seconds)
    return chosen, [one for one in priced if one is not chosen][: max(n_alternatives, 0)]
