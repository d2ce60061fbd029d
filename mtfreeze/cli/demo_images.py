# SPDX-License-Identifier: Apache-2.0
"""What ``mtfreeze demo --images`` compares on: a small ResNet, pre-trained here, and new digits.

No weights of images come with a package as small as this one, so a narrow ResNet is trained from
random weights first, on the digits that ``pretraining.yaml`` names. The heads of ``recipe.yaml``
then read others. Pictures lie on one sheet, their labels in a file beside it.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ConfigError, DataError
from ..heads.task import Task
from ..images import Picture
from ..quantities import in_seconds, in_values
from ..quoting import cut, quoted
from .build import build_model
from .compare import scenario_arguments
from .echo import note
from .job import Config, load_config

if TYPE_CHECKING:
    from ..data.examples import Rows
    from ..multi_task_model import MultiTaskModel

__all__ = ["DIGITS", "digit_tasks", "pretrained", "read_digits"]

DIGITS = "digits.png", "digits.txt"
"""The sheet, and its labels: a line a row of the sheet, a character a picture."""

SIDE = 8
PRETRAINING = "pretraining.yaml"
TRAINED, FEW = 160, 8
"""Pictures of a digit that the backbone learns from, and later a head: of those few a choice of
what to freeze shows. All others are kept to be judged by."""

Digits = dict[str, list[np.ndarray]]


def read_digits(folder: Path) -> Digits:
    """Return the pictures of the sheet, (8, 8, 3) uint8 each, by their label.

    Raises
    ------
    DataError
        If the sheet has not as many pictures as there are labels.
    OSError
        If a file is not there.
    """
    sheet, names = (folder / name for name in DIGITS)
    lines = names.read_text(encoding="utf-8").split()
    pixels = Picture(sheet).decode()
    rows, columns = pixels.shape[0] // SIDE, pixels.shape[1] // SIDE
    full = [len(line) == columns for line in lines[:-1]]
    if len(lines) != rows or not all(full) or len(lines[-1]) > columns:
        raise DataError(
            f"{cut(str(names))}: expected a line a row of the sheet, {rows} of at most {columns} "
            f"labels; found {len(lines)} of up to {max(map(len, lines), default=0)}; restore both "
            "files"
        )
    found: Digits = {}
    for row, line in enumerate(lines):
        for column, label in enumerate(line):
            top, left = row * SIDE, column * SIDE
            found.setdefault(label, []).append(pixels[top : top + SIDE, left : left + SIDE])
    return found


def digit_tasks(config: Config, digits: Digits, n_train: int) -> dict[str, Task]:
    """Return a task a head of a recipe: the first so many pictures of each label train.

    Raises
    ------
    ConfigError
        If there is no head, or it has a label that is on no picture.
    """
    if not config.heads:
        raise ConfigError(f"expected heads that read digits in {PRETRAINING} and the recipe")
    return {
        name: Task(*_parts(name, entry.get("labels", ()), digits, n_train))
        for name, entry in config.heads.items()
    }


def _parts(
    name: str, labels: Collection[str], digits: Digits, n_train: int
) -> Sequence[Rows | None]:
    parts: tuple[list[tuple[np.ndarray, str]], list[tuple[np.ndarray, str]]] = [], []
    for label in labels:
        own = digits.get(label, [])
        if len(own) <= n_train:
            raise ConfigError(
                f"heads.{name}: expected labels with more than {n_train} pictures; found "
                f"{quoted(label)} with {len(own)}; give labels of {DIGITS[1]}"
            )
        for part, rows in zip(parts, (own[:n_train], own[n_train:]), strict=True):
            part.extend((pixels, label) for pixels in rows)
    return parts


def pretrained(place: Path, into: Path, digits: Digits) -> MultiTaskModel | None:
    """Train a narrow ResNet from random weights and save it without its heads.

    Parameters
    ----------
    place : Path
        Where ``pretraining.yaml`` is.
    into : Path
        The folder of the model with random weights; the trained one takes its place.
    digits : dict
        From `read_digits`.

    Returns
    -------
    MultiTaskModel or None
        None if the user ended the run.
    """
    from ..training.fit import fit

    config = load_config(place / PRETRAINING)
    config.model["name"] = str(into)
    model = build_model(config)
    tasks = digit_tasks(config, digits, TRAINED)
    n_values = model.summary().n_values
    note(f"model: a narrow ResNet, {in_values(n_values)} parameters, from random weights")
    began = time.perf_counter()
    run = fit(model, tasks, **scenario_arguments(config.training))
    if run.interrupted:
        return None
    for name, task in tasks.items():
        accuracy = run.metrics[f"eval_{name}_accuracy"]
        note(
            f"pre-trained on the digits {' '.join(model.heads[name].labels)} in "
            f"{in_seconds(time.perf_counter() - began)}: accuracy {accuracy:.3f} on "
            f"{len(task.eval or ()):,} others of them\n"
        )
        model.remove_head(name)
    model.save_pretrained(into)
    return model
