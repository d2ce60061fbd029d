# SPDX-License-Identifier: Apache-2.0
"""`Adapter`: which linear layers of a backbone are adapted, and how; as the core and files have it.

A *site* is the path of a linear layer within the backbone, such as
``encoder.layer.3.attention.self.query``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from ..checks import as_flag, as_integer, as_number, typed
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["IA3_UNIT", "LORA_UNIT", "UNITS", "Adapter", "Site"]

LORA_UNIT, IA3_UNIT = "lora", "ia3"
UNITS = (LORA_UNIT, IA3_UNIT)
"""Paths of the units that adapters are; what their parameters' keys begin with, too."""

_MOST_RANK = 1 << 16


@dataclass(frozen=True)
class Site:
    """One adapted layer.

    Attributes
    ----------
    path : str
        Of the layer within the backbone.
    rank : int
        Of LoRA: rows of A, columns of B. 0 for IA3.
    alpha : float
        Of LoRA: the product B A counts alpha / rank, or alpha / sqrt(rank).
    input : bool
        Of IA3: what the layer reads is scaled, not what it gives.
    """

    path: str
    rank: int = 0
    alpha: float = 1.0
    input: bool = False


@dataclass(frozen=True)
class Adapter:
    """An adapter of a model.

    Attributes
    ----------
    kind : {"lora", "ia3"}
        Also the path of its unit.
    sites : tuple of Site
        In the order of the backbone.
    dropout : float
        Of what A reads, in training.
    by_root : bool
        Whether alpha is divided by the square root of the rank (rank-stabilised LoRA).
    """

    kind: str
    sites: tuple[Site, ...]
    dropout: float = 0.0
    by_root: bool = False

    def scale(self, site: Site) -> float:
        """Return what B A is multiplied by at a site."""
        return site.alpha / (site.rank**0.5 if self.by_root else site.rank)

    def keys(self, site: Site) -> tuple[str, ...]:
        """Return the parameter keys of a site: A and B, or the vector."""
        if self.kind == IA3_UNIT:
            return (f"{IA3_UNIT}.{site.path}.ia3_l",)
        return tuple(f"{LORA_UNIT}.{site.path}.lora_{part}.weight" for part in "AB")

    def core_config(self) -> dict[str, Any]:
        """Return the keys that the core builds it from."""
        config: dict[str, Any] = {
            "adapter": self.kind,
            "adapter.dropout": float(self.dropout),
            "adapter.n": len(self.sites),
        }
        for number, site in enumerate(self.sites):
            config[f"adapter.{number}.site"] = site.path
            if self.kind == LORA_UNIT:
                config[f"adapter.{number}.rank"] = site.rank
                config[f"adapter.{number}.scale"] = self.scale(site)
            else:
                config[f"adapter.{number}.input"] = site.input
        return config

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "kind": self.kind,
            "dropout": self.dropout,
            "by_root": self.by_root,
            "sites": [[one.path, one.rank, one.alpha, one.input] for one in self.sites],
        }

    @classmethod
    def from_dict(cls, values: object) -> Adapter:
        """Return what `to_dict` gave the values of.

        Raises
        ------
        ConfigError
            If they are no such values.
        """
        if not isinstance(values, Mapping) or values.get("kind") not in UNITS:
            raise ConfigError(
                f"expected an adapter of kind 'lora' or 'ia3'; found {quoted(values)}"
            )
        kind, dropout = str(values["kind"]), as_number(values.get("dropout", 0.0))
        by_root, listed = as_flag(values.get("by_root", False)), values.get("sites")
        if dropout is None or not 0 <= dropout < 1 or by_root is None:
            raise ConfigError(
                f"expected an adapter's dropout from 0 to below 1, by_root true or false; found "
                f"{quoted(values.get('dropout'))}, {quoted(values.get('by_root'))}"
            )
        if not isinstance(listed, Sequence) or isinstance(listed, str) or not listed:
            raise ConfigError(f"expected an adapter's sites as a list; found {typed(listed)}")
        return cls(kind, tuple(_site(kind, one) for one in listed), dropout, by_root)


def _site(kind: str, values: object) -> Site:
    parts = list(values) if isinstance(values, list | tuple) else []
    if len(parts) == 4 and isinstance(parts[0], str):
        rank, alpha, is_input = as_integer(parts[1]), as_number(parts[2]), as_flag(parts[3])
        least = 1 if kind == LORA_UNIT else 0
        if (
            rank is not None
            and least <= rank <= _MOST_RANK
            and alpha is not None
            and isfinite(alpha)
            and is_input is not None
        ):
            return Site(parts[0], rank, alpha, is_input)
    raise ConfigError(
        f"expected a site of an adapter as [path, rank, alpha, input]; found {quoted(values)}"
    )
