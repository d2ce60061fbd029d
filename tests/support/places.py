# SPDX-License-Identifier: Apache-2.0
"""Where tests find things: the checkout, its examples' data, shared/ beside it, the package."""

from __future__ import annotations

from pathlib import Path

import pytest

import mtfreeze

TESTS = Path(__file__).resolve().parents[1]
ROOT = TESTS.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples" / "data"
PACKAGE = Path(mtfreeze.__file__).parent
"""As it was imported: of the checkout, or an installed wheel."""
SHARED = ROOT.parent / "shared" / "data"


def shared_file(*parts: str) -> Path:
    """Return a file of shared/data; skip the test where the folder is not beside the checkout."""
    path = SHARED.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{Path('shared/data', *parts)} is not beside the checkout")
    return path
