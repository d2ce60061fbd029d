# SPDX-License-Identifier: Apache-2.0
"""The sections `loggers` and `push_to` of a YAML job: where a run is written besides its folder.

    loggers: [tensorboard, {wandb: {project: reviews, mode: offline}}]
    push_to: {repo: someone/reviews, private: true}

`mtfreeze train` alone obeys them: what asks or compares writes to no tracker and sends nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..closest import unknown
from ..errors import ConfigError
from ..quoting import quoted
from .job_values import Check, check_bool, check_named, check_section, check_text, found_text

if TYPE_CHECKING:
    from ..training.loggers import TrackingLogger

__all__ = ["LOGGERS", "PUSH", "Push", "check_loggers", "check_push", "logger_keys", "make_loggers"]

LOGGERS: dict[str, tuple[str, str, str]] = {
    "tensorboard": ("TensorBoardLogger", "folder", "runs"),
    "mlflow": ("MLflowLogger", "experiment", "mtfreeze"),
    "wandb": ("WandbLogger", "project", "mtfreeze"),
    "trackio": ("TrackioLogger", "project", "mtfreeze"),
}
"""Trackers: the callback, the argument that it needs, and what that is where a job says nothing."""

_FOLDER = "folder"
"""Of arguments the one that is a path."""


@dataclass(frozen=True)
class Push:
    """Where the trained model is pushed: arguments of `push_to_hub`."""

    repo: str
    private: bool | None = None
    head: str | None = None


PUSH: dict[str, Check] = {"repo": check_text, "private": check_bool, "head": check_text}


def logger_keys(name: str) -> list[str]:
    """Return the arguments of a tracker's callback."""
    from ..training import loggers

    return list(inspect.signature(getattr(loggers, LOGGERS[name][0])).parameters)


def check_loggers(path: str, value: object, folder: Path) -> list[tuple[str, dict[str, str]]]:
    """Check for a list of trackers, each a name, or a name with its settings.

    Parameters
    ----------
    path : str
        Of the key, for messages.
    value : object
        As read from YAML.
    folder : Path
        What relative paths are relative to.

    Returns
    -------
    list of (str, dict)
        Names and arguments; no package is asked for yet.

    Raises
    ------
    ConfigError
        If it is something else, or names a tracker or a setting that there is not.
    """
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise ConfigError(
            f"{path} must be a list of trackers, such as [tensorboard]; found {found_text(value)}"
        )
    return [_logger(f"{path}[{i}]", one, folder) for i, one in enumerate(value)]


def _logger(path: str, value: object, folder: Path) -> tuple[str, dict[str, str]]:
    if isinstance(value, Mapping):
        example = "{tensorboard: {folder: runs/one}}"
        name, settings = check_named(path, value, "settings", example)
    else:
        name, settings = check_text(path, value), {}
    if name not in LOGGERS:
        raise ConfigError(f"{path}: {unknown('tracker', name, LOGGERS)}")
    _, needed, usual = LOGGERS[name]
    keys: dict[str, Check] = dict.fromkeys(logger_keys(name), check_text)
    given = {needed: usual, **check_section(f"{path}.{name}", settings, keys)}
    if _FOLDER in given:
        given[_FOLDER] = str(folder / given[_FOLDER])
    return name, given


def make_loggers(listed: Sequence[tuple[str, Mapping[str, str]]]) -> list[TrackingLogger]:
    """Return the callbacks of what `check_loggers` has seen.

    Raises
    ------
    ConfigError
        If a package is missing; the extra that brings it is named.
    """
    from ..training import loggers

    return [getattr(loggers, LOGGERS[name][0])(**given) for name, given in listed]


def check_push(path: str, value: object) -> Push:
    """Check for the name of a model on the hub, or a section with it and how it is pushed.

    Raises
    ------
    ConfigError
        If it is something else; nothing is asked of the hub.
    """
    from ..sharing.upload import check_repo

    given = check_section(path, value, PUSH) if isinstance(value, Mapping) else {"repo": value}
    if "repo" not in given:
        raise ConfigError(f"{path} lacks the key {quoted('repo')}; add the name on the hub")
    check_text(f"{path}.repo", given["repo"])
    try:
        check_repo(given["repo"])
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None
    return Push(**given)
