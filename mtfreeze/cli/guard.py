# SPDX-License-Identifier: Apache-2.0
"""Exit codes and messages: how a command ends, whatever happened.

    0    done
    1    failed: training went wrong, the disk is full, memory ran out
    2    wrong usage or input: an option, a file, a name, a label
    3    a frozen tensor changed
    130  ended by Ctrl-C
    143  ended by SIGTERM, which is taken as Ctrl-C is: a run ends after a whole step and is saved

An error of the user's is one line on stderr, without a traceback; ``--debug`` shows it.
"""

from __future__ import annotations

import io
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from ..errors import ConcurrencyError, Error, TrainingError
from .echo import echo
from .signals import INTERRUPTED

__all__ = ["CHANGED", "FAILED", "INTERRUPTED", "USAGE", "FrozenChanged", "run_guarded"]

FAILED, USAGE, CHANGED = 1, 2, 3

_PACKAGE = Path(__file__).parent.parent

_INPUT_ERRORS = (ValueError, LookupError, TypeError, FileNotFoundError, IsADirectoryError)


class FrozenChanged(Error):
    """A frozen tensor does not have the bits that it should have."""


def _exit_code(error: BaseException) -> int:
    if isinstance(error, FrozenChanged):
        return CHANGED
    if isinstance(error, TrainingError | ConcurrencyError | MemoryError):
        return FAILED
    if isinstance(error, (Error, *_INPUT_ERRORS)):
        return USAGE
    return FAILED


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Print warnings as one line on stderr, without file, line and source."""

    def show(message: Any, category: Any, *rest: object, **named: object) -> None:
        echo(f"warning: {message}", err=True)

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield


def _is_ours(error: BaseException) -> bool:
    """Say whether an error was raised on purpose: by mtfreeze, or by the system."""
    if isinstance(error, Error | OSError | MemoryError | ImportError):
        return True
    # A TypeError or ValueError counts if mtfreeze's own code raised it, not some library's.
    frames = traceback.extract_tb(error.__traceback__)
    last = Path(frames[-1].filename if frames else "")
    return isinstance(error, TypeError | ValueError) and last.is_relative_to(_PACKAGE)


def run_guarded(
    load: Callable[[], click.Command], arguments: Sequence[str] | None, program: str
) -> int:
    """Run a command and return its exit code; print what went wrong, if anything did.

    Parameters
    ----------
    load : callable
        Imports and returns the command.
    arguments : sequence of str or None
        What follows the program's name; None: ``sys.argv[1:]``.
    program : str
        Its name.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        with _short_warnings():
            result = load().main(args=given, prog_name=program, standalone_mode=False)
        return result if isinstance(result, int) else 0
    except (KeyboardInterrupt, click.exceptions.Abort):
        echo("interrupted", err=True)
        return INTERRUPTED
    except click.ClickException as error:
        said = io.StringIO()
        error.show(said)
        echo(said.getvalue().rstrip("\n"), err=True)
        return error.exit_code
    except BrokenPipeError:
        return FAILED
    except Exception as error:
        if debug or not _is_ours(error):
            traceback.print_exc()
        else:
            echo(f"{program}: {error}", err=True)
        return _exit_code(error)
