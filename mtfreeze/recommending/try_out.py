# SPDX-License-Identifier: Apache-2.0
"""Advice that was tried out: the candidates race on the data, and the one that wins is advised.

The race is that of `compare(race=)`, with the schedules and settings that `fit` would be called
with. Findings and their reasons stay; what the race says comes before them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..comparing.compare import compare
from ..comparing.race_settings import Race
from ..comparing.scenarios import Scenario
from ..errors import ConfigError, TrainingError
from ..heads.task import Task
from ..quantities import in_seconds
from ..runtime.progress import Reporter
from .advice import Advice, Alternative, Reason
from .budget import Limits, price
from .candidates import Candidate

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["tried_out"]


def tried_out(
    advice: Advice,
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    candidates: Sequence[Candidate],
    tolerance: float,
    limits: Limits,
    reporter: Reporter,
) -> Advice:
    """Return an advice with the winner of a race among candidates.

    Parameters
    ----------
    advice : Advice
        Without it.
    model, tasks
        As for `fit`; only copies train. A task without evaluation rows holds out a quarter.
    candidates : sequence of Candidate
        Those that can train something.
    tolerance : float
        The cheapest within so much of the best wins; 0.01 is a point.
    limits : Limits
        Its budget leaves out the candidates that would take longer, or more than the memory.
    reporter : Reporter

    Raises
    ------
    ConfigError
        If the budget leaves none; the message says the cheapest.
    MemoryError
        If none fits into memory.
    DataError
        If a task has too few rows to judge by.
    TrainingError
        If the race was interrupted, or every candidate failed.
    """
    race = Race(tolerance=tolerance)
    settings = advice.fit_arguments
    racing, slow = _within(limits, model, tasks, candidates, settings)
    scenarios = [_scenario(one, model) for one in racing]
    comparison = compare(
        model, tasks, scenarios, seeds=1, race=race, progress=reporter.enabled, **settings
    )
    found = comparison.race
    assert found is not None
    if found.chosen is None:
        why = "; ".join(f"{name}: {said}" for name, said in comparison.failed.items())
        raise TrainingError(
            f"expected a candidate that finished the race; found none: "
            f"{why or 'Ctrl-C ended it'}; call recommend again, or without try_out=True"
        )
    by_name = {one.name: one for one in racing}
    chosen = by_name[found.chosen]
    reasons = [Reason(f"In the race {line}.", "measured here") for line in found.reasons]
    if chosen.name != advice.name:
        reasons.append(
            Reason(f"Without trying out {advice.name} would be advised, for what follows.", "data")
        )
    others = sorted(
        (one for one in found.entries.values() if one.finished and one.name != chosen.name),
        key=lambda one: -one.value,
    )
    return replace(
        advice,
        name=chosen.name,
        says=chosen.says,
        schedule=chosen.schedule,
        seconds=found.entries[chosen.name].seconds,
        reasons=(*reasons, *advice.reasons),
        alternatives=tuple(
            Alternative(
                one.name,
                by_name[one.name].says,
                by_name[one.name].schedule,
                one.seconds,
                f"In the race {one.value:.3f} against {found.entries[chosen.name].value:.3f}.",
                by_name[one.name].first_call,
            )
            for one in others
        ),
        notes=(*slow, *advice.notes),
        factors=(),  # they speak of the choice without trying
        memory=advice.memory if chosen.name == advice.name else None,
        first_call=chosen.first_call,
        race=found,
    )


def _within(
    limits: Limits,
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    candidates: Sequence[Candidate],
    settings: Mapping[str, Any],
) -> tuple[list[Candidate], list[str]]:
    """Return the candidates that a budget allows, and what is to be said of the others."""
    if limits.seconds is None:
        return list(candidates), []
    budget, prices, left = limits.seconds, dict[str, float](), list[str]()
    kept = []
    for one in candidates:
        priced = price(model, tasks, one, settings, limits.memory)
        if isinstance(priced, str):
            left.append(f"{one.name} did not race: {priced}")
            continue
        prices[one.name] = priced.seconds
        if limits.allow(priced):
            kept.append(one)
        else:
            left.append(
                f"{one.name} did not race: about {in_seconds(priced.seconds)}, above the budget of "
                f"{in_seconds(budget)}"
            )
    if not prices:
        raise MemoryError("; ".join(left))
    if not kept:
        cheapest = min(prices, key=lambda name: prices[name])
        raise ConfigError(
            f"the budget of {in_seconds(budget)} allows no candidate to be tried out; the cheapest "
            f"is {cheapest}, about {in_seconds(prices[cheapest])}; give more seconds, or call "
            "recommend without try_out=True"
        )
    return kept, left


def _scenario(one: Candidate, model: MultiTaskModel) -> Scenario:
    """Return a candidate as a scenario, in which what the user pinned stays frozen."""
    state = model.freeze_state()
    pinned = (*sorted(state.pinned), *sorted(state.pinned_heads))
    return Scenario(one.name, mode=pinned or None, schedule=one.schedule, way=one.way)
