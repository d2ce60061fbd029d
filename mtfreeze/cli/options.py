# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share; those of a job reach a command as one `JobOptions`.

They apply in one order: the file, then ``--set``, then ``--epochs`` and ``--precision``, and
``--mode`` or ``--freeze`` and ``--train`` in the place of what the file freezes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import ConfigError
from ..runtime.precision import PRECISIONS, TRAINING_PRECISIONS, check_precision
from .modes import mode_of

if TYPE_CHECKING:
    from .job import Config
    from .job_training import Freezing

__all__ = [
    "PATH",
    "JobOptions",
    "common_options",
    "config_option",
    "epochs_option",
    "is_job",
    "job_argument",
    "job_file",
    "job_options",
    "json_option",
    "memory_option",
    "no_job",
    "precision_option",
    "training_precision_option",
]

T = TypeVar("T")

PATH = click.Path(readable=False)
"""A file or a folder, by which shells complete; whether it is there is said by who reads it."""


@dataclass(frozen=True)
class JobOptions:
    """What a command line says of a job.

    Attributes
    ----------
    config_path : str or None
        ``--config``, or the argument that stands for it.
    settings : tuple of str
        ``--set``, each ``a.b=c``.
    mode, freeze, train
        Selectors of what is frozen, or of what is and what is not.
    freeze_precision : str or None
        What frozen parts are computed in.
    precision : str or None
        What the steps are computed in; None too where a command has no such option.
    epochs : int or None
        ``--epochs``, likewise.
    """

    config_path: str | None
    settings: tuple[str, ...]
    mode: str | None
    freeze: tuple[str, ...]
    train: tuple[str, ...]
    freeze_precision: str | None
    precision: str | None = None
    epochs: int | None = None

    @property
    def says_what_is_frozen(self) -> bool:
        """Whether ``--mode``, ``--freeze`` or ``--train`` is there."""
        return self.mode is not None or bool(self.freeze or self.train)

    def read(self, usual: Path | None = None) -> Config:
        """Read the job and apply the other options to it.

        Parameters
        ----------
        usual : Path, optional
            The file of a command that needs no job.

        Raises
        ------
        click.UsageError
            If there is no job.
        ConfigError
            As `load_config` and `freezing` do.
        """
        from .job import load_config

        path = usual if self.config_path is None else self.config_path
        if path is None:
            raise no_job()
        config = load_config(path, self.settings)
        changed: dict[str, Any] = {} if self.epochs is None else {"epochs": self.epochs}
        if self.precision is not None:
            known = check_precision(self.precision, TRAINING_PRECISIONS, name="--precision")
            changed["precision"] = known
        return replace(
            config,
            training={**config.training, **changed},
            freezing=self.freezing(config.freezing),
        )

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
        from .job_training import Freezing

        precision = given.precision
        if self.freeze_precision is not None:
            precision = check_precision(self.freeze_precision, name="--freeze-precision")
        if self.mode is not None:
            return Freezing(mode_of(self.mode), precision=precision)
        if self.freeze or self.train:
            lists = (list(self.freeze) or None, list(self.train) or None)
            return Freezing("backbone", *lists, precision)
        return replace(given, precision=precision)


def is_job(name: str | None) -> bool:
    """Say whether an argument that may be a model or a job is the name of a job."""
    return name is not None and name.lower().endswith((".yaml", ".yml"))


def no_job(expected: str = "a job") -> click.UsageError:
    """Return what is said where a job is missing."""
    return click.UsageError(
        f"expected {expected}, FILE.yaml or --config FILE.yaml; found none; mtfreeze init DATA "
        "writes a job"
    )


def job_file(config: str | None, argument: str | None) -> str | None:
    """Return the file of a job: ``--config`` or the argument, never both.

    Raises
    ------
    click.UsageError
        If both are there.
    """
    if config is not None and argument is not None:
        raise click.UsageError(
            f"expected one job; found {argument} and --config {config}; leave one of them out"
        )
    return argument if config is None else config


def job_argument(command: Callable[..., T]) -> Callable[..., T]:
    """Add the file of the job as an argument, beside ``--config``; see `job_file`."""
    return click.argument("job_path", type=PATH, required=False, metavar="[JOB.yaml]")(command)


def job_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--config --set --mode --freeze --train --freeze-precision`` and the common options.

    The command takes a `JobOptions` in the place of them all, as its first argument; below
    `job_argument` the file may be an argument as well.
    """

    @wraps(command)
    def with_job(**given: Any) -> T:
        given["config_path"] = job_file(given["config_path"], given.pop("job_path", None))
        names = [one.name for one in fields(JobOptions) if one.name in given]
        job = JobOptions(**{name: given.pop(name) for name in names})
        return command(job, **given)

    options: list[Callable[[Callable[..., T]], Callable[..., T]]] = [
        config_option,
        click.option(
            "--set", "settings", multiple=True, metavar="a.b=c", help="Change one key of the job."
        ),
        click.option(
            "--mode", metavar="A,!B", help="What is FROZEN, parts behind commas; the rest trains."
        ),
        click.option("--freeze", multiple=True, metavar="SELECTOR", help="Freeze this."),
        click.option(
            "--train", multiple=True, metavar="SELECTOR", help="Train this, freeze the rest."
        ),
        click.option(
            "--freeze-precision",
            metavar="|".join(PRECISIONS),
            help="What frozen parts are computed in.",
        ),
        common_options,
    ]
    decorated: Callable[..., T] = with_job
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def config_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--config``, the file of the job."""
    return click.option(
        "--config", "config_path", type=PATH, metavar="FILE.yaml", help="The job, as YAML."
    )(command)


def epochs_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--epochs``, those of the job's training."""
    return click.option(
        "--epochs", type=click.IntRange(1), metavar="N", help="How often to go through the data."
    )(command)


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


def json_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--json``, by which a command prints its result as JSON and nothing else."""
    return click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")(
        command
    )


def common_options(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--verbose``, and ``--debug``, which `run_guarded` itself reads."""
    command = click.option(
        "--debug", is_flag=True, expose_value=False, help="Show the traceback of an error."
    )(command)
    return click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_be_verbose,
        help="Say on stderr what is loaded, computed with, and found in caches.",
    )(command)


def _be_verbose(ctx: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from .verbose import log_to_stderr

        log_to_stderr()
