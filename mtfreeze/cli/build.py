# SPDX-License-Identifier: Apache-2.0
"""A checked `Config` -> a model with heads, frozen as asked, and its tasks."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..closest import unknown
from ..data import read_file, read_images, stream
from ..errors import ConfigError
from ..heads.kind import HeadSpec
from ..heads.registry import KINDS, spec_from_dict
from ..heads.suited import told
from ..heads.task import Task
from ..notices import UntrainedHeadWarning
from ..quoting import quoted
from .job import Config
from .job_training import Freezing
from .job_values import AUTO

if TYPE_CHECKING:
    from ..multi_task_model import MultiTaskModel

__all__ = ["apply_freezing", "build_model", "build_tasks"]

_TASK_KEYS = ("weight", "metric", "metrics", "loss", "augment", "sampling", "train_through_frozen")
_STREAM, _IMAGE, _FOLDER = "stream", "image", "folder"
"""Keys of data that stay in their files, of tables that hold paths of images, and of where the
images lie that a file of boxes names."""


def build_model(config: Config) -> MultiTaskModel:
    """Load the model and add the heads that it does not have yet; nothing is frozen by this.

    Raises
    ------
    ConfigError
        If a head's description is wrong, or differs from that of a head of the loaded model.
    """
    from ..multi_task_model import MultiTaskModel

    arguments = dict(config.model)
    model = MultiTaskModel.from_pretrained(arguments.pop("name"), **arguments)
    for name, entry in config.heads.items():
        options = dict(entry)
        seed = options.pop("seed", 0)
        if options.get("labels") == AUTO:
            options["labels"] = _labels_in_data(name, config)
        source, head = options.pop("from_pretrained", None), options.pop("head", None)
        spec = _head_spec(name, options)
        if name not in model.heads:
            model.add_head(name, spec, seed=seed, from_pretrained=source, head=head)
        elif spec is not None and model.heads[name].labels != spec.labels:
            raise ConfigError(
                f"heads.{name} has the labels {list(spec.labels)}; found {quoted(name)} with "
                f"{list(model.heads[name].labels)} in the loaded model; use its labels or "
                "another name"
            )
    return model


def _labels_in_data(name: str, config: Config) -> list[str]:
    """Return the labels of a head's data, in order; see `Task.labels`.

    Raises
    ------
    ConfigError
        If the job has no data for it, or they have no names of labels.
    """
    if name not in config.data:
        raise ConfigError(
            f"heads.{name}.labels: auto takes the labels from the data of {quoted(name)}; found "
            "none; add them to the section data, or list the labels"
        )
    task = _task(name, config.data[name])
    found = told([part for part in (task.train, task.eval) if part is not None], name).names
    if not found:
        raise ConfigError(
            f"heads.{name}.labels: expected data with names of labels, which auto takes; found "
            "numbers or none; list the labels, or give the head another task"
        )
    return list(found)


def _head_spec(name: str, options: Mapping[str, Any]) -> HeadSpec | None:
    """Return the description of a head; None where it comes with the checkpoint."""
    if not options:
        return None
    kind = options["task"]
    if kind not in KINDS:
        raise ConfigError(f"heads.{name}.task: {unknown('kind of head', kind, KINDS)}")
    rest = {key: value for key, value in options.items() if key != "task"}
    return spec_from_dict({"kind": kind, **rest}, f"heads.{name}")


def build_tasks(config: Config, model: MultiTaskModel) -> dict[str, Task]:
    """Read the data files of a job.

    Raises
    ------
    ConfigError
        If there is no data, a task has no head, or a reader does not take an option.
    DataError, OSError
        As the readers raise.
    """
    if not config.data:
        raise ConfigError("expected data for at least one head; found none; add a data section")
    tasks = {}
    for name, entry in config.data.items():
        if name not in model.heads:
            raise ConfigError(f"data: {unknown('head', name, model.heads)}")
        tasks[name] = _task(name, entry)
    return tasks


def _task(name: str, entry: Mapping[str, Any]) -> Task:
    options = dict(entry)
    own = {key: options.pop(key) for key in _TASK_KEYS if key in options}
    files = {part: options.pop(part) for part in ("train", "eval") if part in options}
    folders = options.pop(_FOLDER, {})
    parts = {}
    for part, path in files.items():
        own_folder = {_FOLDER: folders[part]} if part in folders else {}
        parts[part] = _read(path, options | own_folder, f"data.{name}")
    return Task(**parts, **own)


def _read(path: str, options: Mapping[str, Any], where: str) -> Any:
    rest = {key: value for key, value in options.items() if key != _STREAM}
    try:
        if _IMAGE in rest and not options.get(_STREAM):
            return read_images(path, **rest)
        return stream(path, **rest) if options.get(_STREAM) else read_file(path, **rest)
    except TypeError as error:
        if options.get(_STREAM):  # an option that files of this kind do not have
            raise ConfigError(f"{where}: {error}") from None
        # A keyword that this file's reader does not have; all else is the reader's own message.
        if "unexpected keyword" not in str(error):
            raise
        key = str(error).rsplit("'", 2)[-2]
        raise ConfigError(
            f"{where}: the reader of {path} does not take {quoted(key)}; remove the key"
        ) from None


def apply_freezing(model: MultiTaskModel, freezing: Freezing) -> None:
    """Replace the model's freeze state, pins included, by what a job asks for.

    Raises
    ------
    SelectorError
        If a selector matches nothing; the closest names are in the message.
    """
    # Every selector is looked up before anything changes.
    for what in (freezing.mode, freezing.freeze or [], freezing.train or []):
        model.select(what)
    model.unfreeze()
    if freezing.freeze is None and freezing.train is None:
        model.freeze(freezing.mode, precision=freezing.precision)
        return
    if freezing.train is not None:
        with warnings.catch_warnings():
            # Of heads that the next line lets train again.
            warnings.simplefilter("ignore", UntrainedHeadWarning)
            model.freeze(precision=freezing.precision)
        model.unfreeze(freezing.train)
    if freezing.freeze is not None:
        model.freeze(freezing.freeze, precision=freezing.precision)
