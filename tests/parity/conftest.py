# SPDX-License-Identifier: Apache-2.0
"""Makes the helper modules of this folder importable by name, and those of others when needed.

A file that imported torch at its top would load it in every process that collects tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture(scope="session")
def torch() -> Any:
    """The module torch, kept to one thread; skips without it."""
    module = pytest.importorskip("torch", reason="live parity needs torch")
    module.set_num_threads(1)  # its pool waits badly where tests share the machine
    return module


@pytest.fixture(scope="session")
def transformers() -> Any:
    """The module transformers; skips without it."""
    return pytest.importorskip(
        "transformers", minversion="5", reason="live parity needs transformers"
    )


@pytest.fixture(scope="session")
def torchvision(torch: Any) -> Any:
    """The module torchvision; skips without it."""
    return pytest.importorskip(
        "torchvision", reason="compares with torchvision (make .venv/.stamp-parity-vision)"
    )
