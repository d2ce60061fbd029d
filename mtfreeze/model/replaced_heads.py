# SPDX-License-Identifier: Apache-2.0
"""What a saved folder is without: the head of a task model that one of the model's own replaced.

A folder of ``DetrForObjectDetection`` holds its head beside the transformer; nothing here reads it
until `add_head(from_pretrained=)` takes a copy. Once the model has a head that finds boxes, saving
leaves the old one out, and ``config.json`` names the class without a head.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..families import Family
from ..heads.detection import Detection
from ..heads.head import Head

__all__ = ["replaced", "without_head"]


def replaced(family: Family, heads: Iterable[Head], unused: Iterable[str]) -> frozenset[str]:
    """Return which unused tensors are of a head that one of the model's own has taken over from.

    They were trained with a transformer that is another one now: whoever loads the class of
    transformers would find boxes with them, and wrong ones.

    Parameters
    ----------
    family : Family
    heads : iterable of Head
        Of the model.
    unused : iterable of str
        Plain names of tensors that the computation does not use.
    """
    if not any(isinstance(one.spec, Detection) for one in heads):
        return frozenset()
    stems = tuple(f"{stem}." for stem in family.detection.values())
    return frozenset(name for name in unused if name.startswith(stems))


def without_head(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Return ``config.json`` of the model alone, which says nothing of labels."""
    labels = ("id2label", "label2id", "num_labels")
    rest = {key: value for key, value in config.items() if key not in labels}
    return {**rest, "architectures": [f"{family.class_stem}Model"]}
