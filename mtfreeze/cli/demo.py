# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze demo``: what each freeze mode costs and gives, on real weights and real data.

A mode whose backbone trains begins with its heads alone (row ``start``), as `fit` does. It ends
with the comparison, its report, and one sentence of advice. The recipe, its data and how they were
split lie in one folder (examples/data of the repository; the package carries a copy). ``--images``
compares on pictures instead (examples/images), on a small model that it trains first; see
`demo_images`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DataError
from .build import build_model, build_tasks
from .compare import check_comparison, job_arguments
from .demo_images import FEW, digit_tasks, pretrained, read_digits
from .echo import echo
from .guard import INTERRUPTED
from .once import OnceCommand
from .options import debug_option
from .random_resnet import write_random_resnet

if TYPE_CHECKING:
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["demo", "find_data"]

RECIPE = "recipe.yaml"


def find_data(folder: str | None, images: bool = False) -> Path:
    """Return the folder of the demo's recipe and data.

    Parameters
    ----------
    folder : str or None
        The user's choice; by default ``examples/data`` here, or else what the package carries.
    images : bool
        Whether those of the demo on images are meant, in ``examples/images``.

    Raises
    ------
    DataError
        If there is no recipe in it.
    """
    from .. import _core

    carried = Path(_core.__file__).resolve().parent / "_examples"
    if folder is not None:
        places = [Path(folder)]
    elif images:
        places = [Path("examples/images"), carried / "images"]
    else:
        places = [Path("examples/data"), carried]
    for place in places:
        if (place / RECIPE).is_file():
            return place
    raise DataError(
        f"expected {RECIPE} and its data in {' or '.join(map(str, places))}; found none; "
        f"pass --data FOLDER, e.g. the examples/{'images' if images else 'data'} of the repository"
    )


def _say_sizes(model: MultiTaskModel, tasks: dict[str, Task]) -> None:
    for name, task in tasks.items():
        unit = "images" if model.reads_images else model.heads[name].spec.row_space.data
        sizes = [0 if part is None else len(part) for part in (task.train, task.eval)]
        echo(
            f"{name}: {sizes[0]:,} {unit} to train on, {sizes[1]:,} to evaluate on, "
            f"{len(model.heads[name].labels)} labels"
        )


@click.command(cls=OnceCommand)
@click.option("--images", is_flag=True, help="On pictures of digits and a small ResNet.")
@click.option("--data", "folder", metavar="FOLDER", help="Where recipe.yaml and the data lie.")
@click.option("--output", default="outputs", metavar="FOLDER", help="Where what is made goes.")
@click.option("--mode", "modes", multiple=True, metavar="SELECTOR", help="Only these modes.")
@click.option("--seeds", type=int, default=1, show_default=True, metavar="N", help="How many.")
@click.option("--set", "settings", multiple=True, metavar="a.b=c", help="Change the recipe.")
@debug_option
def demo(
    images: bool,
    folder: str | None,
    output: str,
    modes: tuple[str, ...],
    seeds: int,
    settings: tuple[str, ...],
) -> int:
    """Compare freeze modes on all-MiniLM-L6-v2 with two heads (minutes, on real data).

    With --images, on a small ResNet that is trained on handwritten digits first (a minute).
    """
    from ..comparing.compare import compare
    from ..recommending import recommend
    from ..runtime.threads import show_config
    from .job import load_config

    place, out = find_data(folder, images), Path(output)
    config = load_config(place / RECIPE, settings)
    if images:
        config.model["name"] = str(write_random_resnet(out / "pretrained"))
    model = build_model(config)
    chosen = list(modes) or config.modes
    for mode in modes:
        model.select(mode)  # a mode that matches nothing ends here, before the data is read
    if images:
        digits = read_digits(place)
        tasks = digit_tasks(config, digits, FEW)
        if pretrained(place, out / "pretrained", digits) is None:
            return INTERRUPTED
        model = build_model(config)
    else:
        tasks = build_tasks(config, model)
        echo(f"model: {config.model['name']}")
    echo(f"data: {place}, a fixed stratified split")
    _say_sizes(model, tasks)
    facts = show_config("dict") or {}
    echo(f"computing with {facts['threads']} threads, {facts['isa']}, {facts['blas']}\n")
    found = compare(
        model,
        tasks,
        chosen,
        seeds=seeds,
        **job_arguments(config),
    )
    echo(f"\n{found}\n")
    if found.interrupted:
        return INTERRUPTED
    echo(f"figures: {found.to_csv(out / 'comparison.csv')}")
    if found.first_runs():
        echo(f"pictures: {found.plot(out / 'comparison.png')}")
        echo(f"          {found.plot_modes(out / 'trainability.png')}")
    echo(f"report: {found.to_html(out / 'report.html')}")
    advice = recommend(model, tasks, progress=False)
    echo(f"\nadvice: {advice.sentence}")
    return check_comparison(found)
