# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze inspect``: what a model is made of, what is frozen in it, and what that saves."""

from __future__ import annotations

import click

from ..freezing.describe import frozen_line
from .build import apply_freezing, build_model
from .echo import echo
from .job_training import Freezing
from .once import OnceCommand
from .options import JobOptions, job_options

__all__ = ["inspect"]


@click.command(cls=OnceCommand)
@click.argument("model", required=False)
@job_options
@click.option("--picture", metavar="FILE.png", help="Draw which parts train.")
def inspect(
    job: JobOptions,
    model: str | None,
    picture: str | None,
) -> None:
    """Show a model (a folder or a name), or the model of a job.

    \b
    mtfreeze inspect outputs/reviews
    mtfreeze inspect sentence-transformers/all-MiniLM-L6-v2 --mode "backbone[:3]"
    mtfreeze inspect --config job.yaml
    """
    from ..multi_task_model import MultiTaskModel

    if (model is None) == (job.config_path is None):
        raise click.UsageError("expected a model or --config FILE.yaml, one of the two")
    if model is None:
        config = job.read()
        loaded = build_model(config)
        apply_freezing(loaded, config.freezing)
    else:
        if job.settings:
            raise click.UsageError("--set changes a job; found no --config")
        loaded = MultiTaskModel.from_pretrained(model)
        if job.freeze_precision is not None and not job.says_what_is_frozen:
            raise click.UsageError(
                "--freeze-precision says how frozen parts are computed; found none of --mode, "
                "--freeze, --train, which say what is frozen"
            )
        if job.says_what_is_frozen:
            apply_freezing(loaded, job.freezing(Freezing()))
    echo(frozen_line(loaded))
    echo()
    echo(str(loaded.summary()))
    echo()
    echo(loaded.explain())
    if picture is not None:
        echo(f"picture: {loaded.plot_trainability(picture)}")
