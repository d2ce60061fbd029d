# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze train``: one job, from a YAML file to a trained and saved model."""

from __future__ import annotations

from pathlib import Path

import click

from ..files.fields import tsv_field
from ..freezing.digests import FrozenReport
from ..training.claiming import claimed
from ..training.fit import fit
from ..training.run import Run
from .build import apply_freezing, build_model, build_tasks
from .echo import echo
from .estimate import estimate_job, estimates_text
from .guard import INTERRUPTED, FrozenChanged
from .once import OnceCommand
from .options import JobOptions, job_options, training_precision_option

__all__ = ["check_unmoved", "train"]


def check_unmoved(report: FrozenReport) -> None:
    """Raise `FrozenChanged`, exit code 3, if a frozen tensor moved."""
    if not report.ok:
        raise FrozenChanged(f"expected frozen tensors to keep their bits; found {report}")


def _show(run: Run) -> None:
    for name, value in run.metrics.items():
        echo(f"{name}\t{value:.6g}")


@click.command(cls=OnceCommand)
@job_options
@training_precision_option
@click.option("--output", metavar="FOLDER", help="Save the trained model here.")
@click.option(
    "--resume",
    is_flag=False,
    flag_value="",
    metavar="[FOLDER]",
    help="Go on from the newest checkpoint of the output folder, or from this one.",
)
@click.option(
    "--dry-run", is_flag=True, help="Check everything, say what it will take, train nothing."
)
@click.option("--quiet", is_flag=True, help="Print the metrics only.")
def train(
    job: JobOptions,
    output: str | None,
    resume: str | None,
    dry_run: bool,
    quiet: bool,
) -> int:
    """Train what the job does not freeze, evaluate every task, prove that the rest did not move.

    \b
    mtfreeze train --config job.yaml --mode "backbone[:3]"
    mtfreeze train --config job.yaml --train classifier --set training.epochs=2
    mtfreeze train --config job.yaml --mode backbone --freeze-precision bf16
    mtfreeze train --config job.yaml --dry-run
    mtfreeze train --config job.yaml --set training.save_every=epoch --output out --resume
    """
    config = job.read()
    model = build_model(config)
    apply_freezing(model, config.freezing)  # a selector that matches nothing ends here
    tasks = build_tasks(config, model)
    arguments = dict(config.training)
    arguments["output_dir"] = output if output is not None else arguments.get("output_dir")
    arguments["progress"] = not quiet and arguments.get("progress", True)
    if resume is not None:
        arguments["resume"] = resume or True
    if dry_run:
        echo(estimates_text(estimate_job(config, model, tasks, arguments)))
        return 0
    if config.start is not None:
        if arguments["progress"]:
            echo("start:")
        apply_freezing(model, config.start_freezing)
        # Another run in the output folder is found now, unless `start` writes to it first.
        with claimed(None if "output_dir" in config.start else arguments["output_dir"]):
            before = fit(model, tasks, **{**config.start, "progress": arguments["progress"]})
        check_unmoved(before.frozen)
        if before.interrupted:
            return INTERRUPTED
        apply_freezing(model, config.freezing)
    run = fit(model, tasks, **arguments)
    _show(run)
    if arguments["output_dir"] is not None:
        echo(f"saved\t{tsv_field(str(Path(arguments['output_dir'])))}")
    check_unmoved(run.frozen)
    return INTERRUPTED if run.interrupted else 0
