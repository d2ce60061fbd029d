# SPDX-License-Identifier: Apache-2.0
"""Which values are images, where a list may hold texts or images."""

from __future__ import annotations

import os

import numpy as np

from .picture import Picture
from .pillow import is_pillow_image

__all__ = ["is_image"]


def is_image(value: object) -> bool:
    """Say whether a value can only be an image: a str is a text, though it may be a path.

    Examples
    --------
    >>> from pathlib import Path
    >>> is_image(Path("cat.png")), is_image("cat.png"), is_image(np.zeros((2, 2, 3), np.uint8))
    (True, False, True)
    """
    if isinstance(value, Picture | os.PathLike) or is_pillow_image(value):
        return True
    return isinstance(value, np.ndarray) and value.dtype == np.uint8 and value.ndim in (2, 3)
