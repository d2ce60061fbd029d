# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze demo``: what each freeze mode costs and gives, on real weights and real data.

Both heads are trained on the frozen backbone first (row ``start``). Every mode then goes on from a
copy of that model with its own parts frozen, and is evaluated. The recipe, its data and how they
were split lie in one folder (examples/data of the repository; the package carries a copy).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..config import Config, Freezing
from ..data import Task
from ..errors import DataError
from ..metrics import metric_name, sequence_baseline, token_baseline
from ..mode_table import ModeRow, ModeTable, TaskColumns
from ..training.encoded import encode_task
from ..training.fit import fit
from ..training.run import Run
from .build import apply_freezing, build_model, build_tasks, debug_option
from .guard import FAILED
from .train import check_unmoved

if TYPE_CHECKING:
    from ..model import MultiTaskModel

__all__ = ["TITLE_METRICS", "baseline_row", "compare_modes", "demo", "find_data", "mode_row"]

RECIPE = "recipe.yaml"
TITLE_METRICS = {"sequences": ("accuracy", "f1_macro"), "tokens": ("f1", "precision", "recall")}
"""What the table shows of a head, by its row space; the change is that of the first."""


def find_data(folder: str | None) -> Path:
    """Return the folder of the demo's recipe and data.

    Parameters
    ----------
    folder : str or None
        The user's choice; by default ``examples/data`` here, or else what the package carries.

    Raises
    ------
    DataError
        If there is no recipe in it.
    """
    from .. import _core

    if folder is not None:
        places = [Path(folder)]
    else:
        places = [Path("examples/data"), Path(_core.__file__).resolve().parent / "_examples"]
    for place in places:
        if (place / RECIPE).is_file():
            return place
    raise DataError(
        f"expected {RECIPE} and its data in {' or '.join(map(str, places))}; found none; "
        "pass --data FOLDER, e.g. the examples/data of the repository"
    )


def baseline_row(model: MultiTaskModel, tasks: dict[str, Task]) -> ModeRow:
    """Return the row of always predicting what is most frequent in the training data."""
    metrics: dict[str, float] = {}
    for name, task in tasks.items():
        if task.train is None or task.eval is None:
            continue
        train, gold = (encode_task(model, name, task, part) for part in (task.train, task.eval))
        if train.of_words:
            labels = model.heads[name].labels
            tags = [[[labels[c] for c in row] for row in part.codes] for part in (train, gold)]
            scores = token_baseline(tags[0], tags[1])
        else:
            scores = sequence_baseline(train.codes, gold.codes)
        metrics |= {metric_name(name, metric): value for metric, value in scores.items()}
    return ModeRow("majority", metrics)


def mode_row(mode: str, run: Run) -> ModeRow:
    """Return the row of a run."""
    report = run.frozen
    if not report.ok:
        verdict = f"MOVED: {', '.join(report.moved[:3])}"
    elif run.n_trained and not report.changed:
        verdict = "nothing changed"
    else:
        verdict = f"{report.n_frozen} frozen tensors unchanged"
    seconds = sum(run.metrics.get(f"{part}_runtime", 0.0) for part in ("train", "prefix"))
    return ModeRow(mode, run.metrics, run.n_trained, seconds, verdict)


def compare_modes(
    config: Config,
    start: MultiTaskModel,
    tasks: dict[str, Task],
    modes: Sequence[str],
    table: ModeTable,
    progress: bool = True,
) -> tuple[dict[str, MultiTaskModel], list[Run]]:
    """Train a copy of `start` in every mode, adding a row to `table` for each.

    Returns
    -------
    models : dict of str to MultiTaskModel
        What each mode came to.
    runs : list of Run
        Those that were made; ends early with one that was interrupted.
    """
    models: dict[str, MultiTaskModel] = {}
    runs: list[Run] = []
    for number, mode in enumerate(modes, start=1):
        if progress:
            click.echo(f"\n[{number}/{len(modes)}] mode {mode}")
        model = start.copy()
        apply_freezing(model, Freezing(mode=mode))
        run = fit(model, tasks, **{**config.training, "progress": progress})
        runs.append(run)
        if run.interrupted:
            break
        models[mode] = model
        table.rows.append(mode_row(mode, run))
    return models, runs


def _say_sizes(model: MultiTaskModel, tasks: dict[str, Task]) -> None:
    for name, task in tasks.items():
        unit = "sentences" if model.heads[name].space == "sequences" else "tagged sentences"
        sizes = [0 if part is None else len(part) for part in (task.train, task.eval)]
        click.echo(
            f"{name}: {sizes[0]:,} {unit} to train on, {sizes[1]:,} to evaluate on, "
            f"{len(model.heads[name].labels)} labels"
        )


@click.command()
@click.option("--data", "folder", metavar="FOLDER", help="Where recipe.yaml and the data lie.")
@click.option("--output", default="outputs", metavar="FOLDER", help="Where picture and CSV go.")
@click.option("--mode", "modes", multiple=True, metavar="SELECTOR", help="Only these modes.")
@click.option("--set", "settings", multiple=True, metavar="a.b=c", help="Change the recipe.")
@debug_option
def demo(folder: str | None, output: str, modes: tuple[str, ...], settings: tuple[str, ...]) -> int:
    """Compare freeze modes on all-MiniLM-L6-v2 with two heads (minutes, on real data)."""
    from .._runtime import show_config
    from ..config import load_config
    from ..pictures.modes import modes_figure, modes_text
    from ..pictures.saving import write_picture
    from ..unit_states import unit_states

    place = find_data(folder)
    config = load_config(place / RECIPE, settings)
    chosen = list(modes) or config.modes
    model = build_model(config)
    for mode in chosen:
        model.select(mode)  # a mode that matches nothing ends here, not after minutes
    tasks = build_tasks(config, model)
    click.echo(f"model: {config.model['name']}")
    click.echo(f"data: {place}, a fixed stratified split")
    _say_sizes(model, tasks)
    facts = show_config("dict") or {}
    click.echo(f"computing with {facts['threads']} threads, {facts['isa']}, {facts['blas']}")

    shown = [TaskColumns(name, TITLE_METRICS[model.heads[name].space]) for name in tasks]
    table = ModeTable(shown, [baseline_row(model, tasks)])
    if config.start is not None:
        click.echo("\n[start] heads on the frozen backbone")
        apply_freezing(model, config.start_freezing)
        run = fit(model, tasks, **config.start)
        check_unmoved(run.frozen)
        if run.interrupted:
            return FAILED
        table.rows.append(mode_row("start", run))
    models, runs = compare_modes(config, model, tasks, chosen, table)

    click.echo(f"\n{table.text()}")
    click.echo(
        "\nmode: what was frozen. change: of the first metric, against start. "
        "seconds: training, and the pass over the frozen prefix where it was not found."
    )
    click.echo(f"table: {table.to_csv(Path(output) / 'freeze_modes.csv')}")
    if models:
        units = {mode: [(mode, unit_states(one))] for mode, one in models.items()}
        picture = write_picture(
            lambda: modes_figure(units),
            lambda: modes_text(units),
            Path(output) / "trainability.png",
        )
        click.echo(f"picture: {picture}")
    for run in runs:
        check_unmoved(run.frozen)
    return FAILED if any(run.interrupted for run in runs) else 0
