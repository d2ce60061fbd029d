# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze data check``: what is in a file of data, and what of it cannot be read."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ConfigError
from ..files.fields import json_line
from ..quoting import quoted
from .echo import echo
from .guard import USAGE
from .job import parse_setting
from .once import OnceCommand
from .options import debug_option

__all__ = ["data"]


@click.group()
def data() -> None:
    """Look at files of data before a model learns from them."""


@data.command(cls=OnceCommand)
@click.argument("path", metavar="FILE")
@click.option("--model", metavar="MODEL", help="Count its tokens (a folder or a name).")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="a=b",
    help="An argument of the reader, such as text=review, label=stars, scheme=iobes.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text")
@debug_option
def check(path: str, model: str | None, settings: tuple[str, ...], form: str) -> int:
    """Say what a file holds: rows, labels, lengths, repetitions, and what cannot be read.

    Exit code 2 if there is a row that cannot be read.

    \b
    mtfreeze data check reviews.tsv
    mtfreeze data check reviews.csv --set text=review --set label=stars --model outputs/reviews
    """
    from ..data_check import check_data

    found = check_data(path, model=model, **_options(settings))
    echo(json_line(found.to_dict()) if form == "json" else found)
    return USAGE if found.faults else 0


def _options(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return arguments of a reader as they are written, each once."""
    options: dict[str, Any] = {}
    for text in settings:
        keys, value = parse_setting(text)
        if len(keys) > 1 or keys[0] in options:
            raise ConfigError(
                f"expected each argument of the reader once, as name=value; found {quoted(text)}"
            )
        options[keys[0]] = value
    return options
