# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze demo``: what each freeze mode costs and gives, on real weights and real data.

A mode whose backbone trains begins with its heads alone (row ``start``), as `fit` does. It ends
with the comparison, its report, a sentence of advice, and the answer of a race. The recipe, its
data and how they were split lie in one folder (examples/data of the repository; the package carries
a copy). ``--images`` compares on pictures instead (examples/images), on a small model that it
trains first; see `demo_images`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import DataError
from .compare import check_comparison, job_arguments
from .echo import echo, echo_json, note
from .guard import INTERRUPTED
from .modes import mode_of
from .once import OnceCommand
from .options import common_options, json_option
from .overwriting import check_new_in, force_option

if TYPE_CHECKING:
    from ..comparing.comparison import Comparison
    from ..heads.task import Task
    from ..multi_task_model import MultiTaskModel

__all__ = ["demo", "find_data"]

RECIPE = "recipe.yaml"

RESULTS = ("comparison.csv", "comparison.png", "modes.png", "report.html")
"""What is written into the folder of ``--output``; no name of what other commands write there."""


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
        note(
            f"{name}: {sizes[0]:,} {unit} to train on, {sizes[1]:,} to evaluate on, "
            f"{len(model.heads[name].labels)} labels"
        )


@click.command(cls=OnceCommand)
@click.option("--images", is_flag=True, help="On pictures of digits and a small ResNet.")
@click.option("--data", "folder", metavar="FOLDER", help="Where recipe.yaml and the data lie.")
@click.option("--output", default="outputs", metavar="FOLDER", help="Where what is made goes.")
@force_option
@click.option("--mode", "named", multiple=True, metavar="A,!B", help="Only these modes.")
@click.option("--seeds", type=int, default=1, show_default=True, metavar="N", help="How many.")
@click.option("--set", "settings", multiple=True, metavar="a.b=c", help="Change the recipe.")
@json_option
@common_options
def demo(
    images: bool,
    folder: str | None,
    output: str,
    force: bool,
    named: tuple[str, ...],
    seeds: int,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Compare freeze modes on all-MiniLM-L6-v2 with two heads (minutes, on real data).

    With --images, on a small ResNet that is trained on handwritten digits first (a minute).
    """
    from ..comparing.answer import answer
    from ..comparing.compare import compare
    from ..recommending import recommend
    from ..runtime.threads import show_config
    from .build import build_model, build_tasks
    from .demo_images import FEW, digit_tasks, pretrained, read_digits
    from .job import load_config
    from .random_resnet import write_random_resnet

    place, out = find_data(folder, images), Path(output)
    check_new_in(output, RESULTS, force)
    config = load_config(place / RECIPE, settings)
    if images:
        config.model["name"] = str(write_random_resnet(out / "pretrained"))
    model = build_model(config)
    modes = [mode_of(one) for one in named]
    chosen = modes or config.modes
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
        note(f"model: {config.model['name']}")
    note(f"data: {place}, a fixed stratified split")
    _say_sizes(model, tasks)
    facts = show_config("dict") or {}
    note(f"computing with {facts['threads']} threads, {facts['isa']}, {facts['blas']}\n")
    found = compare(
        model,
        tasks,
        chosen,
        seeds=seeds,
        **job_arguments(config),
    )
    if found.interrupted:
        _show(found, {}, {}, as_json)
        return INTERRUPTED
    figures, comparison, trained, report = (out / name for name in RESULTS)
    files = {"figures": [str(found.to_csv(figures))]}
    if found.first_runs():
        pictures = found.plot(comparison), found.plot_modes(trained)
        files["pictures"] = [str(path) for path in pictures]
    files["report"] = [str(found.to_html(report))]
    said = {"advice, before anything trains": recommend(model, tasks, progress=False).sentence}
    if (said_last := answer(found)) is not None:
        said["answer"] = said_last
    _show(found, files, said, as_json)
    return check_comparison(found)


def _show(
    found: Comparison, files: Mapping[str, list[str]], said: Mapping[str, str], as_json: bool
) -> None:
    """Print the comparison, what was written, and the sentences that end it."""
    if as_json:
        echo_json({**found.to_dict(), "files": files, "said": said})
        return
    echo(f"{found}\n")
    for name, paths in files.items():
        echo(f"{name}: {paths[0]}")
        for path in paths[1:]:
            echo(f"{' ' * len(name)}  {path}")
    for name, sentence in said.items():
        echo(f"\n{name}: {sentence}")
