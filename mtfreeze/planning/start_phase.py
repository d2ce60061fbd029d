# SPDX-License-Identifier: Apache-2.0
"""The phase of its new heads alone that a run begins with, for a model; see ``start.py``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..closest import counted
from ..heads.task import Task
from .defaults import FROZEN_BACKBONE_RATES
from .freeze_schedule import FreezeSchedule
from .phase import Phase
from .resolving import ResolvedPhase, frozen_beside, resolved_phase
from .settings import FitSettings
from .start import StartSettings, start_settings

if TYPE_CHECKING:
    from ..model.state import ModelState

__all__ = ["START_NAME", "new_heads", "start_alone", "start_note", "start_phase"]

START_NAME = "start"
"""Of the phase, in histories and tables."""


def new_heads(model: ModelState, tasks: Mapping[str, Task]) -> list[str]:
    """Return the heads that no step ever trained, and that one of the tasks can train."""
    index = model.index
    with_values = {index.unit_paths[unit] for unit in index.unit_of}
    return [
        name
        for name, task in tasks.items()
        if task.train is not None
        and task.weight > 0
        and name in with_values
        and not model.heads[name].trained
    ]


def start_phase(
    model: ModelState, tasks: Mapping[str, Task], settings: FitSettings, first: ResolvedPhase
) -> tuple[ResolvedPhase, dict[str, Task], FitSettings] | None:
    """Return the heads' phase before `first`, its tasks, and the settings that it is planned with.

    Its length is that of its settings; both of its `epochs` and `steps` None: `count_start_steps`.
    None: the run begins with `first`.
    """
    given = start_settings(settings.start)
    if given is None or not any(
        unit.n_frozen < unit.n_values for unit in first.units if not unit.is_head
    ):
        return None
    still = {unit.path for unit in first.units if unit.is_head and unit.frozen}
    heads = [name for name in new_heads(model, tasks) if name not in still]
    if not heads:
        return None
    options = Phase(freeze="backbone", usual_rate=FROZEN_BACKBONE_RATES, **_of_the_phase(given))
    freeze = frozen_beside(model, first.freeze, heads)
    phase = resolved_phase(model, 1, START_NAME, freeze, given.epochs, given.steps, options)
    # What the user chose for the run is for the run: 5e-5, or a warm-up of 500 steps, is not meant
    # for a head on fixed features.
    usual = FitSettings()
    own = replace(
        settings,
        batch_size=given.batch_size or settings.batch_size,
        learning_rate=None,
        weight_decay=usual.weight_decay,
        warmup_ratio=usual.warmup_ratio,
        warmup_steps=None,
        lr_schedule=usual.lr_schedule,
        layer_decay=None,
    )
    return phase, {name: tasks[name] for name in heads}, own


def _of_the_phase(given: StartSettings) -> dict[str, Any]:
    """Return what the phase says of itself, beside what trains and how long."""
    return {
        "learning_rate": given.learning_rate,
        "weight_decay": given.weight_decay,
        "warmup_ratio": given.warmup_ratio,
        "warmup_steps": given.warmup_steps,
        "lr_schedule": given.lr_schedule,
        "name": START_NAME,
    }


def start_alone(settings: FitSettings, heads: Sequence[str], n_steps: int) -> dict[str, Any]:
    """Return the arguments of `fit` that run the heads' phase of a run by itself.

    Its steps, rates and batches are those of the phase, so its heads have the same bits, where what
    the phase does not say of itself is usual there too.

    Parameters
    ----------
    settings : FitSettings
        Of the run; its `start` is not ``"cold"``.
    heads : sequence of str
        Whose phase it is.
    n_steps : int
        That it has in the run.
    """
    given = start_settings(settings.start)
    assert given is not None
    own = {**_of_the_phase(given), "learning_rate": given.learning_rate or FROZEN_BACKBONE_RATES}
    schedule = FreezeSchedule().phase(train=list(heads), steps=n_steps, **own)
    return {
        "freeze_schedule": schedule,
        "batch_size": given.batch_size or settings.batch_size,
        "start": "cold",
    }


def start_note(n_steps: int, heads: list[str]) -> str:
    """Return what a run says of its start.

    Examples
    --------
    >>> start_note(60, ["classifier"])
    "start: first classifier alone on the frozen backbone, 60 steps; start='cold' trains all at..."
    """
    return (
        f"start: first {', '.join(heads)} alone on the frozen backbone, "
        f"{counted(n_steps, 'step')}; start='cold' trains all at once"
    )
