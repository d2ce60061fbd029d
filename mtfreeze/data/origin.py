# SPDX-License-Identifier: Apache-2.0
"""Where rows were read: a file or folder, by which reader, with which options.

Readers note it on what they return. It holds for all rows of the file as they were read: a part of
them, or rows made of them, have none. So whoever has it can say how to read the same rows again.
"""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast

from .faults import raised

__all__ = ["Origin", "came_from", "origin_of"]


@dataclass(frozen=True)
class Origin:
    """How rows were read.

    Attributes
    ----------
    path : str
        Of the file or folder, absolute.
    reader : str
        Name of the function.
    options : dict
        Its arguments that are not the usual ones, as JSON values.
    """

    path: str
    reader: str
    options: dict[str, Any]


class _Noted(Protocol):
    """`Examples`, which lie above this file."""

    _origin: Origin | None


Rows = TypeVar("Rows", bound=_Noted)


def came_from(examples: Rows, reader: Callable[..., Rows], path: object, **options: Any) -> Rows:
    """Return rows with a note of how they were read; without one where it cannot be said.

    Parameters
    ----------
    examples : Examples
        What the reader returns.
    reader : callable
        The reader itself.
    path : path
        As it was given.
    **options
        Its other arguments. One that no file can hold, such as `on_fault`, leaves no note.
    """
    usual = inspect.signature(reader).parameters
    try:
        given = {
            name: value
            for name, value in options.items()
            if value is not raised and (name not in usual or value != usual[name].default)
        }
        plain = json.loads(json.dumps(given))
        place = os.path.abspath(os.fsdecode(cast(Any, path)))
    except (TypeError, ValueError):
        return examples
    examples._origin = Origin(place, reader.__name__, plain)
    return examples


def origin_of(examples: _Noted) -> Origin | None:
    """Return how rows were read; None: they lie in memory, or are a part of what was read."""
    return examples._origin
