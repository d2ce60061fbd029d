# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze evaluate``: what the heads of a saved model score, on a job's data or on files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ..closest import name_list
from ..errors import ConfigError
from .data import reader_options
from .echo import echo, echo_json
from .once import OnceCommand
from .options import (
    PATH,
    common_options,
    config_option,
    is_job,
    job_argument,
    job_file,
    json_option,
    no_job,
)
from .table import aligned

if TYPE_CHECKING:
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["evaluate"]


def _file_tasks(
    model: MultiTaskModel, files: tuple[str, ...], options: Mapping[str, Any]
) -> dict[str, Task]:
    """Read ``FILE`` or ``HEAD=FILE``, each for its head.

    Raises
    ------
    ConfigError
        If it is not said which head a file is for, or two are for one.
    """
    from ..data import read_file
    from ..heads.task import Task

    tasks: dict[str, Task] = {}
    for given in files:
        head, equals, path = given.partition("=")
        if not equals or head not in model.heads:
            if len(model.heads) != 1:
                raise ConfigError(
                    f"expected HEAD=FILE, as the model has {name_list(model.heads)}; found "
                    f"{given}; write --data {next(iter(model.heads))}={given}"
                )
            head, path = next(iter(model.heads)), given
        if head in tasks:
            raise ConfigError(f"expected one file a head; found two of {head}; leave one of them")
        tasks[head] = Task(eval=read_file(path, **options))
    return tasks


def _job_tasks(model: MultiTaskModel, path: str) -> dict[str, Task]:
    """Read the evaluation data of a job.

    Raises
    ------
    ConfigError
        If it has none.
    """
    from .build import build_tasks
    from .job import load_config

    config = load_config(path)
    for name, entry in list(config.data.items()):
        entry.pop("train", None)
        if "eval" not in entry:
            del config.data[name]
    if not config.data:
        raise ConfigError(
            f"{path}: expected data with an eval file; found none; add eval: FILE to a head of "
            "data, or pass --data FILE"
        )
    return build_tasks(config, model)


def _saved_by(path: str) -> str:
    """Return the folder that a job saves its model in."""
    from .job import load_config

    folder = load_config(path).training.get("output_dir")
    if folder is None:
        raise click.UsageError(
            f"expected the folder of a model; found {path} alone, which names no output_dir; write "
            f"mtfreeze evaluate FOLDER {path}"
        )
    return str(folder)


def _rows(
    model: MultiTaskModel, tasks: Mapping[str, Task], found: Mapping[str, float]
) -> dict[str, dict[str, float]]:
    """Return the figures of each task by their short names."""
    from ..heads.measure import LOSS
    from ..metrics.scores import metric_name

    names = {task: (LOSS.name, *model.heads[task].spec.measure.names) for task in tasks}
    return {
        task: {
            short: found[metric_name(task, short)]
            for short in shorts
            if metric_name(task, short) in found
        }
        for task, shorts in names.items()
    }


@click.command(cls=OnceCommand)
@click.argument("model", type=PATH)
@job_argument
@config_option
@click.option(
    "--data", "files", multiple=True, metavar="[HEAD=]FILE", help="Score on this; repeatable."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="a=b",
    help="With --data: an argument of its reader, such as text=review, label=stars.",
)
@click.option("--quiet", is_flag=True, help="Draw no progress bar.")
@json_option
@common_options
def evaluate(
    model: str,
    job_path: str | None,
    config_path: str | None,
    files: tuple[str, ...],
    settings: tuple[str, ...],
    quiet: bool,
    as_json: bool,
) -> None:
    """Score the heads of a model on files, or on the evaluation data of a job.

    \b
    mtfreeze evaluate outputs/reviews job.yaml
    mtfreeze evaluate outputs/reviews --data reviews_eval.tsv
    mtfreeze evaluate outputs/reviews --data classifier=new.csv --set text=review --set label=stars
    """
    from ..evaluating.evaluate import evaluate as score
    from ..multi_task_model import MultiTaskModel

    job = job_file(config_path, job_path)
    if job is None and is_job(model):
        job, model = model, _saved_by(model)
    if job is not None and files:
        raise click.UsageError(
            f"expected the data of {job} or --data; found both; leave one of them out"
        )
    if job is None and not files:
        raise no_job("--data FILE or a job")
    if settings and not files:
        raise click.UsageError("--set gives arguments to the reader of --data; found no --data")
    loaded = MultiTaskModel.from_pretrained(model)
    if not loaded.heads:
        raise click.UsageError(f"{model} has no heads; train it first (mtfreeze train)")
    if job is not None:
        tasks = _job_tasks(loaded, job)
    else:
        tasks = _file_tasks(loaded, files, reader_options(settings))
    found = score(loaded, tasks, progress=not quiet)
    if as_json:
        echo_json(found)
        return
    rows = _rows(loaded, tasks, found)
    columns = list(dict.fromkeys(short for figures in rows.values() for short in figures))
    lines = [("head", "rows", *columns)]
    for task, figures in rows.items():
        cells = [f"{figures[one]:.4f}" if one in figures else "" for one in columns]
        lines.append((task, f"{len(tasks[task].eval or ()):,}", *cells))
    echo(aligned(lines, right={"rows", *columns}))
