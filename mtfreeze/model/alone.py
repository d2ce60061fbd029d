# SPDX-License-Identifier: Apache-2.0
"""One text or one image in place of a list of them: what comes back is that of the one."""

from __future__ import annotations

from typing import Any

from ..images import Picture

__all__ = ["as_rows"]


def as_rows(texts: object) -> tuple[Any, bool]:
    """Return rows, and whether they are one text or `Picture` that was given without a list.

    Nothing else is taken for one row: a list may be words or a pair, an array an image or several.
    For models of images a text is the path of one.
    """
    alone = isinstance(texts, str | Picture)
    return ([texts] if alone else texts), alone
