# SPDX-License-Identifier: Apache-2.0
"""Backbone families: which keys of ``config.json`` count, and how tensors are called on the hub.

A family is one file here and one in ``csrc/families``; `FAMILIES` lists them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ..closest import did_you_mean, name_list
from ..errors import CheckpointError, ConfigError
from .bert import BERT
from .family import Family

__all__ = ["FAMILIES", "Family", "core_config", "family_of"]

FAMILIES: dict[str, Family] = {family.model_type: family for family in (BERT,)}
"""Families by the ``model_type`` of ``config.json``."""


def family_of(config: Mapping[str, Any], where: str) -> Family:
    """Return the family of a configuration.

    Raises
    ------
    ConfigError
        If ``model_type`` is missing or none of ours.
    """
    model_type = config.get("model_type")
    if isinstance(model_type, str) and model_type in FAMILIES:
        return FAMILIES[model_type]
    hint = did_you_mean(model_type, FAMILIES) if isinstance(model_type, str) else ""
    raise ConfigError(
        f"{where}: expected 'model_type' to be one of {name_list(FAMILIES)}; found {model_type!r}; "
        f"{hint or 'choose a model of a supported family'}"
    )


def core_config(
    family: Family, config: Mapping[str, Any], where: str, ignore: Collection[str] = ()
) -> dict[str, Any]:
    """Check every key of ``config.json`` and return those that the computation needs.

    Parameters
    ----------
    family : Family
        From `family_of`.
    config : mapping
        The whole of ``config.json``.
    where : str
        The file, for messages.
    ignore : collection of str
        Unknown keys that the caller vouches for.

    Raises
    ------
    ConfigError
        If a key asks for a computation that is not supported, or is unknown and set to something.
    CheckpointError
        If a needed key is missing.
    """
    missing = [key for key in family.required if config.get(key) is None]
    if missing:
        raise CheckpointError(
            f"{where}: expected the keys {name_list(family.required)}; not found: "
            f"{name_list(missing)}; fetch the file again"
        )
    for key, allowed in family.fixed.items():
        if key in config and config[key] not in allowed:
            raise ConfigError(
                f"{where}: key {key!r} changes what the model computes; expected "
                f"{' or '.join(repr(value) for value in allowed)}; found {config[key]!r}; "
                "choose a model without it"
            )
    known = {*family.computed, *family.fixed, *family.harmless}
    for key, value in config.items():
        if key in known or key in ignore or key.startswith("_") or value in (None, False, {}, []):
            continue
        hint = did_you_mean(key, family.computed)
        raise ConfigError(
            f"{where}: expected keys that are known to mtfreeze; found {key!r} = "
            f"{repr(value)[:60]}, which may change what the model computes; "
            f"{hint + ' ' if hint else ''}if it does not, pass ignore_config=[{key!r}]"
        )
    return {key: config[key] for key in family.computed if config.get(key) is not None}
