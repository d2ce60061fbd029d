# SPDX-License-Identifier: Apache-2.0
"""Folders of real weights beyond all-MiniLM-L6-v2, where somebody has put them.

``MTFREEZE_REAL_WEIGHTS`` names a folder that holds them by short name; without it that is
``mtfreeze-weights`` in the user's cache. Tests skip what is not there: nothing is downloaded.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

__all__ = ["NAMES", "real_folder"]

NAMES = {
    "mpnet": "all-mpnet-base-v2",
    "e5": "multilingual-e5-small",
    "antiberty": "AntiBERTy, a masked language model of antibodies",
    "smollm2": "SmolLM2-135M-Instruct as GGUF",
    "dinov2": "DINOv2 ViT-S/14, which tools/real_dinov2.py makes",
    "mobilenet_v2": "MobileNetV2, which tools/real_mobilenet_v2.py makes",
}


def real_folder(name: str) -> Path:
    """Return the folder of real weights; skip the test where they are not on this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    root = Path(os.environ.get("MTFREEZE_REAL_WEIGHTS", cache / "mtfreeze-weights"))
    if not (root / name).is_dir():
        pytest.skip(f"no {NAMES[name]}: MTFREEZE_REAL_WEIGHTS names a folder that holds {name}/")
    return root / name
