# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze estimate``: what a job will take, before it runs; and ``train --dry-run``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from .echo import echo, echo_json
from .once import OnceCommand
from .options import (
    JobOptions,
    epochs_option,
    job_argument,
    job_options,
    json_option,
    memory_option,
    training_precision_option,
)

if TYPE_CHECKING:
    from ..estimating import Estimate
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel
    from .job import Config

__all__ = ["estimate", "estimate_job", "estimates_text"]


def estimate_job(
    config: Config,
    model: MultiTaskModel,
    tasks: Mapping[str, Task],
    arguments: Mapping[str, Any],
) -> dict[str, Estimate]:
    """Estimate the parts of a job: ``start``, where it has one, and ``training``.

    Parameters
    ----------
    config : Config
        The job.
    model, tasks
        Built from it; the model is left frozen as ``training`` wants it.
    arguments : mapping
        Those of `fit` for the part ``training``, and ``memory``.
    """
    from ..estimating.earlier import EarlierRuns
    from ..estimating.estimator import estimate_after
    from .build import apply_freezing

    found = {}
    before = EarlierRuns()  # the second part finds in the process what the first one stores
    if config.start is not None:
        apply_freezing(model, config.start_freezing)
        shared = {name: arguments[name] for name in ("progress", "memory") if name in arguments}
        start = {**config.start, **shared}
        found["start"] = estimate_after(before, model, tasks, **start)
        apply_freezing(model, config.freezing)
    found["training"] = estimate_after(before, model, tasks, **arguments)
    return found


@click.command(cls=OnceCommand)
@job_options
@job_argument
@epochs_option
@training_precision_option
@memory_option
@json_option
def estimate(
    job: JobOptions,
    memory: int | None,
    as_json: bool,
) -> None:
    """Say what a job will take: seconds, memory, cache and FLOPs of each phase.

    Also whether training and inference fit into memory and, if not, which other ways do.
    Times a few steps on the job's own data and trains nothing.

    \b
    mtfreeze estimate job.yaml --mode "backbone[:3]" --epochs 3
    """
    from .build import apply_freezing, build_model, build_tasks

    config = job.read()
    model = build_model(config)
    apply_freezing(model, config.freezing)
    arguments = {**config.training, "memory": memory}
    if as_json:
        arguments["progress"] = False
    found = estimate_job(config, model, build_tasks(config, model), arguments)
    if as_json:
        echo_json({part: one.to_dict() for part, one in found.items()})
    else:
        echo(estimates_text(found))


def estimates_text(found: Mapping[str, Estimate]) -> str:
    """Return the tables of the parts of a job, each under its name where there are several."""
    if len(found) == 1:
        return str(next(iter(found.values())))
    return "\n\n".join(f"{part}:\n{one}" for part, one in found.items())
