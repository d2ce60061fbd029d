# SPDX-License-Identifier: Apache-2.0
"""What layers are called in the memory of transformers, where its files call them otherwise.

Since transformers 5 a ViT that is loaded has ``layers.0.attention.q_proj`` for what stands in files
as ``encoder.layer.0.attention.attention.query``. PEFT names layers as they are in memory, so its
folders do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["OF_DINOV2", "OF_VIT", "ModuleNames"]


@dataclass(frozen=True)
class ModuleNames:
    """Names of the layers of blocks.

    Attributes
    ----------
    file, memory : str
        What paths of blocks begin with, before the number.
    parts : mapping of str to str
        Layers of a block: as in files, and as in memory.
    """

    file: str
    memory: str
    parts: Mapping[str, str]

    def in_memory(self, path: str) -> str:
        """Return what a layer of a file is called in memory.

        Examples
        --------
        >>> OF_VIT.in_memory("encoder.layer.3.attention.attention.query")
        'layers.3.attention.q_proj'
        >>> OF_VIT.in_memory("pooler.dense")
        'pooler.dense'
        """
        return _moved(path, self.file, self.memory, self.parts)

    def in_file(self, path: str) -> str:
        """Return the same the other way; a name that files have stays as it is.

        Examples
        --------
        >>> OF_DINOV2.in_file("encoder.layer.3.attention.o_proj")
        'encoder.layer.3.attention.output.dense'
        >>> OF_DINOV2.in_file("encoder.layer.3.attention.output.dense")
        'encoder.layer.3.attention.output.dense'
        """
        back = {theirs: ours for ours, theirs in self.parts.items()}
        return _moved(path, self.memory, self.file, back)


def _moved(path: str, stem: str, other: str, parts: Mapping[str, str]) -> str:
    if not path.startswith(stem):
        return path
    number, _, part = path.removeprefix(stem).partition(".")
    return f"{other}{number}.{parts.get(part, part)}"


_ATTENTION = {
    "attention.attention.query": "attention.q_proj",
    "attention.attention.key": "attention.k_proj",
    "attention.attention.value": "attention.v_proj",
    "attention.output.dense": "attention.o_proj",
}

OF_VIT = ModuleNames(
    "encoder.layer.",
    "layers.",
    {**_ATTENTION, "intermediate.dense": "mlp.fc1", "output.dense": "mlp.fc2"},
)
"""Of ViT and DeiT."""

OF_DINOV2 = ModuleNames("encoder.layer.", "encoder.layer.", _ATTENTION)
"""Of DINOv2, with registers too."""
