# SPDX-License-Identifier: Apache-2.0
"""Cli: the command line, ``mtfreeze``, and jobs in YAML.

`main` is what the installed script calls, and nobody else calls anything here but
``freeze_control``; it may call every room. click and everything else is imported only then, so that
``import mtfreeze`` stays cheap.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import click

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with its exit code.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows the program's name; by default ``sys.argv[1:]``.
    """
    from .signals import run_command

    def run() -> int:
        from .guard import run_guarded

        return run_guarded(_load, arguments, program="mtfreeze")

    raise SystemExit(run_command(run))


def _load() -> click.Command:
    from .app import cli

    return cli
