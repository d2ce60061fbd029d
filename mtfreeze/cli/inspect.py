# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze inspect``: what a model is made of, what is frozen in it, and what that saves."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import click

from .echo import echo, echo_json
from .once import OnceCommand
from .options import PATH, JobOptions, is_job, job_options, json_option

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["inspect", "show_freezing"]


@click.command(cls=OnceCommand)
@click.argument("model", type=PATH, required=False, metavar="[MODEL | JOB.yaml]")
@job_options
@click.option("--picture", metavar="FILE.png", help="Draw which parts train.")
@json_option
def inspect(
    job: JobOptions,
    model: str | None,
    picture: str | None,
    as_json: bool,
) -> None:
    """Show a model (a folder or a name), or the model of a job.

    \b
    mtfreeze inspect outputs/reviews
    mtfreeze inspect sentence-transformers/all-MiniLM-L6-v2 --mode "backbone[:3]"
    mtfreeze inspect job.yaml
    """
    from ..multi_task_model import MultiTaskModel
    from .build import apply_freezing, build_model
    from .job_training import Freezing

    if is_job(model) and job.config_path is None:
        job, model = replace(job, config_path=model), None
    if (model is None) == (job.config_path is None):
        raise click.UsageError(
            "expected a model or a job, FILE.yaml or --config FILE.yaml, one of the two"
        )
    if model is None:
        config = job.read()
        loaded = build_model(config)
        apply_freezing(loaded, config.freezing)
    else:
        if job.settings:
            raise click.UsageError("--set changes a job; found no job")
        loaded = MultiTaskModel.from_pretrained(model)
        if job.freeze_precision is not None and not job.says_what_is_frozen:
            raise click.UsageError(
                "--freeze-precision says how frozen parts are computed; found none of --mode, "
                "--freeze, --train, which say what is frozen"
            )
        if job.says_what_is_frozen:
            apply_freezing(loaded, job.freezing(Freezing()))
    show_freezing(loaded, picture, as_json)


def show_freezing(model: MultiTaskModel, picture: str | None, as_json: bool) -> None:
    """Print what is frozen in a model and what that saves, and draw it where `picture` says."""
    from ..freezing.describe import frozen_line

    line, summary, reasons = frozen_line(model), model.summary(), model.explain()
    drawn = None if picture is None else str(model.plot_trainability(picture))
    if as_json:
        facts = {"state": line, **asdict(summary), "explanation": reasons.splitlines()}
        echo_json(facts | {"picture": drawn})
        return
    echo(f"{line}\n\n{summary}\n\n{reasons}")
    if drawn is not None:
        echo(f"\npicture: {drawn}")
