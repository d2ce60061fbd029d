# SPDX-License-Identifier: Apache-2.0
"""What a model remembers of the run that it comes out of, for the card of its folder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

from ..data.examples import Examples
from ..freezing.digests import digest_model
from ..heads.task import Task
from ..model.last_run import LastRun, TaskRecord, fingerprint
from .run import Run

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel
    from ..planning.run_plan import RunPlan

__all__ = ["remember"]


def remember(
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    plan: RunPlan,
    run: Run,
    digests: Mapping[str, str],
) -> None:
    """Note on the model what it comes from: rows, figures, what was frozen.

    Parameters
    ----------
    model : MultiTaskModel
        As the run leaves it.
    tasks : mapping of str to Task
        Those of the run.
    plan : RunPlan
        What was planned.
    run : Run
        What came of it.
    digests : mapping of str to str
        Of the tensors at the end of the last phase; taken anew where the best model was restored.
    """
    if run.best_step is not None:
        digests = digest_model(model)
    record = LastRun(
        fingerprint(model, digests),
        run.n_steps,
        run.n_planned,
        tuple(phase.line for phase in plan.phases[: len(run.phases)]),
        run.verdict,
        {
            name: TaskRecord(
                _rows(task.train), _rows(task.eval), _figures(name, tasks, run.metrics)
            )
            for name, task in tasks.items()
        },
    )
    model._loaded = replace(model._loaded, last_run=record)


def _rows(data: Examples | None) -> tuple[str, int] | None:
    """Return name and number of rows; of a path its last part: a card is read elsewhere."""
    return None if data is None else (PurePath(data.name).name or data.name, len(data))


def _figures(
    name: str, tasks: Mapping[str, Task], metrics: Mapping[str, float]
) -> dict[str, float]:
    """Return the figures of one task by their short names; those of `a_b` are not those of `a`."""
    begin = f"eval_{name}_"
    longer = [f"eval_{one}_" for one in tasks if one.startswith(f"{name}_")]
    return {
        key.removeprefix(begin): float(value)
        for key, value in metrics.items()
        if key.startswith(begin) and not key.startswith(tuple(longer)) and math.isfinite(value)
    }
