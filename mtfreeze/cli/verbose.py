# SPDX-License-Identifier: Apache-2.0
"""``--verbose``: what the library logs, on stderr while the command runs."""

from __future__ import annotations

import logging

import click

from .echo import note

__all__ = ["log_to_stderr"]


class _Notes(logging.Handler):
    """Writes each record as one line, in which no text of a stranger commands the terminal."""

    def emit(self, record: logging.LogRecord) -> None:
        note(f"{record.name}: {record.getMessage()}")


def log_to_stderr() -> None:
    """Write what ``mtfreeze`` logs to stderr until the command under way has ended."""
    logger, handler = logging.getLogger("mtfreeze"), _Notes()
    earlier = logger.level

    def end() -> None:
        logger.removeHandler(handler)
        logger.setLevel(earlier)

    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    click.get_current_context().call_on_close(end)
