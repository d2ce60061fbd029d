# SPDX-License-Identifier: Apache-2.0
"""What Python knows of a backbone family: configuration keys and the hub's tensor names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """One backbone family.

    Attributes
    ----------
    model_type : str
        As in ``config.json``.
    required : tuple of str
        Keys that must be there.
    computed : tuple of str
        Keys that the core reads.
    fixed : mapping of str to tuple
        Keys that change the computation, with the values under which it is the one we have.
    harmless : frozenset of str
        Keys that change nothing that mtfreeze computes.
    prefixes : tuple of str
        Prefixes that task models put before the backbone's tensor names.
    buffers : frozenset of str
        Tensors that are no parameters and are computed anew.
    backbone_stems : tuple of str
        Beginnings of names that only backbone tensors have: an unknown one is an error.
    layer_stem, layer_key : str
        What layers' tensor names begin with, before the number; config key of how many there are.
    sizes : mapping of str to tuple of str
        Tensors whose shape shows the main sizes, and the config keys of these sizes: compared
        before a model of those sizes is built.
    """

    model_type: str
    required: tuple[str, ...]
    computed: tuple[str, ...]
    fixed: dict[str, tuple[Any, ...]]
    harmless: frozenset[str]
    prefixes: tuple[str, ...]
    buffers: frozenset[str]
    backbone_stems: tuple[str, ...]
    layer_stem: str
    layer_key: str
    sizes: dict[str, tuple[str, ...]]

    def plain_name(self, name: str) -> str:
        """Return the hub's present name of a tensor: no task model's prefix, no gamma and beta.

        Examples
        --------
        >>> from mtfreeze.families import FAMILIES
        >>> FAMILIES["bert"].plain_name("bert.embeddings.LayerNorm.gamma")
        'embeddings.LayerNorm.weight'
        """
        for prefix in self.prefixes:
            name = name.removeprefix(prefix)
        for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
            if name.endswith("LayerNorm" + old):
                name = name.removesuffix(old) + new
        return name
