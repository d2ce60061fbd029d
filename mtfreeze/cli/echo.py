# SPDX-License-Identifier: Apache-2.0
"""`echo`: how every command writes to the terminal, so that no text of a stranger commands it."""

from __future__ import annotations

import click

from ..printable import printable_lines

__all__ = ["echo"]


def echo(text: object = "", *, err: bool = False) -> None:
    """Print text and a newline on stdout or stderr, characters that terminals obey as escapes."""
    click.echo(printable_lines(text), err=err)
