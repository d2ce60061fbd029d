# SPDX-License-Identifier: Apache-2.0
"""Limits in bytes: from an argument, from an environment variable, or the default."""

from __future__ import annotations

import os
import re

from ..checks import as_integer, typed
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["DISK_LIMIT", "MEMORY_LIMIT", "parse_size", "read_limit"]

MEMORY_LIMIT = 1 << 30
"""Bytes of features that all runs of a process keep in memory, 1 GiB."""

DISK_LIMIT = 10 * 10**9
"""Bytes of a folder of features, or of the private files of a process, 10 GB."""

_UNITS = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**n for n, letter in enumerate("kmgt", 1)},
    **{f"{letter}ib": 1024**n for n, letter in enumerate("kmgt", 1)},
}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_size(value: int | str, name: str) -> int:
    """Return a number of bytes.

    Parameters
    ----------
    value : int or str
        Bytes, or a text such as ``"512MB"`` (10**6) or ``"1.5GiB"`` (2**30).
    name : str
        How messages call it.

    Raises
    ------
    TypeError, ConfigError
        If it is no size.

    Examples
    --------
    >>> parse_size("512MB", "limit"), parse_size("2 KiB", "limit"), parse_size(7, "limit")
    (512000000, 2048, 7)
    """
    advice = 'write bytes, or a text such as "512MB" or "2GiB"'
    number = as_integer(value)
    if number is not None:
        if number < 0:
            raise ConfigError(f"{name}: expected at least 0 bytes; found {number}; {advice}")
        return number
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected a number of bytes; found {typed(value)}; {advice}")
    found = _SIZE.fullmatch(value)
    if found is None or found[2].lower() not in _UNITS:
        raise ConfigError(f"{name}: expected a number of bytes; found {quoted(value)}; {advice}")
    return int(float(found[1]) * _UNITS[found[2].lower()])


def read_limit(given: int | str | None, name: str, variable: str, default: int) -> int:
    """Return the argument if there is one, else the environment's value, else the default."""
    if given is not None:
        return parse_size(given, name)
    text = os.environ.get(variable, "").strip()
    return parse_size(text, variable) if text else default
