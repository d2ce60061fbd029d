# SPDX-License-Identifier: Apache-2.0
"""How GGUF files call the parts of a family, and what the hub calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["GgufLayout"]

_LAYER = re.compile(r"blk\.(\d+)\.(.+)")


@dataclass(frozen=True)
class GgufLayout:
    """One architecture of llama.cpp.

    Attributes
    ----------
    model_type : str
        Of the family.
    config : mapping of str to str
        Key of ``config.json`` -> note, without the architecture before it.
    constant : mapping of str to object
        Keys of ``config.json`` that these files do not have.
    switches : mapping of str to str
        Key of ``config.json`` -> the tensor that is there where it is true.
    fixed : mapping of str to tuple
        Notes that change the computation, with the values under which it is ours; the first holds
        where there is none.
    tensors, layer_tensors : mapping of str to str
        Names without ``.weight`` and ``.bias``, outside layers and in them -> the hub's.
    layer_stem : str
        What the hub's names of tensors in layers begin with, before the number.
    paired_lanes : mapping of str to str
        Parts of layers whose rows lie in pairs, with the key of how many heads they have.
    words, output : str
        Names of the table of words, and of the matrix of the output where it is another.
    """

    model_type: str
    config: Mapping[str, str]
    tensors: Mapping[str, str]
    layer_tensors: Mapping[str, str]
    layer_stem: str
    constant: Mapping[str, Any] = field(default_factory=dict)
    switches: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    paired_lanes: Mapping[str, str] = field(default_factory=dict)
    words: str = "token_embd.weight"
    output: str = "output.weight"

    def plain_name(self, name: str) -> tuple[str | None, str]:
        """Return the hub's name of a tensor, None if it has none, and its part of a layer."""
        stem, _, kind = name.rpartition(".")
        inner = _LAYER.fullmatch(stem)
        part = inner[2] if inner else ""
        hub = self.layer_tensors.get(part) if inner else self.tensors.get(stem)
        if hub is None or kind not in ("weight", "bias"):
            return None, part
        return (f"{self.layer_stem}{inner[1]}.{hub}.{kind}" if inner else f"{hub}.{kind}"), part
