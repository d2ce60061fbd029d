# SPDX-License-Identifier: Apache-2.0
"""Pictures as JSON values, with which another process has the same ones.

A file is named by its whole path, as that process may work in another folder; what is in memory
goes along, as base64 of its bytes.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np

from .picture import Picture

__all__ = ["picture_from_value", "picture_to_value"]


def picture_to_value(picture: Picture) -> dict[str, Any]:
    """Return the JSON value of a picture.

    Examples
    --------
    >>> import numpy as np
    >>> picture_to_value(Picture(np.full((1, 2, 3), 65, np.uint8), "row 0"))
    {'name': 'row 0', 'pixels': 'QUFBQUFB', 'size': [1, 2]}
    """
    source = picture.source
    if isinstance(source, np.ndarray):
        pixels = b64encode(source.tobytes()).decode("ascii")
        return {"name": picture.name, "pixels": pixels, "size": list(source.shape[:2])}
    if isinstance(source, bytes):
        return {"name": picture.name, "bytes": b64encode(source).decode("ascii")}
    return {"name": picture.name, "path": os.path.abspath(source)}


def picture_from_value(value: Mapping[str, Any]) -> Picture:
    """Return the picture that `picture_to_value` gave the value of."""
    if "path" in value:
        return Picture(value["path"], value["name"])
    if "bytes" in value:
        return Picture(b64decode(value["bytes"]), value["name"])
    pixels = np.frombuffer(b64decode(value["pixels"]), np.uint8)
    return Picture(pixels.reshape(*value["size"], 3), value["name"])
