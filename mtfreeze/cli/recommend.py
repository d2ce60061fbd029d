# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze recommend``: what to freeze for a job's data, and why."""

from __future__ import annotations

import click

from .echo import echo, echo_json
from .once import OnceCommand
from .options import JobOptions, job_argument, job_options, json_option

__all__ = ["recommend"]


@click.command(cls=OnceCommand)
@job_options
@job_argument
@click.option(
    "--budget", type=float, metavar="SECONDS", help="Seconds that training may take at most."
)
@json_option
def recommend(
    job: JobOptions,
    budget: float | None,
    as_json: bool,
) -> None:
    """Advise what to freeze for a job's model and data.

    Probes the frozen layers, prices schedules and trains nothing. What the job's file freezes is
    the question and is left aside; what --mode, --freeze or --train freeze here stays frozen.

    \b
    mtfreeze recommend job.yaml --budget 120
    """
    from ..recommending import recommend as recommend_for
    from .build import apply_freezing, build_model, build_tasks

    config = job.read()
    model = build_model(config)
    if job.says_what_is_frozen:
        apply_freezing(model, config.freezing)
    advice = recommend_for(model, build_tasks(config, model), budget, progress=not as_json)
    if as_json:
        echo_json(advice.to_dict())
    else:
        echo(advice)
