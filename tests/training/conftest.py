# SPDX-License-Identifier: Apache-2.0
"""Runs that tests of checkpoints go on from."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.small_tasks import fresh, quick_fit


@pytest.fixture
def begun(tiny_folder: Path, tmp_path: Path) -> Path:
    """Return the output folder of a run of ten steps with a checkpoint at step 4."""
    out = tmp_path / "begun"
    quick_fit(fresh(tiny_folder, "embeddings"), save_every=4, keep_checkpoints=9, output_dir=out)
    for name in ("step-00000008", "step-00000010"):
        (out / "checkpoints" / name).rename(tmp_path / name)
    return out
