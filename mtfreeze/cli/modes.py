# SPDX-License-Identifier: Apache-2.0
"""Freeze modes in words of the command line: ``A,!B`` is one of two parts, ``A,!B; C`` are two."""

from __future__ import annotations

import click

from ..quoting import quoted

__all__ = ["mode_of", "modes_of"]


def modes_of(text: str) -> list[str | list[str]]:
    """Return the modes that ``--modes`` lists: each a selector, or a list of them.

    Commas stand between modes; where there is a semicolon, that does, and commas stand between the
    parts of one. A last semicolon says that there is one mode.

    Raises
    ------
    UsageError
        If an exclusion stands behind a comma, which may be a part of the mode before it.

    Examples
    --------
    >>> modes_of("backbone, none")
    ['backbone', 'none']
    >>> modes_of("backbone,!layers[-1]; none"), modes_of("heads,!ner_head;")
    ([['backbone', '!layers[-1]'], 'none'], [['heads', '!ner_head']])
    """
    several = text.split(";")
    if len(several) > 1:
        if not several[-1].strip():
            del several[-1]
        return [mode_of(one) for one in several]
    names = [one.strip() for one in text.split(",")]
    if any(one.startswith("!") for one in names[1:]):
        raise click.UsageError(
            f"expected ; between modes where one has several parts; found --modes {quoted(text)}, "
            f"which may be one mode or several; write {quoted(text + ';')} for one, "
            f"{quoted('; '.join(names))} for {len(names)}"
        )
    return [*names]


def mode_of(text: str) -> str | list[str]:
    """Return one mode: a selector, or the list of those between commas."""
    if text.strip().startswith("re:"):
        return text.strip()
    parts = [one.strip() for one in text.split(",")]
    return parts[0] if len(parts) == 1 else parts
