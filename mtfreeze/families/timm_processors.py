# SPDX-License-Identifier: Apache-2.0
"""How timm prepares images -> ``preprocessor_config.json``.

The shorter side is resized to floor(size / crop_pct) and the middle cut out; ``crop_mode`` "squash"
resizes both sides and loses the aspect. What adds a border is refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..checks import as_integer, as_number
from ..errors import ConfigError
from ..quoting import quoted

__all__ = ["timm_processor"]

_FILTERS = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4, "hamming": 5}
"""timm's names of Pillow's filters."""


def timm_processor(prepared: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Return ``preprocessor_config.json``, as `TimmModel.processor`.

    Parameters
    ----------
    prepared : mapping
        ``pretrained_cfg`` of timm.
    where : str
        The file, for messages.

    Raises
    ------
    ConfigError
        If it asks for a preparation that is not carried out.
    """
    size = prepared.get("input_size") or [3, 224, 224]
    sides = [as_integer(one) for one in size] if isinstance(size, list) else []
    if len(sides) != 3 or sides[0] != 3 or sides[1] != sides[2] or not sides[1] or sides[1] < 1:
        raise ConfigError(
            f"{where}: expected input_size as [3, n, n], square images of red, green and blue; "
            f"found {quoted(size, 60)}; choose a model that reads such images"
        )
    share = as_number(0.875 if prepared.get("crop_pct") is None else prepared["crop_pct"])
    if share is None or not 0.01 <= share <= 1:
        raise ConfigError(
            f"{where}: expected crop_pct as a number above 0 and at most 1; found "
            f"{quoted(prepared['crop_pct'])}; correct the file"
        )
    mode, filter_name = prepared.get("crop_mode") or "center", prepared.get("interpolation")
    if mode not in ("center", "squash"):
        raise ConfigError(
            f"{where}: expected crop_mode as 'center' or 'squash'; found {quoted(mode)}, which is "
            "not carried out; write a preprocessor_config.json"
        )
    if filter_name not in (None, *_FILTERS):
        raise ConfigError(
            f"{where}: expected interpolation as one of {', '.join(_FILTERS)}; found "
            f"{quoted(filter_name)}; correct the file"
        )
    whole = math.floor(sides[1] / share)
    squash = mode == "squash"
    return {
        "image_processor_type": "DeiTImageProcessor" if squash else "BitImageProcessor",
        "size": {"height": whole, "width": whole} if squash else {"shortest_edge": whole},
        "resample": _FILTERS[filter_name or "bicubic"],
        "do_center_crop": True,
        "crop_size": {"height": sides[1], "width": sides[1]},
        "image_mean": prepared.get("mean") or [0.485, 0.456, 0.406],
        "image_std": prepared.get("std") or [0.229, 0.224, 0.225],
    }
