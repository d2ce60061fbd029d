# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share; those of a job reach a command as one `JobOptions`.

They apply in one order: the file, then ``--set``, then ``--precision``, and ``--mode`` or
``--freeze`` and ``--train`` in the place of what the file freezes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from ..errors import ConfigError
from ..runtime.precision import PRECISIONS, TRAINING_PRECISIONS, check_precision
from .job import Config, load_config
from .job_training import Freezing

__all__ = [
    "JobOptions",
    "debug_option",
    "job_options",
    "memory_option",
    "precision_option",
    "training_precision_option",
]

T = TypeVar("T")


@dataclass(frozen=True)
class JobOptions:
    """What a command line says of a job.

    Attributes
    ----------
    config_path : str or None
        ``--config``.
    settings : tuple of str
        ``--set``, each ``a.b=c``.
    mode, freeze, train
        Selectors of what is frozen, or of what is and what is not.
    freeze_precision : str or None
        What frozen parts are computed in.
    precision : str or None
        What the steps are computed in; None too where a command has no such option.
    """

    config_path: str | None
    settings: tuple[str, ...]
    mode: str | None
    freeze: tuple[str, ...]
    train: tuple[str, ...]
    freeze_precision: str | None
    precision: str | None = None

    @property
    def says_what_is_frozen(self) -> bool:
        """Whether ``--mode``, ``--freeze`` or ``--train`` is there."""
        return self.mode is not None or bool(self.freeze or self.train)

    def read(self, usual: Path | None = None) -> Config:
        """Read ``--config`` and apply the other options to it.

        Parameters
        ----------
        usual : Path, optional
            The file of a command that needs no ``--config``.

        Raises
        ------
        click.UsageError
            If there is no ``--config``.
        ConfigError
            As `load_config` and `freezing` do.
        """
        path = usual if self.config_path is None else self.config_path
        if path is None:
            raise click.UsageError("expected --config FILE.yaml; found none")
        config = load_config(path, self.settings)
        if self.precision is not None:
            known = check_precision(self.precision, TRAINING_PRECISIONS, name="--precision")
            config = replace(config, training={**config.training, "precision": known})
        return replace(config, freezing=self.freezing(config.freezing))

    def freezing(self, given: Freezing) -> Freezing:
        """Return what is to be frozen: the command line's word, or else what is `given`.

        Raises
        ------
        ConfigError
            If ``--mode`` stands beside ``--freeze`` or ``--train``, or for an unknown precision.
        """
        if self.mode is not None and (self.freeze or self.train):
            raise ConfigError(
                "--mode names what is frozen; found --freeze or --train beside it; "
                "use --mode alone, or --freeze and --train"
            )
        precision = given.precision
        if self.freeze_precision is not None:
            precision = check_precision(self.freeze_precision, name="--freeze-precision")
        if self.mode is not None:
            return Freezing(self.mode, precision=precision)
        if self.freeze or self.train:
            lists = (list(self.freeze) or None, list(self.train) or None)
            return Freezing("backbone", *lists, precision)
        return replace(given, precision=precision)


def job_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--config --set --mode --freeze --train --freeze-precision --debug`` to a command.

    The command takes a `JobOptions` in the place of them all, as its first argument.
    """

    @wraps(command)
    def with_job(**given: Any) -> T:
        names = [one.name for one in fields(JobOptions) if one.name in given]
        job = JobOptions(**{name: given.pop(name) for name in names})
        return command(job, **given)

    options: list[Callable[[Callable[..., T]], Callable[..., T]]] = [
        click.option("--config", "config_path", metavar="FILE.yaml", help="The job, as YAML."),
        click.option(
            "--set", "settings", multiple=True, metavar="a.b=c", help="Change one key of the job."
        ),
        click.option("--mode", metavar="SELECTOR", help="What is FROZEN; everything else trains."),
        click.option("--freeze", multiple=True, metavar="SELECTOR", help="Freeze this."),
        click.option(
            "--train", multiple=True, metavar="SELECTOR", help="Train this, freeze the rest."
        ),
        click.option(
            "--freeze-precision",
            metavar="|".join(PRECISIONS),
            help="What frozen parts are computed in.",
        ),
        debug_option,
    ]
    decorated: Callable[..., T] = with_job
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def training_precision_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--precision``, what the steps of a job are computed in; below `job_options`."""
    return click.option(
        "--precision",
        metavar="|".join(TRAINING_PRECISIONS),
        help="What the products of a step are computed in; weights stay fp32.",
    )(command)


def precision_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--precision``, what linear products are computed in."""
    return click.option(
        "--precision",
        metavar="|".join(PRECISIONS),
        help="What linear products are computed in; by default as the model's freezing says.",
    )(command)


def memory_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--memory``, the bytes that a run may take in place of what is free."""
    return click.option(
        "--memory",
        type=int,
        metavar="BYTES",
        help="Memory that the run may take; by default what this machine has free.",
    )(command)


def debug_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--debug``, which `run_guarded` reads from the command line itself."""
    return click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(command)
