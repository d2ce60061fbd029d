# SPDX-License-Identifier: Apache-2.0
"""Row spaces that heads declare, beside those of the model's family.

A sequence may have no rows there, and a batch that leaves such a space out has none at all.
"""

from __future__ import annotations

__all__ = ["HEAD_SPACES", "PAIRS", "PICKED", "POSITIONS", "is_of_heads"]

PICKED, POSITIONS = "picked", "picked.positions"
"""Row space of the tokens that language heads read, and its input: their places in their text."""

PAIRS = "pairs"
"""Row space of heads that read two sequences apart: one with a row makes a pair with the next."""

HEAD_SPACES = frozenset({PICKED, PAIRS})
"""All of them."""


def is_of_heads(name: str) -> bool:
    """Say whether an input has its rows in such a space: it is called after it."""
    return name.partition(".")[0] in HEAD_SPACES
