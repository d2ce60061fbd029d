# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze recommend``: what to freeze for a job's data, and why."""

from __future__ import annotations

import json

import click

from .build import apply_freezing, build_model, build_tasks
from .echo import echo
from .once import OnceCommand
from .options import JobOptions, job_options

__all__ = ["recommend"]


@click.command(cls=OnceCommand)
@job_options
@click.option(
    "--budget", type=float, metavar="SECONDS", help="Seconds that training may take at most."
)
@click.option("--try-out", is_flag=True, help="Train the candidates in a race; advise the winner.")
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def recommend(
    job: JobOptions,
    budget: float | None,
    try_out: bool,
    as_json: bool,
) -> None:
    """Advise what to freeze for a job's model and data.

    Probes the frozen layers, prices schedules and trains nothing unless it is to --try-out. What
    the job's file freezes is the question and is left aside; what --mode, --freeze or --train
    freeze here stays frozen.

    \b
    mtfreeze recommend --config job.yaml --budget 120
    mtfreeze recommend --config job.yaml --try-out
    """
    from ..recommending import recommend as recommend_for

    config = job.read()
    model = build_model(config)
    if job.says_what_is_frozen:
        apply_freezing(model, config.freezing)
    tasks = build_tasks(config, model)
    advice = recommend_for(model, tasks, budget, try_out=try_out, progress=not as_json)
    echo(json.dumps(advice.to_dict(), indent=2) if as_json else str(advice))
