# SPDX-License-Identifier: Apache-2.0
"""Scripts of the checkout, such as those of tools/, as modules."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

from support.places import ROOT


def load_script(path: str) -> ModuleType:
    """Import a script by its path from the root of the checkout, without running its main part."""
    place = ROOT / path
    spec = importlib.util.spec_from_file_location(place.stem, place)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[place.stem] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
