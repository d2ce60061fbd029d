# SPDX-License-Identifier: Apache-2.0
"""Which kinds of heads rows are for: by what a row holds and what is told of it."""

from __future__ import annotations

from ..heads.registry import KINDS
from ..heads.suited import SUITED
from .facts import Labels

__all__ = ["suited", "suited_kinds"]


def suited(content: str, labels: Labels) -> list[str]:
    """Return how the heads are written that learn from such rows.

    Labels that are numbers may be names or numbers; one label alone tells nothing apart.
    """
    return [KINDS[kind].written for kind in suited_kinds(content, labels)]


def suited_kinds(content: str, labels: Labels) -> list[str]:
    """Return the same by the names of the registry."""
    targets = [] if len(labels.counts) == 1 and labels.target == "labels" else [labels.target]
    if labels.target == "labels" and labels.numbers is not None:
        targets.append("numbers")
    kinds = [kind for target in targets for kind in SUITED.get((content, target), ())]
    return [kind for kind in kinds if kind in KINDS]
