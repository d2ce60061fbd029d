# SPDX-License-Identifier: Apache-2.0
"""The style that figures are made and drawn under: matplotlib's own, whatever the user's is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["default_style"]


@contextmanager
def default_style() -> Iterator[None]:
    """Set matplotlib's default style for a while, and what keeps the bytes of files the same."""
    import matplotlib.style

    # A salt of one's own instead of a random one; words as paths look alike on every machine.
    # Names are names: a dollar sign does not begin a formula.
    fixed = {
        "svg.hashsalt": "mtfreeze",
        "svg.fonttype": "path",
        "hatch.linewidth": 0.6,
        "text.parse_math": False,
    }
    with matplotlib.style.context(["default", fixed]):
        yield
