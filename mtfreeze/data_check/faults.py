# SPDX-License-Identifier: Apache-2.0
"""Errors of many rows -> the few kinds that they are of."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

from ..errors import DataError

__all__ = ["FaultKind", "fault_kinds"]

_FIRST = 3
"""Errors that are kept of each kind."""

_PLACE = re.compile(r"(?:[/\\][^:]*)?(:\d+)?(, [^:]*)?: ")
"""What stands between a path and what is wrong: a file of a folder, a line, a part of a row."""
_VALUE = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\d+""")
"""What differs between errors of one kind: what is quoted, and numbers."""


class FaultKind(NamedTuple):
    """Errors of one kind.

    Attributes
    ----------
    expected : str
        What was expected, and not found.
    n : int
        How many there are.
    first : tuple of str
        The first few of them, with file and row.
    """

    expected: str
    n: int
    first: tuple[str, ...]


def fault_kinds(faults: Iterable[DataError], path: str) -> tuple[FaultKind, ...]:
    """Group the errors of a file by what was expected; the most frequent come first.

    Examples
    --------
    >>> found = [DataError(f"a.tsv:{n}: expected a label; found none in 'x'") for n in (3, 8)]
    >>> [(one.expected, one.n) for one in fault_kinds(found, "a.tsv")]
    [('expected a label', 2)]
    """
    groups: dict[str, list[str]] = {}
    for fault in faults:
        text = str(fault)
        said = _PLACE.sub("", text.removeprefix(path), count=1)
        groups.setdefault(_VALUE.sub("…", said.partition("; ")[0]), []).append(text)
    kinds = [FaultKind(kind, len(all_), tuple(all_[:_FIRST])) for kind, all_ in groups.items()]
    return tuple(sorted(kinds, key=lambda one: -one.n))
