# SPDX-License-Identifier: Apache-2.0
"""``mtfreeze data check``: what is in files of data, and what of them cannot be read."""

from __future__ import annotations

from typing import Any

import click

from ..errors import ConfigError
from ..files.fields import json_line
from ..quoting import quoted
from .echo import echo
from .groups import WorkflowGroup
from .guard import USAGE
from .once import OnceCommand
from .options import PATH, common_options, json_option

__all__ = ["check", "data", "reader_options"]


@click.group(
    cls=WorkflowGroup,
    module="data",
    sections={"Commands": {"check": "Say what files hold, and what of them cannot be read."}},
)
def data() -> None:
    """Look at files of data before a model learns from them."""


@click.command(cls=OnceCommand)
@click.argument("paths", type=PATH, metavar="FILE...", nargs=-1, required=True)
@click.option("--model", metavar="MODEL", help="Count its tokens (a folder or a name).")
@click.option(
    "--text", "texts", multiple=True, metavar="NAME", help="Column of the text; of several, each."
)
@click.option(
    "--label", "labels", multiple=True, metavar="NAME", help="Column of the label; of tasks, each."
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="a=b",
    help="An argument of the reader, such as delimiter=';', scheme=iobes.",
)
@json_option
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), help="json says the same as --json."
)
@common_options
def check(
    paths: tuple[str, ...],
    model: str | None,
    texts: tuple[str, ...],
    labels: tuple[str, ...],
    settings: tuple[str, ...],
    as_json: bool,
    form: str | None,
) -> int:
    """Say what files hold: rows, labels, lengths, repetitions, and what cannot be read.

    Of several files, such as those to learn from and to judge by, also what they have in common.
    Exit code 2 if there is a row that cannot be read.

    \b
    mtfreeze data check reviews.tsv
    mtfreeze data check train.csv eval.csv --text review --label stars --model outputs/reviews
    """
    from ..data_check import check_data

    if as_json and form == "text":
        raise click.UsageError(
            "expected --json or --format text; found both; leave one of them out"
        )
    options = reader_options(settings)
    for name, columns in (("text", texts), ("label", labels)):
        if columns and name in options:
            raise ConfigError(
                f"expected the column of the {name} once; found --{name} and --set {name}=; leave "
                "one of them out"
            )
        if columns:
            options[name] = columns[0] if len(columns) == 1 else list(columns)
    first, *others = paths
    found: Any = check_data(first, *others, model=model, **options)
    echo(json_line(found.to_dict()) if as_json or form == "json" else found)
    return USAGE if found.n_faults else 0


def reader_options(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return arguments of a reader as they are written, each once."""
    from .job import parse_setting

    options: dict[str, Any] = {}
    for text in settings:
        keys, value = parse_setting(text)
        if len(keys) > 1 or keys[0] in options:
            raise ConfigError(
                f"expected each argument of the reader once, as name=value; found {quoted(text)}"
            )
        options[keys[0]] = value
    return options
