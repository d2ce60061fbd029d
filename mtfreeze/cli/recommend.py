# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze recommend``: what to freeze for a job's data, and why."""

from __future__ import annotations

import json
from dataclasses import replace

import click

from .build import apply_freezing, build_model, build_tasks
from .echo import echo
from .once import OnceCommand
from .options import JobOptions, job_options, memory_option

__all__ = ["recommend"]


@click.command(cls=OnceCommand)
@job_options
@click.option(
    "--budget", type=float, metavar="SECONDS", help="Seconds that training may take at most."
)
@memory_option
@click.option(
    "--models",
    multiple=True,
    metavar="NAME",
    help="Rank these backbones in place of the job's; once for each.",
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def recommend(
    job: JobOptions,
    budget: float | None,
    memory: int | None,
    models: tuple[str, ...],
    as_json: bool,
) -> None:
    """Advise what to freeze for a job's model and data.

    Probes the frozen layers, prices schedules and trains nothing. What the job's file freezes is
    the question and is left aside; what --mode, --freeze or --train freeze here stays frozen.

    \b
    mtfreeze recommend --config job.yaml --budget 120
    mtfreeze recommend --config job.yaml --models small-folder --models large-folder
    """
    from ..recommending import recommend as recommend_for

    config = job.read()
    if models:
        if budget is not None or job.says_what_is_frozen:
            raise click.UsageError(
                "--models ranks backbones as they are; leave out --budget, --mode, --freeze and "
                "--train, and ask with them about one model"
            )
        named = [replace(config, model={**config.model, "name": name}) for name in models]
        backbones = [build_model(one) for one in named]
        tasks = build_tasks(config, backbones[0])
        ranking = recommend_for(models=backbones, tasks=tasks, memory=memory, progress=not as_json)
        echo(json.dumps(ranking.to_dict(), indent=2) if as_json else str(ranking))
        return
    model = build_model(config)
    if job.says_what_is_frozen:
        apply_freezing(model, config.freezing)
    advice = recommend_for(
        model, build_tasks(config, model), budget, memory=memory, progress=not as_json
    )
    echo(json.dumps(advice.to_dict(), indent=2) if as_json else str(advice))
