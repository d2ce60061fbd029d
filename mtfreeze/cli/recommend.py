# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze recommend``: what to freeze for a job's data, and why."""

from __future__ import annotations

from dataclasses import replace

import click

from .echo import echo, echo_json
from .once import OnceCommand
from .options import JobOptions, job_argument, job_options, json_option, memory_option

__all__ = ["recommend"]


@click.command(cls=OnceCommand)
@job_options
@job_argument
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
@click.option("--try-out", is_flag=True, help="Train the candidates in a race; advise the winner.")
@json_option
def recommend(
    job: JobOptions,
    budget: float | None,
    memory: int | None,
    models: tuple[str, ...],
    try_out: bool,
    as_json: bool,
) -> None:
    """Advise what to freeze for a job's model and data.

    Probes the frozen layers, prices schedules and trains nothing unless it is to --try-out. What
    the job's file freezes is the question and is left aside; what --mode, --freeze or --train
    freeze here stays frozen.

    \b
    mtfreeze recommend job.yaml --budget 120
    mtfreeze recommend job.yaml --try-out
    mtfreeze recommend job.yaml --models small-folder --models large-folder
    """
    from ..recommending import recommend as recommend_for
    from .build import apply_freezing, build_model, build_tasks

    config = job.read()
    if models:
        if budget is not None or try_out or job.says_what_is_frozen:
            raise click.UsageError(
                "--models ranks backbones as they are; leave out --budget, --try-out, --mode, "
                "--freeze and --train, and ask with them about one model"
            )
        named = [replace(config, model={**config.model, "name": name}) for name in models]
        backbones = [build_model(one) for one in named]
        tasks = build_tasks(config, backbones[0])
        ranking = recommend_for(models=backbones, tasks=tasks, memory=memory, progress=not as_json)
        if as_json:
            echo_json(ranking.to_dict())
        else:
            echo(ranking)
        return
    model = build_model(config)
    if job.says_what_is_frozen:
        apply_freezing(model, config.freezing)
    tasks = build_tasks(config, model)
    advice = recommend_for(
        model, tasks, budget, memory=memory, try_out=try_out, progress=not as_json
    )
    if as_json:
        echo_json(advice.to_dict())
    else:
        echo(advice)
