# SPDX-License-Identifier: Apache-2.0
"""`echo`: how every command writes to the terminal, so that no text of a stranger commands it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import click

from ..printable import printable_lines

__all__ = ["echo", "echo_json", "note"]


def echo(text: object = "", *, err: bool = False) -> None:
    """Print text and a newline on stdout or stderr, characters that terminals obey as escapes."""
    click.echo(printable_lines(text), err=err)


def note(text: object = "") -> None:
    """Print what is no result, such as where something was saved, on stderr."""
    echo(text, err=True)


def echo_json(value: object) -> None:
    """Print a result as JSON; it has no NaN and no infinity, which become null."""
    echo(json.dumps(_plain(value), indent=2))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
