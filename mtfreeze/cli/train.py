# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze train``: one job, from a YAML file to a trained and saved model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import ConfigError, Error
from ..files.fields import tsv_field
from .echo import echo, echo_json, note
from .estimate import estimate_job, estimates_text
from .guard import INTERRUPTED, FrozenChanged
from .once import OnceCommand
from .options import (
    PATH,
    JobOptions,
    epochs_option,
    is_job,
    job_argument,
    job_options,
    json_option,
    training_precision_option,
)
from .overwriting import check_new_in

if TYPE_CHECKING:
    from ..freezing.digests import FrozenReport
    from ..multi_task_model import MultiTaskModel
    from ..training.run import Run
    from .job import Config
    from .job_results import Push

__all__ = ["check_unmoved", "train"]

_HELD = ("config.json", "mtfreeze.json", "modules.json", "training_history.jsonl", "checkpoints")
"""What a run would write over, or count as its own."""


def check_unmoved(report: FrozenReport) -> None:
    """Raise `FrozenChanged`, exit code 3, if a frozen tensor moved."""
    if not report.ok:
        raise FrozenChanged(f"expected frozen tensors to keep their bits; found {report}")


def _clear_checkpoints(folder: str | None) -> None:
    """Remove the checkpoints of an earlier run, which the new one would refuse to replace."""
    from ..training.checkpoint import list_checkpoints, remove_checkpoint
    from ..training.claiming import claimed

    with claimed(folder):
        for path in [] if folder is None else list_checkpoints(Path(folder)):
            remove_checkpoint(path)


def _check_push(config: Config, model: MultiTaskModel, folder: str | None) -> None:
    """Refuse before the run what would keep its model from the hub; nothing is asked of it.

    Raises
    ------
    ConfigError
        If the hub is switched off, the head is none of its form, or the model is saved nowhere.
    ImportError
        If the package that pushes is missing.
    """
    push = config.push_to
    if push is None:
        return
    from ..model.task_models import check_task_model
    from ..sharing.upload import check_online

    if folder is None:
        raise ConfigError(
            "push_to sends the trained model to the hub, which may fail; found no folder that "
            "keeps it; add training.output_dir, or --output"
        )
    check_online(push.repo)
    if push.head is not None:
        check_task_model(model, push.head)


def _push(run: Run, push: Push | None, model: MultiTaskModel) -> str | None:
    """Push the model of a whole run; return where it is to be seen."""
    if push is None or not run.frozen.ok:
        return None
    if run.interrupted or run.paused:
        note(f"not pushed to {push.repo}: the run is not over")
        return None
    return model.push_to_hub(push.repo, private=push.private, head=push.head)


def _show(run: Run, folder: str | None, as_json: bool, pushed: str | None) -> None:
    if as_json:
        facts = {"metrics": run.metrics, "n_steps": run.n_steps, "n_planned": run.n_planned}
        facts |= {"interrupted": run.interrupted, "paused": run.paused, "stopped": run.stopped}
        facts |= {"frozen_ok": run.frozen.ok, "verdict": run.verdict, "notes": run.notes}
        echo_json(facts | {"saved": folder} | ({"pushed": pushed} if pushed else {}))
        return
    for name, value in run.metrics.items():
        echo(f"{name}\t{value:.6g}")
    if folder is not None:
        echo(f"saved\t{tsv_field(folder)}")
    if pushed is not None:
        echo(f"pushed\t{tsv_field(pushed)}")


@click.command(cls=OnceCommand)
@job_options
@job_argument
@epochs_option
@training_precision_option
@click.option("--output", type=PATH, metavar="FOLDER", help="Save the trained model here.")
@click.option("--force", is_flag=True, help="Write over an earlier run in the output folder.")
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
@json_option
def train(
    job: JobOptions,
    output: str | None,
    force: bool,
    resume: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train what the job does not freeze, evaluate every task, prove that the rest did not move.

    \b
    mtfreeze train job.yaml --epochs 2 --output out
    mtfreeze train job.yaml --mode "backbone[:3]"
    mtfreeze train job.yaml --train classifier --set training.batch_size=16
    mtfreeze train job.yaml --mode backbone --freeze-precision bf16
    mtfreeze train job.yaml --dry-run
    mtfreeze train job.yaml --set training.save_every=epoch --output out --resume
    """
    from ..training.claiming import claimed
    from ..training.fit import fit
    from .build import apply_freezing, build_model, build_tasks
    from .job_results import make_loggers

    if force and resume is not None:
        raise click.UsageError(
            "expected --resume, which goes on with a run, or --force, which writes over it; found "
            "both; leave one of them out"
        )
    if job.config_path is None and is_job(resume):
        raise click.UsageError(
            f"expected a job; found {resume} behind --resume, which takes a folder; write the job "
            "before the options"
        )
    config = job.read()
    arguments = dict(config.training)
    arguments["output_dir"] = output if output is not None else arguments.get("output_dir")
    arguments["progress"] = not quiet and arguments.get("progress", True)
    if resume is not None:
        arguments["resume"] = resume or True
    check_new_in(
        arguments["output_dir"],
        _HELD,
        force or bool(arguments.get("resume")),
        instead="--resume to go on from its checkpoint",
    )
    model = build_model(config)
    apply_freezing(model, config.freezing)  # a selector that matches nothing ends here
    tasks = build_tasks(config, model)
    _check_push(config, model, arguments["output_dir"])
    loggers = make_loggers(config.loggers)
    if dry_run:
        found = estimate_job(config, model, tasks, arguments)
        if as_json:
            echo_json({part: one.to_dict() for part, one in found.items()})
        else:
            echo(estimates_text(found))
        return 0
    if config.start is not None:
        if arguments["progress"]:
            note("start:")
        apply_freezing(model, config.start_freezing)
        # Another run in the output folder is found now, unless `start` writes to it first.
        with claimed(None if "output_dir" in config.start else arguments["output_dir"]):
            before = fit(model, tasks, **{**config.start, "progress": arguments["progress"]})
        check_unmoved(before.frozen)
        if before.interrupted:
            return INTERRUPTED
        apply_freezing(model, config.freezing)
    if force:
        _clear_checkpoints(arguments["output_dir"])
    if loggers:
        arguments["callbacks"] = [*arguments.get("callbacks", []), *loggers]
    run = fit(model, tasks, **arguments)
    folder = arguments["output_dir"]
    pushed, failed = None, None
    try:
        pushed = _push(run, config.push_to, model)
    except (Error, OSError) as error:  # the run is over all the same, and its model saved
        failed = error
    _show(run, None if folder is None else str(Path(folder)), as_json, pushed)
    check_unmoved(run.frozen)
    if failed is not None:
        raise failed
    return INTERRUPTED if run.interrupted else 0
