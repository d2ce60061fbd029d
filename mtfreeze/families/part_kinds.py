# SPDX-License-Identifier: Apache-2.0
"""What a parameter is for, in one or two words, read from its key: a column of the pictures.

A family names its own parameters. A parameter that has no name is called by the last part of its
key that is no number, so that nothing is left out. All biases of a unit are one kind, because they
are usually frozen or trained together.
"""

from __future__ import annotations

import re

from .family import Family

__all__ = ["part_kind"]

_HIDDEN_LAYER = re.compile(r"\.hidden\.\d+$")
"""What the key of a head's weight below its last layer ends in."""


def part_kind(family: Family, key: str) -> str:
    """Return the kind of a parameter of a backbone of `family`, or of a head.

    Examples
    --------
    >>> from mtfreeze.families import FAMILIES
    >>> bert, layer = FAMILIES["bert"], "backbone.encoder.layer.3."
    >>> [part_kind(bert, layer + end) for end in ("attention.self.query.weight", "adapter.scale")]
    ['query', 'scale']
    >>> [part_kind(bert, key) for key in ("ner.weight", "ner.hidden.0.weight", "ner.bias")]
    ['weights', 'hidden layers', 'biases']
    >>> part_kind(FAMILIES["detr"], "shapes.boxes.2.weight")
    'boxes'
    """
    if key.endswith(".bias"):
        return "biases"
    part = key.removesuffix(".weight")
    whole = f".{part}" if family.owns(key) else part  # a head's name says nothing
    fitting = [end for end in family.part_kinds if whole.endswith(f".{end}")]
    if fitting:
        return family.part_kinds[max(fitting, key=len)]
    if _HIDDEN_LAYER.search(part):
        return "hidden layers"
    if "." not in part:  # of a head: its name alone
        return "weights"
    named = [word for word in part.split(".") if not word.isdigit()]
    return named[-1].replace("_", " ")
