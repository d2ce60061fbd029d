# SPDX-License-Identifier: Apache-2.0
"""Rotary positions as ``config.json`` describes them: a base, and nothing that stretches angles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import as_number
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["rope_theta"]


def rope_theta(parameters: object, key: str, where: str) -> float | None:
    """Return ``rope_theta`` of a mapping of rotary parameters; None where it names none.

    Parameters
    ----------
    parameters : object
        The value of `key`; None counts as empty.
    key : str
        Of ``config.json``, with dots for what is inside of another, for messages.
    where : str
        The file, for messages.

    Raises
    ------
    ConfigError
        If it is no mapping, or asks for anything but plain rotary positions.

    Examples
    --------
    >>> rope_theta({"rope_type": "default", "rope_theta": 1e4}, "rope_parameters", "config.json")
    10000.0
    """
    if parameters is None:
        return None
    if not isinstance(parameters, Mapping):
        raise ConfigError(
            f"{where}: expected {quoted(key)} to be a mapping; found {quoted(parameters)}; correct "
            "the file"
        )
    values: dict[str, Any] = {k: v for k, v in parameters.items() if v is not None}
    theta = values.pop("rope_theta", None)
    kind = values.pop("rope_type", values.pop("type", "default"))
    values.pop("type", None)
    if kind != "default" or values:
        odd = {"rope_type": kind} if kind != "default" else values
        raise ConfigError(
            f"{where}: {quoted(key)} changes what the model computes; expected rotary positions of "
            f"type 'default'; found {quoted(odd)}; choose a model without it"
        )
    if theta is None:
        return None
    number = as_number(theta)
    if number is None:
        raise ConfigError(
            f"{where}: expected rope_theta of {quoted(key)} as a number; found {quoted(theta)}; "
            "correct the file"
        )
    return number
