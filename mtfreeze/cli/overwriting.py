# SPDX-License-Identifier: Apache-2.0
"""What a command would write over is refused before anything is computed, unless ``--force``."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import click

from ..closest import name_list
from ..errors import ConfigError

__all__ = ["check_new_file", "check_new_in", "force_option"]

T = TypeVar("T")


def force_option(command: Callable[..., T]) -> Callable[..., T]:
    """Add ``--force``, for commands that write files which may be there."""
    return click.option("--force", is_flag=True, help="Write over a file that is there.")(command)


def check_new_file(path: str | None, force: bool) -> None:
    """Refuse a file that is there; what is no file of a disk, such as ``/dev/stdout``, may be.

    Raises
    ------
    ConfigError
        If it is, and there is no `force`.
    """
    if path is not None and not force and Path(path).is_file():
        raise ConfigError(
            f"expected a new file; found {path}; choose another with --output, or add --force to "
            "write over it"
        )


def check_new_in(
    folder: str | os.PathLike[str] | None,
    names: Sequence[str],
    force: bool,
    *,
    option: str = "--output",
    instead: str = "",
) -> None:
    """Refuse a folder that holds one of the files which a command writes there; None: it writes
    nowhere.

    Parameters
    ----------
    folder : path or None
    names : sequence of str
        Of those files.
    force : bool
        Whether they are written over.
    option : str
        Which option names the folder.
    instead : str
        A third way, for the message.

    Raises
    ------
    ConfigError
        If it does, and there is no `force`.
    """
    held = [] if folder is None else [name for name in names if (Path(folder) / name).exists()]
    if held and not force:
        raise ConfigError(
            f"expected a folder without the results of an earlier run; found {folder} with "
            f"{name_list(held)}; choose another with {option}, {'' if instead else 'or '}add "
            f"--force to write over them{f', or {instead}' if instead else ''}"
        )
