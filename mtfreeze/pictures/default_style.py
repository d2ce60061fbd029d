# SPDX-License-Identifier: Apache-2.0
"""The style that figures are made and drawn under: matplotlib's own, whatever the user's is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["default_style", "user_style"]

_NAMES: dict[Any, Any] = {"hatch.linewidth": 0.6, "text.parse_math": False}
"""Hatches can be told apart; names are names: a dollar sign does not begin a formula."""


@contextmanager
def default_style() -> Iterator[None]:
    """Set matplotlib's default style for a while, and what keeps the bytes of files the same."""
    import matplotlib.style

    # A salt of one's own instead of a random one; words as paths look alike on every machine.
    fixed = {"svg.hashsalt": "mtfreeze", "svg.fonttype": "path", **_NAMES}
    with matplotlib.style.context(["default", fixed]):
        yield


@contextmanager
def user_style() -> Iterator[None]:
    """Keep the user's style for a while, but for what the words and hatches of a picture need."""
    import matplotlib

    with matplotlib.rc_context(_NAMES):
        yield
