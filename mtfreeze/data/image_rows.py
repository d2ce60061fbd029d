# SPDX-License-Identifier: Apache-2.0
"""Rows that hold an image: what is one in a plain row, and under which keys of a dictionary.

A str stays a text wherever a text may stand; under a key that says ``image`` it is a path.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from ..closest import name_list
from ..errors import DataError
from ..images import Picture
from ..images.pillow import is_pillow_image
from .boxes import Box
from .text_rows import text_keys

__all__ = ["IMAGE_KEYS", "as_boxes", "as_picture", "image_key", "is_image"]

IMAGE_KEYS = ("image", "img", "picture")
_TEXT_KEYS = ("text", "words", "tokens", "texts")


def is_image(value: object) -> bool:
    """Say whether a value can be nothing but an image: it is none of text, bytes or words."""
    if isinstance(value, np.ndarray):
        return value.ndim > 1
    return isinstance(value, Picture | os.PathLike) or is_pillow_image(value)


def image_key(row: Mapping[str, object]) -> str:
    """Return the key under which a row has its image, "" if there is none.

    Beside a text an image is one of the columns that are not read, as others are.

    Examples
    --------
    >>> image_key({"image": "cat.png", "label": "cat"}), image_key({"text": "a"})
    ('image', '')
    """
    if any(key in row for key in _TEXT_KEYS) or text_keys(row):
        return ""
    return next((key for key in IMAGE_KEYS if row.get(key) is not None), "")


def as_picture(value: object, where: str) -> Picture:
    """Return what stands for an image as one.

    Parameters
    ----------
    value : object
        What `Picture` takes, or ``{"bytes": ..., "path": ...}`` as data sets have it that do not
        decode.
    where : str
        How messages name the row.

    Raises
    ------
    TypeError, DataError
        As of `Picture`; the message begins with `where`.
    """
    if isinstance(value, Mapping):
        known = [key for key in ("bytes", "path") if value.get(key) is not None]
        if not known:
            raise DataError(
                f"{where}: expected an image, or 'bytes' or 'path' of one; found the keys "
                f"{name_list(value)}; give the path"
            )
        value = value[known[0]]
    path = isinstance(value, str | os.PathLike)
    return value if isinstance(value, Picture) else Picture(value, "" if path else where)


def as_boxes(value: object) -> tuple[Box, ...] | None:
    """Return a list of boxes as a tuple, None of anything else; an empty list is none."""
    if not isinstance(value, list | tuple) or not value:
        return None
    boxes = tuple(one for one in value if isinstance(one, Box))
    return boxes if len(boxes) == len(value) else None
