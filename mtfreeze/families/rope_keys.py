# SPDX-License-Identifier: Apache-2.0
"""Rotary positions in ``config.json``: two spellings, and the kinds that are carried out.

Up to transformers 4 the base is ``rope_theta`` and other kinds stand in ``rope_scaling``; from 5 on
both stand in ``rope_parameters``. Kinds other than the default change every angle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..checks import as_number
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["ROPE_KEYS", "rope_theta"]

ROPE_KEYS = ("rope_theta", "rope_parameters", "rope_scaling")
"""Keys that `rope_theta` reads."""

_KNOWN = frozenset(
    {"rope_type", "type", "rope_theta", "partial_rotary_factor", "original_max_position_embeddings"}
)


def rope_theta(config: Mapping[str, Any], where: str, default: float = 10000.0) -> float:
    """Return the base of the angles.

    Raises
    ------
    ConfigError
        If the positions are of another kind, or no number is given.
    """
    theta: object = config.get("rope_theta")
    for key in ("rope_parameters", "rope_scaling"):
        values = config.get(key)
        if values is None:
            continue
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"{where}: expected {quoted(key)} as an object; found {quoted(values)}; correct it"
            )
        kind = values.get("rope_type", values.get("type", "default"))
        if kind != "default":
            raise ConfigError(
                f"{where}: key {quoted(key)} asks for rotary positions of the kind {quoted(kind)}, "
                "which changes every angle; expected 'default'; choose a model without it"
            )
        if values.get("partial_rotary_factor", 1.0) not in (None, 1, 1.0):
            raise ConfigError(
                f"{where}: key {quoted(key)} turns a part of each head only (partial_rotary_factor "
                f"= {quoted(values['partial_rotary_factor'])}), which is not supported; choose a "
                "model without it"
            )
        other = sorted(set(values) - _KNOWN)
        if other:
            raise ConfigError(
                f"{where}: expected keys of {quoted(key)} that are known to mtfreeze; found "
                f"{quoted(other[0])}, which may change the angles; choose a model without it"
            )
        theta = values.get("rope_theta", theta)
    if theta is None:
        return default
    number = as_number(theta)
    if number is None or not 1 <= number <= 1e12:
        raise ConfigError(
            f"{where}: expected 'rope_theta' as a number from 1 to 1e12; found {quoted(theta)}; "
            "correct it"
        )
    return float(number)
