# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze compare``: the scenarios of a job side by side, in a table, a report and pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from ..closest import counted
from .echo import echo, echo_json, note
from .guard import FAILED, INTERRUPTED, FrozenChanged
from .modes import mode_of, modes_of
from .once import OnceCommand
from .options import (
    common_options,
    config_option,
    epochs_option,
    job_argument,
    job_file,
    json_option,
    no_job,
)

if TYPE_CHECKING:
    from ..comparing.comparison import Comparison
    from ..heads.task import Task
    from .job import Config

__all__ = [
    "check_comparison",
    "compare",
    "job_arguments",
    "scenario_arguments",
    "split_watched",
]


def scenario_arguments(training: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `fit` that the scenarios of a job share.

    What is about one run is left out. Callbacks (early stopping) stay in: that they cannot be
    compared with changes what is learned, so `compare` refuses them in words.
    """
    from ..comparing.arguments import NOT_SHARED

    of_one_run = {*NOT_SHARED, "progress"} - {"callbacks"}
    return {name: value for name, value in training.items() if name not in of_one_run}


def job_arguments(config: Config) -> dict[str, Any]:
    """Return the arguments of `compare` that a job gives; ``start`` is the heads' phase."""
    found = scenario_arguments(config.training)
    if config.start is not None:
        found["start"] = scenario_arguments(config.start)
    return found


def check_comparison(comparison: Comparison) -> int:
    """Return the exit code; raise `FrozenChanged` if a frozen tensor moved."""
    if not comparison.frozen_ok:
        moved = [run for run in comparison.runs if not run.frozen_ok]
        raise FrozenChanged(
            "expected frozen tensors to keep their bits; found "
            + "; ".join(f"{run.scenario}, seed {run.seed}: {run.verdict}" for run in moved)
        )
    if comparison.interrupted:
        return INTERRUPTED
    return FAILED if comparison.failed else 0


def split_watched(tasks: Mapping[str, Task]) -> tuple[dict[str, Task], dict[str, Task]]:
    """Return the tasks that train, and those that are only watched: they have data to evaluate on
    and none to train, as in a run. Where none trains, all are handed on, to be refused."""
    watched = {name: one for name, one in tasks.items() if one.train is None}
    if len(watched) == len(tasks):
        watched = {}
    return {name: one for name, one in tasks.items() if name not in watched}, watched


@contextmanager
def _pool(workers: int) -> Iterator[Executor | None]:
    if workers == 0:
        yield None
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import active_children, get_context

    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield pool
        finally:  # nothing they still do is waited for
            for worker in active_children():
                worker.terminate()


@click.command(cls=OnceCommand)
@config_option
@job_argument
@click.option("--set", "settings", multiple=True, metavar="a.b=c", help="Change a key of the job.")
@click.option(
    "--modes",
    metavar="A,B,...",
    help="What is FROZEN in each scenario, or A,!B;C where one has parts; default: the job's.",
)
@click.option(
    "--mode", "single", multiple=True, metavar="SELECTOR", help="The same, one at a time: A,!B."
)
@epochs_option
@click.option(
    "--seeds",
    type=int,
    metavar="N",
    help="How many; default: the job's, else 3, in a race 1 for those that race.",
)
@click.option(
    "--race", is_flag=True, help="Drop on the way who is behind; choose the cheapest of the best."
)
@click.option("--report", metavar="FILE.html", help="Write the whole report, one page.")
@click.option("--plot", metavar="FILE.png", help="Draw quality against time.")
@click.option("--csv", "csv_path", metavar="FILE.csv", help="Write all figures.")
@click.option("--output", metavar="FOLDER", help="Keep results; the same call goes on from there.")
@click.option("--keep-models", is_flag=True, help="Keep what each comes to, in FOLDER/models.")
@click.option(
    "--workers",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Run on N processes of one thread each; by default one after the other, here.",
)
@click.option("--gradients", is_flag=True, help="Also say whether the tasks pull together.")
@click.option("--quiet", is_flag=True, help="Print the table only.")
@json_option
@common_options
def compare(
    config_path: str | None,
    job_path: str | None,
    settings: tuple[str, ...],
    modes: str | None,
    single: tuple[str, ...],
    epochs: int | None,
    seeds: int | None,
    race: bool,
    report: str | None,
    plot: str | None,
    csv_path: str | None,
    output: str | None,
    keep_models: bool,
    workers: int,
    gradients: bool,
    quiet: bool,
    as_json: bool,
) -> int:
    """Train every freeze scenario of a job from one start; say which differences are significant.

    \b
    mtfreeze compare job.yaml --modes backbone,classifier,none --report report.html
    mtfreeze compare job.yaml --seeds 5 --workers 8 --output outputs/comparison
    mtfreeze compare job.yaml --race --output outputs/race
    """
    from ..comparing.compare import compare as compare_scenarios
    from .build import build_model, build_tasks
    from .job import load_config

    if modes is not None and single:
        raise click.UsageError("expected --modes A,B or --mode A --mode B; found both; leave one")
    if keep_models and output is None:
        raise click.UsageError("--keep-models keeps them in --output FOLDER; found no --output")
    named = [mode_of(one) for one in single] if modes is None else modes_of(modes)
    path = job_file(config_path, job_path)
    if path is None:
        raise no_job()
    config = load_config(path, settings)
    if epochs is not None:
        config.training["epochs"] = epochs
    chosen = named or config.modes
    model = build_model(config)
    tasks, watched = split_watched(build_tasks(config, model))
    with _pool(workers) as executor:
        found = compare_scenarios(
            model,
            tasks,
            chosen or None,
            seeds=config.seeds if seeds is None else seeds,
            gradients=gradients,
            race=config.race or race,
            old_tasks=watched or None,
            executor=executor,
            output_dir=output,
            keep_models=keep_models,
            progress=not quiet,
            **job_arguments(config),
        )
    files = _write_files(found, csv_path, plot, report)
    if as_json:
        echo_json({**found.to_dict(), "files": files})
    else:
        echo(found)
        for name, path in files.items():
            echo(f"{name}: {path}")
    if found.failed:
        note(f"{counted(len(found.failed), 'scenario')} failed; see the table")
    return check_comparison(found)


def _write_files(
    found: Comparison, figures: str | None, picture: str | None, report: str | None
) -> dict[str, str]:
    """Write what was asked for; return where it stands, by what it is."""
    files = {}
    if figures is not None:
        files["figures"] = str(found.to_csv(figures))
    if picture is not None:
        files["picture"] = str(found.plot(picture))
    if report is not None:
        files["report"] = str(found.to_html(report))
    return files
