# SPDX-License-Identifier: Apache-2.0
"""A pytest plugin: the tests run on the extension module in the file MTFREEZE_CORE_FILE.

``make coverage`` runs those of the core on one that counts its branches, and the installed package
stays as it is.
"""

from __future__ import annotations

import importlib.util
import os
import sys

import mtfreeze

spec = importlib.util.spec_from_file_location("mtfreeze._core", os.environ["MTFREEZE_CORE_FILE"])
assert spec is not None and spec.loader is not None
core = importlib.util.module_from_spec(spec)
sys.modules["mtfreeze._core"] = core
spec.loader.exec_module(core)
mtfreeze._core = core  # type: ignore[attr-defined]
